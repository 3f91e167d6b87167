"""CBC-DATA-1 with fixed numbers.

The vectors are ours; the expected values were computed with OpenSSL 3.0 (`openssl enc -aes-256-cbc -nopad`,
`openssl mac -cipher AES-256-CBC CMAC`) and `cryptography` agrees.
"""

import pytest

from hsm.diversification import StaticKey, cbc_data_1
from hsm.pkcs11 import Pkcs11Hsm
from hsm.ports import CardFunction, ChannelKey
from tests.hsm import chip_maker

pytestmark = pytest.mark.services

KDD = bytes.fromhex("47906D4900010000002A")
MASTER = chip_maker.MASTERS["PERSO"]  # 00 01 … 1F
DATA = {
    StaticKey.ENC: "47906d4900010000002a00000001000147906d4900010000002a000000010002",
    StaticKey.MAC: "47906d4900010000002a00000002000147906d4900010000002a000000020002",
    StaticKey.DEK: "47906d4900010000002a00000003000147906d4900010000002a000000030002",
}
KEYS = {
    StaticKey.ENC: "4a23b485ffff53b30badc7f7a17662da1d61e938cdf9c10f6bb12e772b20be4a",
    StaticKey.MAC: "1337c7c622ad4e68013ec451ea7026f01297a0857474298fae8f1b698e55b64f",
    StaticKey.DEK: "a2083ac77e94c17d1a5cb2bb4d8cb25e57c9eae36cbb4e05af552f1739d4dbf8",
}
MESSAGES = (b"", b"\x01" * 16, bytes(range(40)))
CMACS = {
    ChannelKey.ENC: (
        "23c92ea1c40959f19fc05452e6320893",
        "a2cd1844dca50789f0e3a0c5fba1db16",
        "9fabc22e547d3b55b4ad5c16e846754e",
    ),
    ChannelKey.MAC: (
        "fddc93801198883c620c4fd4166a8391",
        "78b487d89613e0d27a12f76653e0cbb4",
        "9e8a62f578ed2bd2a4c9a215b04476fc",
    ),
}


@pytest.mark.parametrize("key", StaticKey)
def test_derivation_data_and_keys(key: StaticKey) -> None:
    assert cbc_data_1(KDD, key).hex() == DATA[key]
    assert chip_maker.static_key(MASTER, KDD, key.value).hex() == KEYS[key]


@pytest.mark.parametrize("key", ChannelKey)
def test_token_computes_the_vectors(hsm: Pkcs11Hsm, key: ChannelKey) -> None:
    assert tuple(cmac.hex() for cmac in hsm.cmac(CardFunction.PERSO, key, KDD, MESSAGES)) == CMACS[key]


@pytest.mark.parametrize("length", [0, 9, 11])
def test_kdd_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="diversification data"):
        cbc_data_1(bytes(length), StaticKey.ENC)

"""`ChipKeys` in software: what the HSM does, from masters that the tests know."""

from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding, aes_key_wrap_with_padding

from hsm.ports import CardFunction, ChannelKey

STARTS = {"PERSO": 0, "PIN": 32, "KEY": 64, "CERT": 96}
MASTERS = {name: bytes(range(start, start + 32)) for name, start in STARTS.items()}
STORAGE_KEY = bytes(range(200, 232))


class SoftwareChipKeys:
    """`ChipKeys` from masters in memory; diversification CBC-DATA-1 (data sheet §2)."""

    def __init__(self, masters: dict[str, bytes]) -> None:
        self._masters = masters

    def cmac(self, function: CardFunction, key: ChannelKey, kdd: bytes, messages: Iterable[bytes]) -> Sequence[bytes]:
        static = self._static(function, {ChannelKey.ENC: 1, ChannelKey.MAC: 2}[key], kdd)
        results = []
        for message in messages:
            cmac = CMAC(algorithms.AES(static))
            cmac.update(message)
            results.append(cmac.finalize())
        return results

    def rewrap_for_chip(self, kdd: bytes, wrapped: bytes) -> bytes:
        return aes_key_wrap_with_padding(self._static("KEY", 3, kdd), aes_key_unwrap_with_padding(STORAGE_KEY, wrapped))

    def _static(self, function: str, number: int, kdd: bytes) -> bytes:
        data = b"".join(kdd + bytes((0, 0, 0, number, 0, block)) for block in (1, 2))
        encryptor = Cipher(algorithms.AES(self._masters[str(function)]), modes.CBC(bytes(16))).encryptor()
        return encryptor.update(data) + encryptor.finalize()

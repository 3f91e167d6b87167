"""CBC-DATA-1: the input from which a token derives a chip's static keys (chip data sheet §2).

key = AES-CBC-encrypt(master, IV = 16 zero bytes, data), which PKCS#11 calls CKM_AES_CBC_ENCRYPT_DATA.
"""

from enum import IntEnum

KDD_BYTES = 10
KEY_BYTES = 32
ZERO_IV = bytes(16)

CHECK_KDD = bytes(KDD_BYTES)
CHECK_MESSAGE = b"\x01" * 16
CHECK_VALUE_BYTES = 3
"""Check value of a master: first bytes of AES-CMAC(ENC key derived for `CHECK_KDD`, `CHECK_MESSAGE`)."""


class StaticKey(IntEnum):
    """Number `k` of a static key of SCP03."""

    ENC = 1
    MAC = 2
    DEK = 3


def cbc_data_1(kdd: bytes, key: StaticKey) -> bytes:
    """block(1) | block(2), 32 bytes, block(n) = KDD | 00 00 00 | k | 00 | n. Raises `ValueError`."""
    if len(kdd) != KDD_BYTES:
        raise ValueError(f"key diversification data has {len(kdd)} bytes, not {KDD_BYTES}")
    return b"".join(kdd + bytes((0, 0, 0, key, 0, n)) for n in (1, 2))

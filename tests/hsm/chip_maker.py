"""The chip maker's side of the data sheet, by `cryptography` alone: it shares no code with the rooms under test."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding

ENC, MAC, DEK = 1, 2, 3

MASTERS = {
    "PERSO": bytes(range(0x00, 0x20)),
    "PIN": bytes(range(0x20, 0x40)),
    "KEY": bytes(range(0x40, 0x60)),
    "CERT": bytes(range(0x60, 0x80)),
}


def static_key(master: bytes, kdd: bytes, number: int) -> bytes:
    """CBC-DATA-1."""
    encryptor = Cipher(algorithms.AES(master), modes.CBC(bytes(16))).encryptor()
    first = encryptor.update(kdd + bytes.fromhex("000000") + bytes([number]) + bytes.fromhex("0001"))
    return first + encryptor.update(kdd + bytes.fromhex("000000") + bytes([number]) + bytes.fromhex("0002"))


def aes_cmac(key: bytes, message: bytes) -> bytes:
    """SP 800-38B, whole."""
    cmac = CMAC(algorithms.AES(key))
    cmac.update(message)
    return cmac.finalize()


def open_for_chip(kdd: bytes, wrapped: bytes) -> object:
    """What the chip does with DGI C2rr: RFC 5649 unwrap under its KEY-DEK, PKCS#8 inside.

    SoftHSM 2.6.1 fills the PKCS#8 up to a multiple of 8 bytes with zeros before it wraps, and counts them in RFC 5649's
    message length; P-384 needs none. So only the outer SEQUENCE is taken, and zeros alone may follow.
    """
    plain = aes_key_unwrap_with_padding(static_key(MASTERS["KEY"], kdd, DEK), wrapped)
    assert plain[0] == 0x30
    assert plain[1] < 0x80
    pkcs8, filling = plain[: 2 + plain[1]], plain[2 + plain[1] :]
    assert filling == bytes(-len(pkcs8) % 8)
    return serialization.load_der_private_key(pkcs8, password=None)


def oaep(public_key: bytes, secret: bytes) -> bytes:
    """RSAES-OAEP with SHA-1 throughout, under a DER SubjectPublicKeyInfo."""
    key = serialization.load_der_public_key(public_key)
    assert isinstance(key, rsa.RSAPublicKey)
    return key.encrypt(secret, padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))  # noqa: S303


def letter(public_key: bytes, masters: Mapping[str, bytes] = MASTERS) -> dict[str, Any]:
    """A key letter as the data sheet has it."""
    keys = {}
    for function, master in masters.items():
        check_value = aes_cmac(static_key(master, bytes(10), ENC), b"\x01" * 16)[:3]
        wrapped = base64.b64encode(oaep(public_key, master)).decode()
        keys[function] = {"wrapped": wrapped, "check_value": check_value.hex()}
    return {"maker": "Chip maker of the tests", "diversification": "CBC-DATA-1", "keys": keys}


def letter_bytes(public_key: bytes) -> bytes:
    """The same as JSON."""
    return json.dumps(letter(public_key)).encode()

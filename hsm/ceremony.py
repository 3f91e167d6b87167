"""What a key ceremony asks of a token, and the letter that brings the chip maker's masters."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hsm.diversification import CHECK_VALUE_BYTES
from hsm.errors import KeyLetterRefused
from hsm.ports import CardFunction, Curve, KeyLabel, PublicKey, Signer

DIVERSIFICATION = "CBC-DATA-1"


@dataclass(frozen=True, slots=True)
class TokenIdentity:
    """What the token says it is; goes into the ceremony's evidence."""

    manufacturer: str
    model: str
    serial: str
    firmware: str
    """Major and minor number, for example `2.6`."""


@dataclass(frozen=True, slots=True)
class WrappedMaster:
    """One master on its way: RSAES-OAEP under the exchange key, with its check value (3 bytes)."""

    wrapped: bytes
    check_value: bytes


@dataclass(frozen=True, slots=True)
class KeyLetter:
    """The chip maker's key letter (chip data sheet §2): one wrapped master for each function."""

    maker: str
    masters: Mapping[CardFunction, WrappedMaster]

    @classmethod
    def from_json(cls, data: bytes) -> "KeyLetter":
        """Exactly the letter of the data sheet: nothing missing, nothing more. Raises `KeyLetterRefused`."""
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            raise KeyLetterRefused("the key letter is not JSON") from None
        letter = _members(document, {"maker", "diversification", "keys"}, "the key letter")
        if not isinstance(letter["maker"], str) or not letter["maker"]:
            raise KeyLetterRefused("the key letter names no maker")
        if letter["diversification"] != DIVERSIFICATION:
            raise KeyLetterRefused(f"the key letter's diversification is not {DIVERSIFICATION}")
        keys = _members(letter["keys"], {function.value for function in CardFunction}, "the key letter's keys")
        return cls(letter["maker"], {function: _master(function, keys[function.value]) for function in CardFunction})


def _master(function: CardFunction, value: object) -> WrappedMaster:
    entry = _members(value, {"wrapped", "check_value"}, f"the letter's entry {function}")
    try:
        wrapped = base64.b64decode(entry["wrapped"], validate=True)
        check_value = bytes.fromhex(entry["check_value"])
    except (binascii.Error, TypeError, ValueError):
        raise KeyLetterRefused(f"the letter's entry {function} is not base64 and hexadecimal") from None
    if not wrapped or len(check_value) != CHECK_VALUE_BYTES:
        raise KeyLetterRefused(f"the letter's entry {function} has a length that is not ours")
    return WrappedMaster(wrapped, check_value)


def _members(value: object, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise KeyLetterRefused(f"{what} is not an object")
    for wrong, word in ((sorted(names - value.keys()), "lacks"), (sorted(value.keys() - names), "has unknown")):
        if wrong:
            raise KeyLetterRefused(f"{what} {word} {', '.join(wrong)}")
    return value


class KeyCeremony(Protocol):
    """Makes the long-lived keys of a token. Each step is whole or not done, so a ceremony can be taken up again."""

    def token(self) -> TokenIdentity:
        """Which token this is."""

    def labels(self) -> frozenset[str]:
        """Labels of the private and secret keys that are on the token."""

    def make_signing_key(self, label: KeyLabel, curve: Curve) -> PublicKey:
        """A pair that stays on the token and only signs. Raises `KeyAlreadyExists`; `ValueError` for a fixed label."""

    def make_storage_key(self) -> None:
        """AES-256, wraps and unwraps holders' private keys. Raises `KeyAlreadyExists`."""

    def make_record_key(self) -> None:
        """AES-256, encrypts and decrypts data keys. Raises `KeyAlreadyExists`."""

    def make_exchange_key(self) -> bytes:
        """RSA-3072 that only unwraps masters; DER SubjectPublicKeyInfo. Raises `KeyAlreadyExists`."""

    def exchange_public_key(self) -> bytes:
        """DER SubjectPublicKeyInfo of the exchange key that is there. Raises `KeyNotFound`."""

    def import_masters(self, letter: KeyLetter) -> None:
        """All masters of the letter, each checked before any is kept.

        Masters that a broken-off import left are taken as they are if their check value is the letter's. Raises
        `KeyLetterRefused`, `KeyNotFound` (no exchange key) and `KeyAlreadyExists` (all are there, or one that differs).
        """

    def signer(self) -> Signer:
        """Signs with the keys of this token, on this session."""

    def random_bytes(self, count: int) -> bytes:
        """From the token's random generator."""

    def close(self) -> None:
        """Log out and let the module go."""

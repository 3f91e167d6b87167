"""What the rest of the centre may ask of a hardware security module.

Every port speaks in bytes and in the frozen types below; the PKCS#11 side is `hsm.pkcs11`. Points on curves are
uncompressed SEC 1 octets (04 | X | Y), signatures are DER `ECDSA-Sig-Value` (RFC 3279 §2.2.3), digests are raw.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType, Protocol

KeyLabel = NewType("KeyLabel", str)
"""Label of a token object, for example `issuing-ca-2026`; unique on the token for each object class."""


class Curve(StrEnum):
    """Curves the centre makes keys on; the value is the OpenSSL / SEC 2 / RFC 5639 name."""

    P256 = "secp256r1"
    P384 = "secp384r1"
    P521 = "secp521r1"
    BRAINPOOL_P256 = "brainpoolP256r1"
    BRAINPOOL_P384 = "brainpoolP384r1"
    BRAINPOOL_P512 = "brainpoolP512r1"


class CardFunction(StrEnum):
    """The functions of a chip that have keys of their own (data sheet §2)."""

    PERSO = "PERSO"
    PIN = "PIN"
    KEY = "KEY"
    CERT = "CERT"


class ChannelKey(StrEnum):
    """The two static keys of an SCP03 key version that compute CMACs (the third, DEK, only wraps)."""

    ENC = "ENC"
    MAC = "MAC"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An EC public key: curve and uncompressed point."""

    curve: Curve
    point: bytes


@dataclass(frozen=True, slots=True)
class WrappedCardKey:
    """A holder's key pair made in the HSM: its public half, and its private half wrapped under the storage key."""

    public: PublicKey
    wrapped: bytes


class Signer(Protocol):
    """Signs digests with long-lived keys of the token (CAs, document signers, audit)."""

    def public_key(self, label: KeyLabel) -> PublicKey:
        """The public key under this label. Raises `KeyNotFound`."""

    def sign(self, label: KeyLabel, digest: bytes) -> bytes:
        """DER ECDSA signature over `digest`, verified before it is returned. Raises `KeyNotFound`, `HsmUnavailable`."""


class CardKeyMaker(Protocol):
    """Makes holders' key pairs as session objects; the private half leaves only wrapped."""

    def make_card_keys(self, curve: Curve, count: int) -> Sequence[WrappedCardKey]:
        """`count` fresh pairs on `curve`."""


class ChipKeys(Protocol):
    """Static keys of one chip, derived inside the HSM from the masters (diversification CBC-DATA-1)."""

    def cmac(self, function: CardFunction, key: ChannelKey, kdd: bytes, messages: Iterable[bytes]) -> Sequence[bytes]:
        """AES-CMAC (16 bytes each) of every message under the chip's static key; `kdd` is 10 bytes."""

    def rewrap_for_chip(self, kdd: bytes, wrapped: bytes) -> bytes:
        """A stored private key, unwrapped inside the HSM and wrapped (RFC 5649) under the chip's KEY-DEK.

        Raises `WrappedKeyDamaged` when the stored blob does not unwrap.
        """


class DataKeys(Protocol):
    """Data keys of records (32 bytes), encrypted under a key of the HSM that does nothing else."""

    def new_data_key(self) -> tuple[bytes, bytes]:
        """A fresh data key and its wrapped form."""

    def unwrap_data_key(self, wrapped: bytes) -> bytes:
        """Raises `WrappedKeyDamaged`."""


class Randomness(Protocol):
    """The HSM's random generator."""

    def random_bytes(self, count: int) -> bytes:
        """`count` bytes from C_GenerateRandom."""


class Hsm(Signer, CardKeyMaker, ChipKeys, DataKeys, Randomness, Protocol):
    """All of it: one process, one session, one thread."""

    def close(self) -> None:
        """Log out and let the module go."""

"""Keys in memory: a test double of `hsm.ports.Signer` and of `hsm.ceremony.KeyCeremony`."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm.ceremony import KeyLetter, TokenIdentity
from hsm.errors import KeyAlreadyExists, KeyNotFound
from hsm.ports import CardFunction, Curve, KeyLabel, PublicKey, Signer

CURVES: dict[Curve, ec.EllipticCurve] = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
    Curve.BRAINPOOL_P256: ec.BrainpoolP256R1(),
    Curve.BRAINPOOL_P384: ec.BrainpoolP384R1(),
    Curve.BRAINPOOL_P512: ec.BrainpoolP512R1(),
}
HASHES = {32: hashes.SHA256(), 48: hashes.SHA384(), 64: hashes.SHA512()}


def public_key(key: ec.EllipticCurvePrivateKey) -> PublicKey:
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return PublicKey(Curve(key.curve.name), point)


def new_public_key(curve: Curve = Curve.P384) -> PublicKey:
    return public_key(ec.generate_private_key(CURVES[curve]))


@dataclass
class SoftwareSigner:
    """`hsm.ports.Signer` over keys in memory."""

    keys: dict[KeyLabel, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    def make(self, label: str, curve: Curve) -> PublicKey:
        self.keys[KeyLabel(label)] = ec.generate_private_key(CURVES[curve])
        return self.public_key(KeyLabel(label))

    def public_key(self, label: KeyLabel) -> PublicKey:
        if label not in self.keys:
            raise KeyNotFound(label)
        return public_key(self.keys[label])

    def sign(self, label: KeyLabel, digest: bytes) -> bytes:
        if label not in self.keys:
            raise KeyNotFound(label)
        return self.keys[label].sign(digest, ec.ECDSA(Prehashed(HASHES[len(digest)])))


class Killed(Exception):
    """The process died here."""


@dataclass
class SoftwareCeremony:
    """`hsm.ceremony.KeyCeremony` in memory; `budget` effects happen before the ceremony is killed."""

    serial: str = "0001"
    keys: SoftwareSigner = field(default_factory=SoftwareSigner)
    secrets: set[str] = field(default_factory=set)
    exchange: bytes | None = None
    budget: int | None = None
    after_effect: bool = False
    serials_drawn: int = 0

    def _effect(self, effect: Callable[[], object]) -> None:
        """Killed before the effect, or after it and before the caller hears of it."""
        if self.budget is not None:
            self.budget -= 1
            if self.budget < 0:
                if self.after_effect:
                    effect()
                raise Killed
        effect()

    def token(self) -> TokenIdentity:
        return TokenIdentity("tests", "software", self.serial, "1.0")

    def labels(self) -> frozenset[str]:
        return frozenset(self.secrets | set(self.keys.keys))

    def _free(self, label: str) -> None:
        if label in self.labels():
            raise KeyAlreadyExists(label)

    def make_signing_key(self, label: KeyLabel, curve: Curve) -> PublicKey:
        self._free(label)
        self._effect(lambda: self.keys.make(label, curve))
        return self.keys.public_key(label)

    def make_storage_key(self) -> None:
        self._free("storage-key")
        self._effect(lambda: self.secrets.add("storage-key"))

    def make_record_key(self) -> None:
        self._free("record-key")
        self._effect(lambda: self.secrets.add("record-key"))

    def make_exchange_key(self) -> bytes:
        self._free("exchange-key")
        self._effect(self._make_exchange)
        return self.exchange_public_key()

    def _make_exchange(self) -> None:
        key = rsa.generate_private_key(65537, 2048).public_key()  # smaller than a real one: tests are fast
        self.exchange = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.secrets.add("exchange-key")

    def exchange_public_key(self) -> bytes:
        if self.exchange is None:
            raise KeyNotFound("exchange-key")
        return self.exchange

    def import_masters(self, letter: KeyLetter) -> None:
        assert letter.maker
        self._effect(lambda: self.secrets.update(f"master-{function}" for function in CardFunction))

    def signer(self) -> Signer:
        return self.keys

    def random_bytes(self, count: int) -> bytes:
        self.serials_drawn += 1
        return hashlib.sha512(f"{self.serial} {self.serials_drawn}".encode()).digest()[:count]

    def close(self) -> None:
        pass

"""Signatures with long-lived keys of the token."""

from dataclasses import dataclass
from typing import Any

from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import Mechanism

from hsm.curves import CURVES, der_signature, prehashed, public_key_from_token, verifying_key
from hsm.errors import HsmUnavailable, SignatureMismatch
from hsm.policy import SIGNING_KEY
from hsm.ports import KeyLabel, PublicKey
from hsm.session import TokenSession
from hsm.verification import verify


@dataclass(frozen=True, slots=True)
class _KeyPair:
    private: Any
    public: PublicKey
    signature_bytes: int


class TokenSigner:
    """`hsm.ports.Signer` over a session: raw CKM_ECDSA, verified outside the HSM before it leaves."""

    def __init__(self, session: TokenSession) -> None:
        self._session = session
        self._pairs: dict[KeyLabel, _KeyPair] = {}

    def public_key(self, label: KeyLabel) -> PublicKey:
        """Raises `KeyNotFound`, `HsmUnavailable`."""
        with self._session.calls():
            return self._pair(label).public

    def sign(self, label: KeyLabel, digest: bytes) -> bytes:
        """Raises `KeyNotFound`, `HsmUnavailable`, `SignatureMismatch`; `ValueError` for a digest of odd length."""
        prehashed(digest)
        with self._session.calls():
            pair = self._pair(label)
            raw = pair.private.sign(digest, mechanism=Mechanism.ECDSA)
        if len(raw) != pair.signature_bytes:
            raise SignatureMismatch(f"the signature by {label} has {len(raw)} bytes")
        signature = der_signature(raw)
        try:
            verify(pair.public, digest, signature)
        except SignatureMismatch:
            raise SignatureMismatch(f"the signature by {label} does not verify under its public key") from None
        return signature

    def _pair(self, label: KeyLabel) -> _KeyPair:
        pair = self._pairs.get(label)
        if pair is None:
            private = self._session.find(ObjectClass.PRIVATE_KEY, label, SIGNING_KEY)
            half = self._session.find(ObjectClass.PUBLIC_KEY, label)
            public = public_key_from_token(half[Attribute.EC_PARAMS], half[Attribute.EC_POINT])
            try:
                verifying_key(public)
            except ValueError:
                raise HsmUnavailable(f"the public key of {label} is not on its curve") from None
            pair = _KeyPair(private, public, 2 * CURVES[public.curve].coordinate_bytes)
            self._pairs[label] = pair
        return pair

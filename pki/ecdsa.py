"""Digests and ECDSA verification in the terms of this room."""

import hashlib

from hsm import verification
from hsm.errors import SignatureMismatch
from hsm.ports import Curve, PublicKey
from pki.errors import SignatureInvalid

DIGEST_BYTES = frozenset({32, 48, 64})
"""Lengths of SHA-256, SHA-384 and SHA-512."""

HASH_OF_CURVE: dict[Curve, str] = {
    Curve.P256: "sha256",
    Curve.P384: "sha384",
    Curve.P521: "sha512",
    Curve.BRAINPOOL_P256: "sha256",
    Curve.BRAINPOOL_P384: "sha384",
    Curve.BRAINPOOL_P512: "sha512",
}
"""The hash as long as the curve's order (ICAO 9303-12 §4.1.6.1.3; TS 119 312 §6)."""


def digest(hash_name: str, data: bytes) -> bytes:
    """The digest of `data`; names as `hashlib` has them."""
    return hashlib.new(hash_name, data).digest()


def verify(public: PublicKey, digest_: bytes, signature: bytes) -> None:
    """Raises `SignatureInvalid` unless `signature` (DER) over `digest_` is by `public`."""
    if len(digest_) not in DIGEST_BYTES:
        raise SignatureInvalid("the digest has no length of SHA-256, SHA-384 or SHA-512")
    try:
        verification.verify(public, digest_, signature)
    except (SignatureMismatch, ValueError):
        raise SignatureInvalid("the signature does not verify") from None

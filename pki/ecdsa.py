"""Verifying ECDSA signatures over digests, on every curve the centre knows.

The only module of this room that computes with `cryptography`; its objects do not leave it.
"""

import hashlib
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from hsm.ports import Curve, PublicKey
from pki.errors import SignatureInvalid

_CURVES: dict[Curve, ec.EllipticCurve] = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
    Curve.BRAINPOOL_P256: ec.BrainpoolP256R1(),
    Curve.BRAINPOOL_P384: ec.BrainpoolP384R1(),
    Curve.BRAINPOOL_P512: ec.BrainpoolP512R1(),
}
# ECDSA takes any digest: the hash named here only tells its length
_SCHEMES = {
    algorithm.digest_size: ec.ECDSA(Prehashed(algorithm))
    for algorithm in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
}

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


@lru_cache(maxsize=64)
def _key(public: PublicKey) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[public.curve], public.point)


def verify(public: PublicKey, digest_: bytes, signature: bytes) -> None:
    """Raises `SignatureInvalid` unless `signature` (DER) over `digest_` is by `public`."""
    scheme = _SCHEMES.get(len(digest_))
    if scheme is None:
        raise SignatureInvalid("the digest has no length of SHA-256, SHA-384 or SHA-512")
    try:
        _key(public).verify(signature, digest_, scheme)
    except (InvalidSignature, ValueError):
        raise SignatureInvalid("the signature does not verify") from None

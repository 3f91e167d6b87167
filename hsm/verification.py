"""ECDSA verification outside the HSM: pure arithmetic on public values, on every curve the centre knows.

A signature is checked twice on its way: by the signer before it leaves, under the token's public key, and by whoever
asked for it, under the key of the certificate it is for. Where the two keys are the same octets, as they should be,
the second check is the same sum as the first; what verified a moment ago is remembered and not computed again. Only
successes are remembered, only for the very same key, digest and signature.
"""

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from hsm.curves import prehashed, verifying_key
from hsm.errors import SignatureMismatch
from hsm.ports import PublicKey

REMEMBERED = 16


def verify(public: PublicKey, digest: bytes, signature: bytes) -> None:
    """Raises `SignatureMismatch` unless `signature` (DER) over `digest` (32, 48 or 64 bytes) is by `public`.

    `ValueError` for a point that is not on its curve and for a digest of another length.
    """
    _verified(public, digest, signature)


@lru_cache(maxsize=REMEMBERED)
def _verified(public: PublicKey, digest: bytes, signature: bytes) -> None:
    # An exception is never remembered: what does not verify is computed every time.
    algorithm = prehashed(digest)
    try:
        _key(public).verify(signature, digest, algorithm)
    except InvalidSignature:
        raise SignatureMismatch("the signature does not verify under the public key") from None


@lru_cache(maxsize=64)
def _key(public: PublicKey) -> ec.EllipticCurvePublicKey:
    return verifying_key(public)

"""Verification outside the HSM: what verified is remembered, and nothing else is."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm import verification
from hsm.errors import SignatureMismatch
from hsm.ports import Curve, PublicKey
from hsm.verification import verify

DIGEST = bytes(range(32))


def made() -> tuple[PublicKey, bytes]:
    private = ec.generate_private_key(ec.SECP256R1())
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return PublicKey(Curve.P256, point), private.sign(DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))


def computed() -> int:
    return verification._verified.cache_info().misses


def test_the_same_sum_is_done_once() -> None:
    public, signature = made()
    verify(public, DIGEST, signature)
    before = computed()
    verify(PublicKey(Curve.P256, bytes(public.point)), bytes(DIGEST), bytes(signature))
    assert computed() == before


def test_what_was_remembered_helps_no_other_key_digest_or_signature() -> None:
    public, signature = made()
    other, other_signature = made()
    verify(public, DIGEST, signature)
    verify(other, DIGEST, other_signature)
    for attempt in ((other, DIGEST, signature), (public, bytes(32), signature), (public, DIGEST, other_signature)):
        with pytest.raises(SignatureMismatch):
            verify(*attempt)


def test_a_failure_is_never_remembered() -> None:
    public, _ = made()
    _, strange = made()
    for _ in range(2):
        before = computed()
        with pytest.raises(SignatureMismatch):
            verify(public, DIGEST, strange)
        assert computed() == before + 1


def test_little_is_remembered() -> None:
    public, signature = made()
    verify(public, DIGEST, signature)
    for _ in range(verification.REMEMBERED):
        other, other_signature = made()
        verify(other, DIGEST, other_signature)
    before = computed()
    verify(public, DIGEST, signature)
    assert computed() == before + 1


def test_a_point_off_its_curve_and_a_strange_digest_are_no_keys_and_no_digests() -> None:
    public, signature = made()
    with pytest.raises(ValueError, match=r"."):
        verify(PublicKey(Curve.P256, public.point[:-1] + bytes([public.point[-1] ^ 1])), DIGEST, signature)
    with pytest.raises(ValueError, match="SHA-2"):
        verify(public, bytes(20), signature)

"""`Signer` on a real token."""

import dataclasses
import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm.errors import KeyNotFound, SignatureMismatch
from hsm.labels import STORAGE_KEY
from hsm.pkcs11 import Pkcs11Hsm
from hsm.ports import Curve, KeyLabel, PublicKey
from tests.hsm.conftest import Token

pytestmark = pytest.mark.services

MESSAGE = b"A message of the tests"
CURVES = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
    Curve.BRAINPOOL_P256: ec.BrainpoolP256R1(),
    Curve.BRAINPOOL_P384: ec.BrainpoolP384R1(),
    Curve.BRAINPOOL_P512: ec.BrainpoolP512R1(),
}


@pytest.mark.parametrize("algorithm", [hashes.SHA224(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
@pytest.mark.parametrize("curve", Curve)
def test_signature_verifies(
    hsm: Pkcs11Hsm, token: Token, label_of: Callable[[Curve], KeyLabel], curve: Curve, algorithm: hashes.HashAlgorithm
) -> None:
    public = hsm.public_key(label_of(curve))
    assert public == token.signing_keys[curve]
    signature = hsm.sign(label_of(curve), hashlib.new(algorithm.name, MESSAGE).digest())
    key = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[public.curve], public.point)
    key.verify(signature, MESSAGE, ec.ECDSA(algorithm))


@pytest.mark.parametrize("length", [0, 20, 31, 100])
def test_only_sha2_digests_are_signed(hsm: Pkcs11Hsm, label_of: Callable[[Curve], KeyLabel], length: int) -> None:
    with pytest.raises(ValueError, match="digest"):
        hsm.sign(label_of(Curve.P256), bytes(length))


@pytest.mark.parametrize("label", ["no-such-key", STORAGE_KEY, "exchange-key"])
def test_unknown_labels_and_keys_that_do_not_sign(hsm: Pkcs11Hsm, label: str) -> None:
    with pytest.raises(KeyNotFound):
        hsm.sign(KeyLabel(label), bytes(32))
    with pytest.raises(KeyNotFound):
        hsm.public_key(KeyLabel(label))


def test_signature_of_another_key_never_leaves(hsm: Pkcs11Hsm, label_of: Callable[[Curve], KeyLabel]) -> None:
    label = label_of(Curve.P256)
    hsm.public_key(label)
    pairs = hsm._signer._pairs
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = stranger.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    pairs[label] = dataclasses.replace(pairs[label], public=PublicKey(Curve.P256, point))
    with pytest.raises(SignatureMismatch):
        hsm.sign(label, bytes(32))

"""Curves as PKCS#11 and `cryptography` know them, and the conversions between points, keys and signatures."""

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from hsm.errors import HsmUnavailable
from hsm.ports import Curve, PublicKey


@dataclass(frozen=True, slots=True)
class CurveFacts:
    """What must be known of a curve to talk to a token about it."""

    parameters: bytes
    """CKA_EC_PARAMS: the curve's OID in DER (SoftHSM gives back what it was given)."""
    coordinate_bytes: int
    curve: ec.EllipticCurve


# OIDs: RFC 5480 §2.1.1.1 (secp256r1, secp384r1, secp521r1), RFC 5639 §4.1 (brainpool)
CURVES = {
    Curve.P256: CurveFacts(bytes.fromhex("06082a8648ce3d030107"), 32, ec.SECP256R1()),
    Curve.P384: CurveFacts(bytes.fromhex("06052b81040022"), 48, ec.SECP384R1()),
    Curve.P521: CurveFacts(bytes.fromhex("06052b81040023"), 66, ec.SECP521R1()),
    Curve.BRAINPOOL_P256: CurveFacts(bytes.fromhex("06092b2403030208010107"), 32, ec.BrainpoolP256R1()),
    Curve.BRAINPOOL_P384: CurveFacts(bytes.fromhex("06092b240303020801010b"), 48, ec.BrainpoolP384R1()),
    Curve.BRAINPOOL_P512: CurveFacts(bytes.fromhex("06092b240303020801010d"), 64, ec.BrainpoolP512R1()),
}
_BY_PARAMETERS = {facts.parameters: curve for curve, facts in CURVES.items()}

# ECDSA takes a digest and does not care which function made it: the hash named here only tells its length.
_PREHASHED = {
    algorithm.digest_size: ec.ECDSA(Prehashed(algorithm))
    for algorithm in (hashes.SHA224(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
}


def public_key_from_token(parameters: bytes, point: bytes) -> PublicKey:
    """From CKA_EC_PARAMS and CKA_EC_POINT (an OCTET STRING around the point). Raises `HsmUnavailable`."""
    curve = _BY_PARAMETERS.get(parameters)
    if curve is None:
        raise HsmUnavailable("a key of the token is on a curve that is not ours")
    return PublicKey(curve, uncompressed_point(curve, point))


def uncompressed_point(curve: Curve, octet_string: bytes) -> bytes:
    """The point 04 | X | Y inside the DER OCTET STRING of CKA_EC_POINT. Raises `HsmUnavailable`."""
    point = octet_string[-(1 + 2 * CURVES[curve].coordinate_bytes) :]
    header = b"\x04\x81" if len(point) > 127 else b"\x04"
    if octet_string != header + bytes([len(point)]) + point or point[0] != 4:
        raise HsmUnavailable("the token gave a point in a form that is not ours")
    return point


def verifying_key(public: PublicKey) -> ec.EllipticCurvePublicKey:
    """The key `cryptography` verifies with. Raises `ValueError` for a point that is not on the curve."""
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVES[public.curve].curve, public.point)


def prehashed(digest: bytes) -> ec.ECDSA:
    """ECDSA over this digest. Raises `ValueError` unless it has the length of a SHA-2 digest."""
    algorithm = _PREHASHED.get(len(digest))
    if algorithm is None:
        raise ValueError(f"a digest of {len(digest)} bytes is none of SHA-2")
    return algorithm


def der_signature(raw: bytes) -> bytes:
    """`ECDSA-Sig-Value` (RFC 3279 §2.2.3) from r | s as CKM_ECDSA gives it (PKCS#11 2.40 mechanisms §2.3.1)."""
    half = len(raw) // 2
    return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))

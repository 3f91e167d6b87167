"""The public keys by which machine clients are known: read from PEM, named by what they are.

A key for `private_key_jwt` is named by its RFC 7638 thumbprint, a certificate for mTLS by its SHA-256.
"""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from personalization.errors import EngineError

LEAST_RSA_BITS = 2048
CURVES = {SECP256R1.name: ("P-256", "ES256"), SECP384R1.name: ("P-384", "ES384")}
CLIENT_AUTHENTICATION = ExtendedKeyUsageOID.CLIENT_AUTH


class KeyRefused(EngineError):
    """A public key or certificate that this centre does not take; the sentence says why."""


class KeyKind(StrEnum):
    """How a key proves who calls."""

    JWT = "jwt"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A key's name, what it is for, and its public half (DER: SubjectPublicKeyInfo or certificate)."""

    kid: str
    kind: KeyKind
    public: bytes


Verifying = EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey


def key_from_pem(pem: bytes) -> ClientKey:
    """The key for `private_key_jwt` in a PEM file. Raises `KeyRefused`."""
    try:
        loaded = load_pem_public_key(pem)
    except (ValueError, TypeError):
        raise KeyRefused("not a public key in PEM (`openssl pkey -in private.pem -pubout` writes one)") from None
    key = _taken(loaded)
    return ClientKey(thumbprint(key), KeyKind.JWT, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def certificate_from_pem(pem: bytes, now: datetime) -> ClientKey:
    """The certificate for mTLS in a PEM file; self-signed is as good as any (RFC 8705 §2.2). Raises `KeyRefused`."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        usage = _extended_usage(certificate)
        public = certificate.public_key()
    except ValueError:
        raise KeyRefused("not a certificate in PEM") from None
    _taken(public)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise KeyRefused("the certificate is not valid today")
    if usage is not None and CLIENT_AUTHENTICATION not in usage:
        raise KeyRefused("the certificate's extended key usage leaves out client authentication")
    der = certificate.public_bytes(Encoding.DER)
    return ClientKey(certificate_name(der), KeyKind.CERTIFICATE, der)


def verifying_key(der: bytes) -> tuple[Verifying, str]:
    """A stored key and the one JWS algorithm it verifies (RFC 7518 §3.1, RFC 8037 §3.1)."""
    key = _taken(load_der_public_key(der))
    if isinstance(key, EllipticCurvePublicKey):
        return key, CURVES[key.curve.name][1]
    return key, "PS256" if isinstance(key, RSAPublicKey) else "EdDSA"


def certificate_name(der: bytes) -> str:
    """SHA-256 of a certificate, in hex."""
    return hashlib.sha256(der).hexdigest()


def thumbprint(key: Verifying) -> str:
    """RFC 7638 §3: SHA-256 over the required members in lexicographic order, base64url."""
    if isinstance(key, EllipticCurvePublicKey):
        numbers, name = key.public_numbers(), CURVES[key.curve.name][0]
        size = (key.curve.key_size + 7) // 8
        x, y = (_base64url(number.to_bytes(size, "big")) for number in (numbers.x, numbers.y))
        members = f'{{"crv":"{name}","kty":"EC","x":"{x}","y":"{y}"}}'
    elif isinstance(key, RSAPublicKey):
        e, n = (_base64url(_octets(number)) for number in (key.public_numbers().e, key.public_numbers().n))
        members = f'{{"e":"{e}","kty":"RSA","n":"{n}"}}'
    else:
        x = _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
        members = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'  # RFC 8037 appendix A.3
    return _base64url(hashlib.sha256(members.encode()).digest())


def _taken(key: object) -> Verifying:
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in CURVES:
        return key
    if isinstance(key, RSAPublicKey) and key.key_size >= LEAST_RSA_BITS:
        return key
    if isinstance(key, Ed25519PublicKey):
        return key
    raise KeyRefused(f"the key is none of EC P-256, EC P-384, Ed25519, or RSA of {LEAST_RSA_BITS} bits and more")


def _extended_usage(certificate: x509.Certificate) -> x509.ExtendedKeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")

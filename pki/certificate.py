"""Certificates in DER: to-be-signed octets from a profile, and the finished certificate.

What is the same in all certificates of a profile under one issuer is written once and kept.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from card_profiles.codecs import der, ec_parameters
from card_profiles.codecs.errors import CodecError
from hsm.ports import PublicKey
from pki.certificate_reading import Certificate, Extension, TbsCertificate, read_certificate, read_tbs
from pki.errors import CertificateRefused
from pki.extensions import authority_key_identifier, fixed_extensions, private_key_usage_period, subject_key_identifier
from pki.names import AuthorityName, Subject, holder_subject, name_der
from pki.object_identifiers import SIGNATURE_ALGORITHMS
from pki.profile import CertificateProfile

__all__ = [
    "AuthorityName",
    "Certificate",
    "Extension",
    "Subject",
    "TbsCertificate",
    "algorithm_identifier",
    "assemble",
    "build_tbs",
    "holder_subject",
    "key_identifier",
    "read_certificate",
    "read_tbs",
    "utc_seconds",
]

_VERSION_3 = der.explicit(0, der.integer(2))


def key_identifier(point: bytes) -> bytes:
    """SHA-1 of the public key's bits: RFC 5280 §4.2.1.2, method 1 (a name, not a protection)."""
    return hashlib.sha1(point, usedforsecurity=False).digest()


@dataclass(frozen=True, slots=True)
class _Shape:
    """What is the same in all certificates of a profile under one issuer, written once."""

    algorithm: bytes
    issuer_name: bytes
    before_key: bytes
    after_key: bytes


def _shape(profile: CertificateProfile, issuer_name: bytes, issuer_key_id: bytes) -> _Shape:
    authority = authority_key_identifier(issuer_key_id) if profile.authority_key_identifier else b""
    algorithm = algorithm_identifier(profile.signature_algorithm)
    return _Shape(algorithm, issuer_name, authority, fixed_extensions(profile, issuer_key_id))


@lru_cache(maxsize=64)
def _shape_under(profile: CertificateProfile, issuer: bytes) -> _Shape:
    authority = read_certificate(issuer)
    issuer_key_id = authority.body.key_identifier()
    if issuer_key_id is None:
        raise CertificateRefused("the issuer's certificate has no subject key identifier")
    return _shape(profile, authority.subject, issuer_key_id)


def algorithm_identifier(name: str) -> bytes:
    """AlgorithmIdentifier of an ECDSA signature, parameters absent (RFC 5758 §3.2)."""
    return der.sequence(der.oid(SIGNATURE_ALGORITHMS[name]))


def build_tbs(
    profile: CertificateProfile,
    *,
    serial: int,
    subject: Subject | AuthorityName,
    not_before: datetime,
    not_after: datetime,
    public_key: PublicKey,
    issuer: bytes | None,
) -> bytes:
    """To-be-signed octets (RFC 5280 §4.1.2). `issuer` is the issuer's DER certificate, None for a self-signed one.

    Times are aware, whole seconds. Raises `SubjectRefused`, `CertificateRefused`.
    """
    name = name_der(profile, subject.attributes())
    key_id = key_identifier(public_key.point)
    shape = _shape(profile, name, key_id) if issuer is None else _shape_under(profile, issuer)
    try:
        key = ec_parameters.public_key_info(public_key.curve, public_key.point, profile.explicit_parameters)
        period = b""
        if profile.travel_document is not None:
            period = private_key_usage_period(not_before, profile.travel_document)
        return der.sequence(
            _VERSION_3,
            der.integer(serial),
            shape.algorithm,
            shape.issuer_name,
            der.sequence(der.time(not_before), der.time(not_after)),
            name,
            key,
            der.explicit(3, der.sequence(shape.before_key, subject_key_identifier(key_id), shape.after_key, period)),
        )
    except CodecError as error:
        raise CertificateRefused(str(error)) from None


def assemble(tbs: bytes, signature_algorithm: str, signature: bytes) -> bytes:
    """The DER certificate of signed octets and their signature."""
    return der.sequence(tbs, algorithm_identifier(signature_algorithm), der.bit_string(signature))


def utc_seconds(moment: datetime) -> datetime:
    """The same moment in UTC without its fraction of a second."""
    return moment.astimezone(UTC).replace(microsecond=0)

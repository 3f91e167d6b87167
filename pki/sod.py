"""EF.SOD: the document signer's signature over the hashes of all data groups (ICAO Doc 9303-10 §4.6.2).

Built in our own DER from parts that are the same for every document of a signer; verified in numbered steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from card_profiles.codecs import der
from hsm.errors import SignatureMismatch
from hsm.ports import PublicKey, Signer
from pki import object_identifiers as oids
from pki.authorities import Authority
from pki.certificate import algorithm_identifier, read_certificate, utc_seconds
from pki.ecdsa import HASH_OF_CURVE, digest, verify
from pki.errors import DocumentSignerNotUsable, SignatureInvalid
from pki.lint import extension_values as values
from pki.sod_verification import verify_ef_sod

__all__ = ["build_ef_sod", "verify_ef_sod"]

EF_SOD_TAG = 0x77
_CMS_VERSION_3 = der.integer(3)  # RFC 5652 §5.1: an eContentType other than id-data
_ALGORITHM_OF_HASH = {"sha256": "ecdsa-with-SHA256", "sha384": "ecdsa-with-SHA384", "sha512": "ecdsa-with-SHA512"}
# EF.COM and this object both say it: LDS version 1.8, Unicode version 4.0.0
_LDS_VERSION = der.sequence(der.printable("0108"), der.printable("040000"))


@dataclass(frozen=True, slots=True)
class _SignerParts:
    """What is the same in every EF.SOD of one document signer."""

    public_key: PublicKey
    hash_name: str
    hash_identifier: bytes
    signature_identifier: bytes
    issuer_and_serial: bytes
    certificates: bytes
    key_use: tuple[datetime | None, datetime | None]


@lru_cache(maxsize=16)
def _signer_parts(der_certificate: bytes) -> _SignerParts:
    certificate = read_certificate(der_certificate)
    public_key = certificate.public_key()
    hash_name = HASH_OF_CURVE[public_key.curve]
    period = certificate.extensions.get(oids.PRIVATE_KEY_USAGE_PERIOD)
    return _SignerParts(
        public_key=public_key,
        hash_name=hash_name,
        hash_identifier=der.sequence(der.oid(oids.HASHES[hash_name])),  # RFC 5754 §2: without NULL
        signature_identifier=algorithm_identifier(_ALGORITHM_OF_HASH[hash_name]),
        issuer_and_serial=der.sequence(certificate.issuer, der.integer(certificate.serial)),
        certificates=der.explicit(0, der_certificate),
        key_use=(None, None) if period is None else values.usage_period(period.value),
    )


def build_ef_sod(
    signer: Signer, document_signer: Authority, data_groups: Mapping[int, bytes], *, now: datetime
) -> bytes:
    """The whole EF.SOD over `data_groups` (number -> whole EF), signed at `now`.

    Raises `DocumentSignerNotUsable` outside the signer's key usage period, `SignatureMismatch` when the signature that
    came back does not verify (the line must halt), `ValueError` for fewer than two data groups, and what the signer
    raises.
    """
    parts = _signer_parts(document_signer.certificate)
    signing_time = utc_seconds(now)
    _check_key_use(parts, signing_time)
    content = security_object(parts.hash_name, data_groups)
    attributes = _signed_attributes(digest(parts.hash_name, content), signing_time)
    to_be_signed = digest(parts.hash_name, der.set_of(*attributes))  # RFC 5652 §5.4: as SET OF, not as [0]
    signature = signer.sign(document_signer.label, to_be_signed)
    try:
        verify(parts.public_key, to_be_signed, signature)
    except SignatureInvalid:
        raise SignatureMismatch("an EF.SOD's signature does not verify under its document signer's key") from None
    signer_info = der.sequence(
        der.integer(1),  # RFC 5652 §5.3: issuerAndSerialNumber
        parts.issuer_and_serial,
        parts.hash_identifier,
        der.explicit(0, *sorted(attributes)),
        parts.signature_identifier,
        der.octet_string(signature),
    )
    return _wrap(parts, content, signer_info)


def _wrap(parts: _SignerParts, content: bytes, signer_info: bytes) -> bytes:
    signed_data = der.sequence(
        _CMS_VERSION_3,
        der.set_of(parts.hash_identifier),
        der.sequence(der.oid(oids.LDS_SECURITY_OBJECT), der.explicit(0, der.octet_string(content))),
        parts.certificates,
        der.set_of(signer_info),
    )
    return der.encode(EF_SOD_TAG, der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, signed_data)))


def security_object(hash_name: str, data_groups: Mapping[int, bytes]) -> bytes:
    """DER LDSSecurityObject, version 1 (ICAO 9303-10 §4.6.2.3): hashes of whole EFs in the order of their numbers."""
    if not 2 <= len(data_groups) <= 16 or not all(1 <= number <= 16 for number in data_groups):
        raise ValueError("an LDS security object is over 2 to 16 data groups numbered 1 to 16")
    hashes = [
        der.sequence(der.integer(number), der.octet_string(digest(hash_name, data_groups[number])))
        for number in sorted(data_groups)
    ]
    identifier = der.sequence(der.oid(oids.HASHES[hash_name]))
    return der.sequence(der.integer(1), identifier, der.sequence(*hashes), _LDS_VERSION)


def _signed_attributes(message_digest: bytes, signing_time: datetime) -> tuple[bytes, ...]:
    """RFC 5652 §11: content type, message digest, signing time."""
    pairs = (
        (oids.CONTENT_TYPE, der.oid(oids.LDS_SECURITY_OBJECT)),
        (oids.MESSAGE_DIGEST, der.octet_string(message_digest)),
        (oids.SIGNING_TIME, der.time(signing_time)),
    )
    return tuple(der.sequence(der.oid(oid), der.encode(der.SET, value)) for oid, value in pairs)


def _check_key_use(parts: _SignerParts, signing_time: datetime) -> None:
    start, end = parts.key_use
    if (start is not None and signing_time < start) or (end is not None and signing_time > end):
        raise DocumentSignerNotUsable("the time is outside the document signer's private key usage period")

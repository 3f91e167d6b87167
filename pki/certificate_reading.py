"""Certificates, read back: strictly DER, of the kinds this centre issues."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType

from card_profiles.codecs import der, ec_parameters
from card_profiles.codecs.errors import CodecError
from hsm.ports import Curve, PublicKey
from pki.errors import CertificateRefused
from pki.object_identifiers import SIGNATURE_ALGORITHMS, SUBJECT_KEY_IDENTIFIER

# Most parts are the same in thousands of certificates; what was read of them is kept. Subjects are never kept.
_REMEMBERED = lru_cache(maxsize=512)
_ALGORITHM_NAMES = {oid: name for name, oid in SIGNATURE_ALGORITHMS.items()}


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension as it stands: dotted type, criticality, DER value, and whether `critical FALSE` was written out."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class TbsCertificate:
    """What is signed, read. Names, key and times stay DER beside what they mean.

    `version` is 3 for v3. `signature_algorithm` is a name of `SIGNATURE_ALGORITHMS`. `listed` are all extensions in
    order, `extensions` the same by dotted type.
    """

    der: bytes
    version: int
    serial: int
    signature_algorithm: str
    issuer: bytes
    not_before: datetime
    not_after: datetime
    time_tags: tuple[int, int]
    subject: bytes
    public_key_info: bytes
    has_unique_identifiers: bool
    listed: tuple[Extension, ...]
    extensions: Mapping[str, Extension]

    def public_key(self) -> PublicKey:
        """Raises `CertificateRefused` when the key is on no curve the centre knows."""
        try:
            curve, point = ec_parameters.read_public_key_info(self.public_key_info)
        except CodecError as error:
            raise CertificateRefused(f"subject public key: {error}") from None
        return PublicKey(Curve(curve), point)

    def key_identifier(self) -> bytes | None:
        """The subject key identifier, None when there is none."""
        found = self.extensions.get(SUBJECT_KEY_IDENTIFIER)
        return None if found is None else der.read_octet_string(der.parse(found.value))


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, read: `tbs` are the signed octets, `body` what they say."""

    der: bytes
    tbs: bytes
    body: TbsCertificate
    signature: bytes

    @property
    def serial(self) -> int:
        """The serial number."""
        return self.body.serial

    @property
    def issuer(self) -> bytes:
        """DER name of the issuer."""
        return self.body.issuer

    @property
    def subject(self) -> bytes:
        """DER name of the subject."""
        return self.body.subject

    @property
    def not_before(self) -> datetime:
        """First second of validity, UTC."""
        return self.body.not_before

    @property
    def not_after(self) -> datetime:
        """Last second of validity, UTC."""
        return self.body.not_after

    @property
    def public_key_info(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return self.body.public_key_info

    @property
    def extensions(self) -> Mapping[str, Extension]:
        """Extensions by dotted type."""
        return self.body.extensions

    def public_key(self) -> PublicKey:
        """The subject's public key. Raises `CertificateRefused`."""
        return self.body.public_key()


def split_certificate(data: bytes) -> tuple[bytes, str, bytes]:
    """Signed octets, name of the signature algorithm and signature of a DER certificate, nothing inside them read.

    Raises `CertificateRefused`.
    """
    try:
        parts = der.children(der.parse(data), der.SEQUENCE)
        if len(parts) != 3:
            raise CertificateRefused("a certificate has three parts")
        algorithm = _signature_algorithm(parts[1].whole)
        signature, unused_bits = der.read_bit_string(parts[2])
    except CodecError as error:
        raise CertificateRefused(str(error)) from None
    if unused_bits:
        raise CertificateRefused("the signature is not whole octets")
    return parts[0].whole, algorithm, signature


def signature_algorithm_of(tbs: bytes) -> str:
    """The name of the algorithm that to-be-signed octets say they are signed by, nothing else inside them read.

    Raises `CertificateRefused`.
    """
    try:
        parts = der.children(der.parse(tbs), der.SEQUENCE)
        if len(parts) < 3 or parts[0].tag != 0xA0:
            raise CertificateRefused("to-be-signed octets have too few parts")
        return _signature_algorithm(parts[2].whole)
    except CodecError as error:
        raise CertificateRefused(str(error)) from None


def read_certificate(data: bytes) -> Certificate:
    """A DER certificate of the kinds this centre issues. Raises `CertificateRefused`."""
    tbs, algorithm, signature = split_certificate(data)
    body = read_tbs(tbs)
    if algorithm != body.signature_algorithm:
        raise CertificateRefused("inner and outer signature algorithms differ")
    return Certificate(data, tbs, body, signature)


def read_tbs(tbs: bytes) -> TbsCertificate:
    """To-be-signed octets, read strictly. Raises `CertificateRefused`."""
    try:
        return _read_tbs(tbs)
    except CodecError as error:
        raise CertificateRefused(str(error)) from None


def _read_tbs(tbs: bytes) -> TbsCertificate:
    parts = list(der.children(der.parse(tbs), der.SEQUENCE))
    version = 1
    if parts and parts[0].tag == 0xA0:
        version = der.read_integer(_only(parts.pop(0))) + 1
    if len(parts) < 6:
        raise CertificateRefused("to-be-signed octets have too few parts")
    serial, algorithm, issuer, validity, subject, key, *rest = parts
    times = der.children(validity, der.SEQUENCE)
    if len(times) != 2:
        raise CertificateRefused("a validity is two times")
    listed = _read_extensions(rest)
    return TbsCertificate(
        der=tbs,
        version=version,
        serial=der.read_integer(serial),
        signature_algorithm=_signature_algorithm(algorithm.whole),
        issuer=issuer.whole,
        not_before=_time(times[0].whole),
        not_after=_time(times[1].whole),
        time_tags=(times[0].tag, times[1].tag),
        subject=subject.whole,
        public_key_info=key.whole,
        has_unique_identifiers=any(part.tag != 0xA3 for part in rest),
        listed=listed,
        extensions=MappingProxyType({item.oid: item for item in listed}),
    )


def _only(element: der.Element) -> der.Element:
    inner = der.children(element)
    if len(inner) != 1:
        raise CertificateRefused(f"one element expected inside {element.tag:02X}")
    return inner[0]


@_REMEMBERED
def _signature_algorithm(identifier: bytes) -> str:
    """RFC 5758 §3.2: the algorithm alone, its parameters are absent."""
    element = der.expect(der.parse(identifier), der.SEQUENCE)
    name = _ALGORITHM_NAMES.get(der.read_oid(_only(element)))
    if name is None:
        raise CertificateRefused("the signature algorithm is not one of this centre")
    return name


@_REMEMBERED
def _time(whole: bytes) -> datetime:
    return der.read_time(der.parse(whole))


def _read_extensions(rest: list[der.Element]) -> tuple[Extension, ...]:
    wrapped = [part for part in rest if part.tag == 0xA3]
    if not wrapped:
        return ()
    return tuple(_read_extension(item.whole) for item in der.children(_only(wrapped[0]), der.SEQUENCE))


@_REMEMBERED
def _read_extension(whole: bytes) -> Extension:
    parts = der.children(der.parse(whole), der.SEQUENCE)
    if len(parts) not in (2, 3):
        raise CertificateRefused("an extension has two or three parts")
    critical = len(parts) == 3 and der.read_boolean(parts[1])
    if len(parts) == 3 and not critical:
        raise CertificateRefused("critical FALSE is written out")  # X.690 §11.5
    return Extension(der.read_oid(parts[0]), critical, der.read_octet_string(parts[-1]))

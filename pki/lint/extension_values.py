"""Extension values, read for the rules.

Most values are the same in thousands of certificates, so what was read of them is kept. Every function raises
`DerError`; unknown parts are refused, not passed over.
"""

from datetime import datetime
from functools import lru_cache

from card_profiles.codecs import der
from card_profiles.codecs.der import DerError, Element

_REMEMBERED = lru_cache(maxsize=256)


@_REMEMBERED
def policies(value: bytes) -> tuple[tuple[str, tuple[tuple[str, bytes], ...]], ...]:
    """CertificatePolicies: identifier, and qualifiers as (identifier, DER of the qualifier)."""
    found = []
    for information in der.children(der.parse(value), der.SEQUENCE):
        identifier, *qualifiers = der.children(information, der.SEQUENCE)
        read = [_pair(item) for group in qualifiers for item in der.children(group, der.SEQUENCE)]
        found.append((der.read_oid(identifier), tuple((der.read_oid(kind), text.whole) for kind, text in read)))
    return tuple(found)


def notice_length(qualifier: bytes) -> int:
    """Characters of the longest text in a UserNotice (RFC 5280 §4.2.1.4)."""
    texts = [part for part in der.children(der.parse(qualifier), der.SEQUENCE) if not part.is_constructed]
    sizes = [len(part.content.decode("utf-16-be" if part.tag == 0x1E else "utf-8", "replace")) for part in texts]
    return max(sizes, default=0)


@_REMEMBERED
def purposes(value: bytes) -> tuple[str, ...]:
    """ExtKeyUsageSyntax."""
    return tuple(der.read_oid(item) for item in der.children(der.parse(value), der.SEQUENCE))


@_REMEMBERED
def key_usage(value: bytes) -> frozenset[int]:
    """Bits of KeyUsage that are set."""
    bits = der.read_named_bits(der.parse(value))
    if der.named_bits(bits) != value:
        raise DerError("a list of named bits ends in zeros")  # X.690 §11.2.2
    return bits


@_REMEMBERED
def basic_constraints(value: bytes) -> tuple[bool, int | None]:
    """cA and pathLenConstraint."""
    parts = list(der.children(der.parse(value), der.SEQUENCE))
    is_ca = bool(parts) and parts[0].tag == der.BOOLEAN and der.read_boolean(parts.pop(0))
    length = der.read_integer(parts.pop(0)) if parts else None
    if parts:
        raise DerError("basic constraints have too many parts")
    return is_ca, length


@_REMEMBERED
def statements(value: bytes) -> tuple[tuple[str, bytes | None], ...]:
    """QCStatements: identifier and DER of the information."""
    found = []
    for statement in der.children(der.parse(value), der.SEQUENCE):
        identifier, *information = der.children(statement, der.SEQUENCE)
        if len(information) > 1:
            raise DerError("a statement has too many parts")
        found.append((der.read_oid(identifier), information[0].whole if information else None))
    return tuple(found)


@_REMEMBERED
def identifiers(information: bytes) -> tuple[str, ...]:
    """Dotted identifiers directly inside a SEQUENCE: semantics information, QcType."""
    inside = der.children(der.parse(information), der.SEQUENCE)
    return tuple(der.read_oid(item) for item in inside if item.tag == der.OBJECT_IDENTIFIER)


@_REMEMBERED
def disclosure(information: bytes) -> tuple[tuple[str, str], ...]:
    """QcEuPDS: URL and language of every place."""
    pairs = [_pair(place) for place in der.children(der.parse(information), der.SEQUENCE)]
    return tuple(
        (der.read_text(der.expect(url, der.IA5_STRING)), der.read_text(der.expect(language, der.PRINTABLE_STRING)))
        for url, language in pairs
    )


@_REMEMBERED
def distribution_points(value: bytes) -> tuple[str, ...]:
    """URLs of CRLDistributionPoints, full names only."""
    addresses = []
    for point in der.children(der.parse(value), der.SEQUENCE):
        for part in der.children(point, der.SEQUENCE):
            for name in der.children(der.expect(part, 0xA0)):
                addresses += [_address(general) for general in der.children(der.expect(name, 0xA0))]
    return tuple(addresses)


@_REMEMBERED
def accesses(value: bytes) -> tuple[tuple[str, str], ...]:
    """AuthorityInfoAccess: method and URL."""
    pairs = [_pair(item) for item in der.children(der.parse(value), der.SEQUENCE)]
    return tuple((der.read_oid(method), _address(place)) for method, place in pairs)


@_REMEMBERED
def general_names(value: bytes) -> tuple[Element, ...]:
    """GeneralNames as they stand."""
    return der.children(der.parse(value), der.SEQUENCE)


def authority_key_identifier(value: bytes) -> bytes | None:
    """keyIdentifier of AuthorityKeyIdentifier."""
    parts = der.children(der.parse(value), der.SEQUENCE)
    return next((part.content for part in parts if part.tag == 0x80), None)


def usage_period(value: bytes) -> tuple[datetime | None, datetime | None]:
    """Both bounds of PrivateKeyUsagePeriod (RFC 3280 §4.2.1.4)."""
    bounds: dict[int, datetime] = {}
    for part in der.children(der.parse(value), der.SEQUENCE):
        if part.tag not in (0x80, 0x81) or part.tag in bounds:
            raise DerError("a private key usage period has two bounds at most")
        bounds[part.tag] = der.read_time(der.parse(der.encode(der.GENERALIZED_TIME, part.content)))
    return bounds.get(0x80), bounds.get(0x81)


def document_types(value: bytes) -> tuple[int, tuple[str, ...]]:
    """Version and codes of DocumentTypeList (ICAO 9303-12 §7.1.1.6)."""
    version, codes = _pair(der.parse(value))
    listed = der.children(codes, der.SET)
    return der.read_integer(version), tuple(der.read_text(der.expect(code, der.PRINTABLE_STRING)) for code in listed)


def _pair(element: Element) -> tuple[Element, Element]:
    parts = der.children(element, der.SEQUENCE)
    if len(parts) != 2:
        raise DerError(f"two parts expected at {element.offset}")
    return parts[0], parts[1]


def _address(element: Element) -> str:
    der.expect(element, 0x86)
    return element.content.decode("ascii", "replace")


def years(information: bytes) -> int:
    """QcEuRetentionPeriod."""
    return der.read_integer(der.parse(information))

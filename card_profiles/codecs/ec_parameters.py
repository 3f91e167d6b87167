"""Public keys on elliptic curves, with named or with explicit domain parameters.

ICAO 9303-12 §4.1.6 wants explicit parameters (with cofactor and uncompressed base point) in CSCA and document signer
certificates; common libraries refuse them. Here they are written, and read back to the curve they are.
"""

from card_profiles.codecs import der
from card_profiles.codecs.curves import CURVES, Domain
from card_profiles.codecs.errors import CodecError

_EC_PUBLIC_KEY = "1.2.840.10045.2.1"
_PRIME_FIELD = "1.2.840.10045.1.1"


class EcParametersError(CodecError):
    """Not a public key on a known curve."""


def explicit_parameters(curve_name: str) -> bytes:
    """DER SpecifiedECDomain of a curve: version 1, no seed (X9.62 §6.4; RFC 3279 §2.3.5 ECParameters)."""
    domain = _domain(curve_name)
    size = domain.field_bytes
    return der.sequence(
        der.integer(1),
        der.sequence(der.oid(_PRIME_FIELD), der.integer(domain.p)),
        # FieldElement: as many octets as the field (SEC 1 §2.3.5)
        der.sequence(
            der.octet_string(domain.a.to_bytes(size, "big")),
            der.octet_string(domain.b.to_bytes(size, "big")),
        ),
        der.octet_string(domain.encode_point(domain.x, domain.y)),
        der.integer(domain.n),
        der.integer(1),
    )


def public_key_info(curve_name: str, point: bytes, explicit: bool) -> bytes:
    """DER SubjectPublicKeyInfo (RFC 5480 §2) of an uncompressed point. Raises `EcParametersError`."""
    domain = _domain(curve_name)
    if not domain.holds(point):
        raise EcParametersError("the point is not an uncompressed point of the curve")
    parameters = explicit_parameters(curve_name) if explicit else der.oid(domain.oid)
    return der.sequence(der.sequence(der.oid(_EC_PUBLIC_KEY), parameters), der.bit_string(point))


def read_public_key_info(data: bytes) -> tuple[str, bytes]:
    """Curve name and uncompressed point of a DER SubjectPublicKeyInfo, with named or explicit parameters.

    Raises `DerError` (not DER) or `EcParametersError` (another algorithm, an unknown curve, or explicit parameters
    that differ from a known curve in p, a, b, G, n or h).
    """
    algorithm, key = _pair(der.parse(data), "SubjectPublicKeyInfo")
    identifier, parameters = _pair(algorithm, "AlgorithmIdentifier")
    if der.read_oid(identifier) != _EC_PUBLIC_KEY:
        raise EcParametersError("not an elliptic curve key")
    curve_name = read_parameters(parameters)
    point, unused_bits = der.read_bit_string(key)
    if unused_bits or not CURVES[curve_name].holds(point):
        raise EcParametersError("the point is not an uncompressed point of the curve")
    return curve_name, point


def has_explicit_parameters(data: bytes) -> bool:
    """Whether a SubjectPublicKeyInfo carries explicit parameters rather than the name of a curve."""
    algorithm, _ = _pair(der.parse(data), "SubjectPublicKeyInfo")
    _, parameters = _pair(algorithm, "AlgorithmIdentifier")
    return parameters.tag == der.SEQUENCE


def read_parameters(element: der.Element) -> str:
    """The name of the curve that EcpkParameters (named or explicit) are. Raises as `read_public_key_info`."""
    if element.tag == der.OBJECT_IDENTIFIER:
        identifier = der.read_oid(element)
        named = [name for name, domain in CURVES.items() if domain.oid == identifier]
    else:
        read = _read_explicit(element)
        named = [name for name, domain in CURVES.items() if _numbers(domain) == read]
    if not named:
        raise EcParametersError("the parameters are of no known curve")
    return named[0]


_Numbers = tuple[int, int, int, bytes, int, int]
"""p, a, b, uncompressed G, n, h: what must all be equal for a curve to be the same."""


def _numbers(domain: Domain) -> _Numbers:
    return domain.p, domain.a, domain.b, domain.encode_point(domain.x, domain.y), domain.n, 1


def _read_explicit(element: der.Element) -> _Numbers:
    parts = der.children(element, der.SEQUENCE)
    if len(parts) != 6:  # the cofactor is optional in X9.62, mandatory in ICAO 9303-12 §4.1.6
        raise EcParametersError("explicit parameters are version, field, curve, base, order and cofactor")
    version, field, curve, base, order, cofactor = parts
    if der.read_integer(version) not in (1, 2, 3):
        raise EcParametersError("the version of the parameters is unknown")
    kind, prime = _pair(field, "FieldID")
    if der.read_oid(kind) != _PRIME_FIELD:
        raise EcParametersError("not a prime field")
    p = der.read_integer(prime)
    a, b = _read_coefficients(curve, (p.bit_length() + 7) // 8)
    return p, a, b, der.read_octet_string(base), der.read_integer(order), der.read_integer(cofactor)


def _read_coefficients(curve: der.Element, field_bytes: int) -> tuple[int, int]:
    parts = der.children(curve, der.SEQUENCE)
    if len(parts) not in (2, 3):  # a seed may follow: it says how the curve was found, not which one it is
        raise EcParametersError("a curve is two coefficients and perhaps a seed")
    a, b = (der.read_octet_string(part) for part in parts[:2])
    if {len(a), len(b)} != {field_bytes}:
        raise EcParametersError("a coefficient does not fill the field's octets")
    return int.from_bytes(a, "big"), int.from_bytes(b, "big")


def _pair(element: der.Element, what: str) -> tuple[der.Element, der.Element]:
    parts = der.children(element, der.SEQUENCE)
    if len(parts) != 2:
        raise EcParametersError(f"{what} has two parts")
    return parts[0], parts[1]


def _domain(curve_name: str) -> Domain:
    try:
        return CURVES[curve_name]
    except KeyError:
        raise EcParametersError(f"curve {curve_name!r} is not known") from None

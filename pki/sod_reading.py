"""EF.SOD, read back: the signed data and what it says, strictly DER, exactly one signer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from card_profiles.codecs import der
from card_profiles.codecs.der import DerError, Element
from pki import object_identifiers as oids

_HASH_NAMES = {oid: name for name, oid in oids.HASHES.items()}
_SIGNATURE_HASHES = {oid: oids.SIGNATURE_HASHES[name] for name, oid in oids.SIGNATURE_ALGORITHMS.items()}


@dataclass(frozen=True, slots=True)
class SignedObject:
    """An EF.SOD as it stands.

    `content` is the DER LDSSecurityObject, `attributes` the DER of the signed attributes as SET OF (what is signed),
    `attribute_values` their single values by dotted type, `issuer_and_serial` the DER that names the signer.
    """

    content_type: str
    content: bytes
    certificate: bytes
    issuer_and_serial: bytes
    hash_name: str
    signature_hash: str
    attributes: bytes
    attribute_values: Mapping[str, bytes]
    signature: bytes


@dataclass(frozen=True, slots=True)
class SecurityObject:
    """LDSSecurityObject V1: hash, hashes of data groups by number, LDS and Unicode version."""

    hash_name: str
    hashes: Mapping[int, bytes]
    lds_version: str
    unicode_version: str


def read_ef_sod(data: bytes) -> SignedObject:
    """Raises `DerError` for anything that is not an EF.SOD of the form ICAO 9303-10 §4.6.2 demands."""
    outer = der.expect(der.parse(data), 0x77)
    content_info = _parts(der.parse(outer.content), 2)
    if der.read_oid(content_info[0]) != oids.SIGNED_DATA:
        raise DerError("not a SignedData")
    version, algorithms, encapsulated, certificates, signers = _parts(_only(content_info[1], 0xA0), 5)
    if der.read_integer(version) != 3:
        raise DerError("the version of SignedData is not 3")
    kind, wrapped = _parts(encapsulated, 2)
    signer = _parts(_only(signers, der.SET), 6)
    if der.read_integer(signer[0]) != 1:
        raise DerError("the version of SignerInfo is not 1: the signer is not named by issuer and serial number")
    hash_name = _hash(signer[2])
    if _hash(_only(algorithms, der.SET)) != hash_name:
        raise DerError("the digest algorithms of message and signer differ")
    values = _attributes(signer[3])
    return SignedObject(
        content_type=der.read_oid(kind),
        content=der.read_octet_string(_only(wrapped, 0xA0)),
        certificate=_only(certificates, 0xA0).whole,
        issuer_and_serial=der.expect(signer[1], der.SEQUENCE).whole,
        hash_name=hash_name,
        signature_hash=_signature_hash(signer[4]),
        attributes=der.encode(der.SET, signer[3].content),  # RFC 5652 §5.4
        attribute_values=values,
        signature=der.read_octet_string(signer[5]),
    )


def read_security_object(content: bytes) -> SecurityObject:
    """Raises `DerError`."""
    version, algorithm, hashes, lds = _parts(der.parse(content), 4)
    if der.read_integer(version) != 1:
        raise DerError("the version of the LDS security object is not 1")
    found: dict[int, bytes] = {}
    for item in der.children(hashes, der.SEQUENCE):
        number, value = _parts(item, 2)
        if der.read_integer(number) in found:
            raise DerError("a data group is listed twice")
        found[der.read_integer(number)] = der.read_octet_string(value)
    lds_version, unicode_version = (der.read_text(der.expect(part, der.PRINTABLE_STRING)) for part in _parts(lds, 2))
    return SecurityObject(_hash(algorithm), found, lds_version, unicode_version)


def read_signing_time(value: bytes) -> datetime:
    """Raises `DerError`."""
    return der.read_time(der.parse(value))


def _parts(element: Element, count: int) -> tuple[Element, ...]:
    found = der.children(element, der.SEQUENCE)
    if len(found) != count:
        raise DerError(f"{count} parts expected at {element.offset}, found {len(found)}")
    return found


def _only(element: Element, tag: int) -> Element:
    found = der.children(element, tag)
    if len(found) != 1:
        raise DerError(f"one element expected inside {tag:02X} at {element.offset}, found {len(found)}")
    return found[0]


def _hash(element: Element) -> str:
    """RFC 5754 §2: the identifier without parameters."""
    name = _HASH_NAMES.get(der.read_oid(_only(element, der.SEQUENCE)))
    if name is None:
        raise DerError("the digest algorithm is none of SHA-256, SHA-384 and SHA-512")
    return name


def _signature_hash(element: Element) -> str:
    name = _SIGNATURE_HASHES.get(der.read_oid(_only(element, der.SEQUENCE)))
    if name is None:
        raise DerError("the signature algorithm is none of this centre's")
    return name


def _attributes(element: Element) -> dict[str, bytes]:
    listed = der.children(element, 0xA0)
    if [item.whole for item in listed] != sorted(item.whole for item in listed):
        raise DerError("the signed attributes are not in the order of DER")  # X.690 §11.6
    found: dict[str, bytes] = {}
    for item in listed:
        kind, values = _parts(item, 2)
        if der.read_oid(kind) in found:
            raise DerError("a signed attribute is there twice")
        found[der.read_oid(kind)] = _only(values, der.SET).whole
    return found

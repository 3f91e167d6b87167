"""Directory files of the eID application "LatEID v2" (ISO/IEC 7816-15, PKCS #15 v1.1).

Real clients do not parse these files whole: they walk EF.OD → first A0{30{04 fid}} and A4{30{04 fid}}, EF.PrKD → second
30 inside A0 (EC) → first INTEGER of two octets, EF.CD → 30/A1/30/30/04. The objects here are valid ISO/IEC 7816-15 of
exactly that shape; the readers walk it strictly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from card_profiles.codecs import der
from card_profiles.codecs.errors import CodecError

_PRIVATE_KEYS, _CERTIFICATES = 0, 4  # CIOChoice [0] privateKeys, [4] certificates
_TYPE_ATTRIBUTES = 1
_PRIVATE = 0  # CommonObjectFlags
_SIGN, _NON_REPUDIATION = 2, 9  # KeyUsageFlags
_SENSITIVE, _ALWAYS_SENSITIVE, _NEVER_EXTRACTABLE, _CARD_GENERATED = 0, 2, 3, 4  # KeyAccessFlags


class DirectoryError(CodecError):
    """Not a directory file of this shape."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A private key as EF.PrKD tells of it.

    `identifier` joins key and certificate, `pin_identifier` names the PIN; `for_signature`: legally binding
    signatures, one PIN entry for each; `made_on_chip`: the chip generated it.
    """

    label: str
    identifier: int
    pin_identifier: int
    reference: int
    for_signature: bool
    made_on_chip: bool


def build_document_number(number: str) -> bytes:
    """MF/D003: `04 09` and the nine characters of the document number."""
    if not number.isascii() or not number.isalnum():
        raise DirectoryError("a document number is letters and digits")
    return der.octet_string(number.encode("ascii"))


def parse_document_number(data: bytes) -> str:
    """Raises `DerError` or `DirectoryError`."""
    content = der.read_octet_string(der.parse(data))
    if not content.isalnum():
        raise DirectoryError("a document number is letters and digits")
    return content.decode("ascii")


def build_ef_od(private_keys_fid: int, certificates_fid: int) -> bytes:
    """EF.OD: where EF.PrKD and EF.CD are (ISO/IEC 7816-15 §8.2)."""
    return der.explicit(_PRIVATE_KEYS, _path(private_keys_fid)) + der.explicit(_CERTIFICATES, _path(certificates_fid))


def parse_ef_od(data: bytes) -> tuple[int, int]:
    """FIDs of EF.PrKD and EF.CD. Raises `DerError` or `DirectoryError`."""
    return _first_fid(data, 0xA0 | _PRIVATE_KEYS), _first_fid(data, 0xA0 | _CERTIFICATES)


def build_ef_prkd(entry: KeyEntry) -> bytes:
    """EF.PrKD with one EC key (§8.4; privateECKey is `[0]`)."""
    common = [der.utf8(entry.label), der.named_bits([_PRIVATE]), der.octet_string(bytes([entry.pin_identifier]))]
    if entry.for_signature:
        common.append(der.integer(1))  # userConsent: the PIN before each use
    usage = [_SIGN, _NON_REPUDIATION] if entry.for_signature else [_SIGN]
    on_chip = [_SENSITIVE, _ALWAYS_SENSITIVE, _NEVER_EXTRACTABLE, _CARD_GENERATED]
    key = der.sequence(
        der.octet_string(bytes([entry.identifier])),
        der.named_bits(usage),
        der.named_bits(on_chip if entry.made_on_chip else [_SENSITIVE]),
        der.integer(entry.reference),
    )
    # an empty path: the key is in no file (§8.2.5)
    value = der.explicit(_TYPE_ATTRIBUTES, der.sequence(der.sequence(der.octet_string(b""))))
    return der.explicit(0, der.sequence(*common), key, value)


def parse_ef_prkd(data: bytes) -> int:
    """The reference of the EC key, its low octet. Raises `DerError` or `DirectoryError`."""
    sequences = [part for part in der.children(der.parse(data), 0xA0) if part.tag == der.SEQUENCE]
    if len(sequences) < 2:
        raise DirectoryError("EF.PrKD has no key attributes")
    integers = [part for part in der.children(sequences[1]) if part.tag == der.INTEGER]
    if not integers or len(integers[0].content) != 2:
        raise DirectoryError("EF.PrKD has no key reference of two octets")
    return integers[0].content[1]


def build_ef_cd(label: str, identifier: int, certificate_fid: int) -> bytes:
    """EF.CD with one X.509 certificate (§8.7)."""
    return der.sequence(
        der.sequence(der.utf8(label), der.named_bits([])),
        der.sequence(der.octet_string(bytes([identifier]))),
        der.explicit(_TYPE_ATTRIBUTES, der.sequence(_path(certificate_fid))),
    )


def parse_ef_cd(data: bytes) -> int:
    """FID of the certificate file. Raises `DerError` or `DirectoryError`."""
    certificate = der.children(der.parse(data), der.SEQUENCE)
    attributes = _first(certificate, 0xA0 | _TYPE_ATTRIBUTES)
    value = _first(der.children(attributes), der.SEQUENCE)
    return _fid(_first(der.children(value), der.SEQUENCE))


def _path(fid: int) -> bytes:
    return der.sequence(der.octet_string(fid.to_bytes(2, "big")))


def _first_fid(data: bytes, tag: int) -> int:
    return _fid(_first(der.children(_first(der.parse_all(data), tag)), der.SEQUENCE))


def _fid(path: der.Element) -> int:
    content = der.read_octet_string(_first(der.children(path), der.OCTET_STRING))
    if len(content) != 2:
        raise DirectoryError("a path is a file identifier of two octets")
    return int.from_bytes(content, "big")


def _first(elements: Sequence[der.Element], tag: int) -> der.Element:
    for element in elements:
        if element.tag == tag:
            return element
    raise DirectoryError(f"there is no {tag:02X}")

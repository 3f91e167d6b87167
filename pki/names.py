"""Names in certificates: of holders, of authorities, and their DER."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from card_profiles.codecs import der
from card_profiles.codecs.der import DerError
from pki.errors import SubjectRefused
from pki.object_identifiers import ATTRIBUTE_NAMES, ATTRIBUTES, PRINTABLE_ATTRIBUTES
from pki.profile import CertificateProfile

LONGEST_COMMON_NAME = 64


@dataclass(frozen=True, slots=True)
class Subject:
    """A holder: country (two capitals), names as on the document, identifier, common name.

    A person of a single name has one of `surname` and `given_names`; the other is None.
    """

    country: str
    surname: str | None
    given_names: str | None
    serial_number: str
    common_name: str

    def attributes(self) -> dict[str, str]:
        """Attribute values by name; what is not there is left out."""
        values = {
            "C": self.country,
            "surname": self.surname,
            "givenName": self.given_names,
            "serialNumber": self.serial_number,
            "CN": self.common_name,
        }
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class AuthorityName:
    """A CA or document signer; `organization_identifier` as EN 319 412-1 §5.1.4 has it (`NTRLV-…`)."""

    country: str
    organization: str
    organization_identifier: str | None
    common_name: str

    def attributes(self) -> dict[str, str]:
        """Attribute values by name; what is not there is left out."""
        values = {
            "C": self.country,
            "O": self.organization,
            "organizationIdentifier": self.organization_identifier,
            "CN": self.common_name,
        }
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute as it stands in a name: dotted type, short name or None, DER string type, text."""

    oid: str
    name: str | None
    tag: int
    text: str


def holder_subject(country: str, surname: str | None, given_names: str | None, personal_code: str) -> Subject:
    """The subject of a person known by a national personal code (with its hyphen), names as on the document.

    The identifier is `PNO`, the country, a hyphen and the code (EN 319 412-1 §5.1.3). Raises `SubjectRefused` when
    there is no name at all.
    """
    if not surname and not given_names:
        raise SubjectRefused("a holder has a surname or given names")
    return Subject(
        country=country,
        surname=_composed(surname) if surname else None,
        given_names=_composed(given_names) if given_names else None,
        serial_number=f"PNO{country}-{personal_code}",
        common_name=common_name(_composed(surname or ""), _composed(given_names or "")),
    )


def common_name(surname: str, given_names: str) -> str:
    """Given names and surname in at most 64 characters (RFC 5280 ub-common-name).

    Where both do not fit the given names give way, for the surname and givenName attributes hold the names in full.
    EN 319 412-2 §4.2.4 would let the common name be longer; real readers would not (a certificate over 1,536 bytes is
    cut by OpenSC 0.23), and a name of 60 letters would stand in it twice.
    """
    room = LONGEST_COMMON_NAME - len(surname) - 1
    return f"{given_names[: max(room, 0)].rstrip()} {surname}".strip()[:LONGEST_COMMON_NAME].rstrip()


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)  # RFC 5280 §7.1 compares normalized strings; readers show NFC


def name_der(profile: CertificateProfile, attributes: Mapping[str, str]) -> bytes:
    """DER Name with the profile's attributes in the profile's order, one attribute a RDN.

    Raises `SubjectRefused` when a mandatory attribute is missing, one is too many, or a text does not fit its type.
    """
    for name in profile.subject:
        if name not in attributes and name not in profile.optional:
            raise SubjectRefused(f"attribute {name} is missing")
    for name in attributes:
        if name not in profile.subject:
            raise SubjectRefused(f"attribute {name} is not one of the profile")
    return der.sequence(*[_rdn(name, attributes[name]) for name in profile.subject if name in attributes])


_TYPES = {name: der.oid(oid) for name, oid in ATTRIBUTES.items()}


def _rdn(name: str, text: str) -> bytes:
    try:
        value = der.printable(text) if name in PRINTABLE_ATTRIBUTES else der.utf8(text)
    except (DerError, UnicodeEncodeError):
        raise SubjectRefused(f"attribute {name} holds a character that cannot stand there") from None
    return der.encode(der.SET, der.sequence(_TYPES[name], value))


def read_name(name: bytes) -> tuple[Attribute, ...]:
    """The attributes of a DER Name in order. Raises `DerError`; also for a RDN of several attributes."""
    attributes = []
    for rdn in der.children(der.parse(name), der.SEQUENCE):
        values = der.children(rdn, der.SET)
        if len(values) != 1:
            raise DerError(f"the RDN at {rdn.offset} has not exactly one attribute")
        parts = der.children(values[0], der.SEQUENCE)
        if len(parts) != 2:
            raise DerError(f"the attribute at {values[0].offset} is not type and value")
        oid = _dotted(parts[0].whole)
        attributes.append(Attribute(oid, ATTRIBUTE_NAMES.get(oid), parts[1].tag, der.read_text(parts[1])))
    return tuple(attributes)


@lru_cache(maxsize=64)
def _dotted(identifier: bytes) -> str:
    return der.read_oid(der.parse(identifier))


def attribute_text(name: bytes, attribute: str) -> str | None:
    """The text of the first attribute of this short name; None when there is none. Raises `DerError`."""
    return next((found.text for found in read_name(name) if found.name == attribute), None)

"""Certificate profiles: TOML in, a checked frozen type out.

One file per published version in `pki/profiles/`; a published file never changes, a change is a new version.
"""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import NewType

from hsm.ports import Curve
from pki.errors import ProfileRefused
from pki.object_identifiers import (
    ATTRIBUTES,
    EXTENDED_KEY_USAGES,
    KEY_USAGE_BITS,
    QC_TYPES,
    SIGNATURE_ALGORITHMS,
)
from pki.tables import Table
from pki.terms import Term

CertificateProfileId = NewType("CertificateProfileId", str)
"""Name and version, for example `sign-citizen@1`."""

ISSUER_KEY_ID = "{issuer_key_id}"
"""In a URL of a profile: the issuer's subject key identifier, lower-case hex."""


class Role(StrEnum):
    """What a certificate is for; the rules it is linted by follow from it."""

    ROOT = "root"
    ISSUING_CA = "issuing-ca"
    CSCA = "csca"
    DOCUMENT_SIGNER = "document-signer"
    SIGNATURE = "signature"
    AUTHENTICATION = "authentication"


HOLDER_ROLES = frozenset({Role.SIGNATURE, Role.AUTHENTICATION})
AUTHORITY_ROLES = frozenset({Role.ROOT, Role.ISSUING_CA, Role.CSCA})
TRAVEL_DOCUMENT_ROLES = frozenset({Role.CSCA, Role.DOCUMENT_SIGNER})


@dataclass(frozen=True, slots=True)
class Policy:
    """One certificate policy, dotted identifier (RFC 5280 §4.2.1.4)."""

    oid: str


@dataclass(frozen=True, slots=True)
class BasicConstraints:
    """A CA, and how many CAs may follow below it; None: not limited (RFC 5280 §4.2.1.9)."""

    path_length: int | None


@dataclass(frozen=True, slots=True)
class AuthorityInformation:
    """Where the issuer's certificate and its OCSP service are (RFC 5280 §4.2.2.1)."""

    ca_issuers: tuple[str, ...]
    ocsp: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Disclosure:
    """A PKI disclosure statement: ISO 639-1 language and https URL (EN 319 412-5 §4.3.4)."""

    language: str
    url: str


@dataclass(frozen=True, slots=True)
class Qualified:
    """Statements of the qcStatements extension (EN 319 412-5, EN 319 412-1 §5.1).

    `signature_creation_device` may be true only for card types whose chip is certified as a QSCD.
    """

    natural_semantics: bool
    compliance: bool
    signature_creation_device: bool
    type: str | None
    disclosure: tuple[Disclosure, ...]


@dataclass(frozen=True, slots=True)
class TravelDocument:
    """What ICAO 9303-12 §7.1.1 adds: country code of the MRZ, contact, use of the private key, document types."""

    mrz_country: str
    contact_email: str
    key_use: Term
    document_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CertificateProfile:
    """One published version of a kind of certificate. `signature_algorithm` is the issuer's."""

    id: CertificateProfileId
    role: Role
    title: str
    signature_algorithm: str
    curves: tuple[Curve, ...]
    explicit_parameters: bool
    term: Term
    subject: tuple[str, ...]
    optional: frozenset[str]
    authority_key_identifier: bool
    key_usage: tuple[str, ...]
    extended_key_usage: tuple[str, ...]
    crl: tuple[str, ...]
    basic_constraints: BasicConstraints | None
    authority_information: AuthorityInformation | None
    policies: tuple[Policy, ...]
    qualified: Qualified | None
    travel_document: TravelDocument | None


@cache
def load_certificate_profile(profile_id: str) -> CertificateProfile:
    """The published profile `name@version`. Raises `ProfileRefused`."""
    name, _, version = profile_id.partition("@")
    if not version.isdecimal() or not name.replace("-", "").isalnum():
        raise ProfileRefused("a certificate profile is named 'name@version'")
    source = files("pki") / "profiles" / f"{name}.v{version}.toml"
    if not source.is_file():
        raise ProfileRefused(f"certificate profile '{profile_id}' is not published")
    profile = read_profile(source.read_text(encoding="utf-8"), profile_id)
    if profile.id != profile_id:
        raise ProfileRefused(f"the file of '{profile_id}' names another profile")
    return profile


def published() -> tuple[CertificateProfileId, ...]:
    """Identifiers of every published profile, sorted."""
    names = [entry.name for entry in (files("pki") / "profiles").iterdir() if entry.name.endswith(".toml")]
    parts = [name.removesuffix(".toml").rpartition(".v") for name in names]
    return tuple(sorted(CertificateProfileId(f"{name}@{version}") for name, _, version in parts))


def read_profile(text: str, where: str) -> CertificateProfile:
    """A checked profile from TOML; `where` is said in refusals. Raises `ProfileRefused`."""
    try:
        table = Table(tomllib.loads(text), where, ProfileRefused)
    except tomllib.TOMLDecodeError as error:
        raise ProfileRefused(f"{where}: not TOML ({error})") from None
    profile = CertificateProfile(
        id=CertificateProfileId(table.text("id")),
        role=Role(_one_of(table, "role", set(Role))),
        title=table.text("title"),
        signature_algorithm=_one_of(table, "signature_algorithm", set(SIGNATURE_ALGORITHMS)),
        curves=tuple(Curve(name) for name in _some_of(table, "curves", set(Curve))),
        explicit_parameters=table.flag("explicit_parameters"),
        term=read_term(table.table("term")),
        subject=_some_of(table, "subject", set(ATTRIBUTES)),
        optional=frozenset(_some_of(table, "optional", set(ATTRIBUTES))),
        authority_key_identifier=table.flag("authority_key_identifier"),
        key_usage=_some_of(table, "key_usage", set(KEY_USAGE_BITS)),
        extended_key_usage=_some_of(table, "extended_key_usage", set(EXTENDED_KEY_USAGES)),
        crl=_urls(table, "crl", "http://"),
        basic_constraints=_basic_constraints(table),
        authority_information=_authority_information(table),
        policies=_policies(table),
        qualified=_qualified(table),
        travel_document=_travel_document(table),
    )
    table.finish()
    _check_whole(profile, table)
    return profile


def read_term(table: Table) -> Term:
    """A `Term` written as `{ years, months, days }`, each optional, together more than nothing."""
    years, months, days = (table.number(key) if key in table else 0 for key in ("years", "months", "days"))
    table.finish()
    if not years + months + days:
        raise table.refused("the term is empty")
    return Term(years, months, days)


def _one_of(table: Table, key: str, known: set[str]) -> str:
    value = table.text(key)
    if value not in known:
        raise table.refused(f"'{value}' is not a known value of '{key}'")
    return value


def _some_of(table: Table, key: str, known: set[str]) -> tuple[str, ...]:
    values = table.texts(key)
    unknown = [value for value in values if value not in known]
    if unknown:
        raise table.refused(f"'{unknown[0]}' is not a known value of '{key}'")
    return values


def _urls(table: Table, key: str, scheme: str) -> tuple[str, ...]:
    urls = table.texts(key)
    for url in urls:
        if not url.startswith(scheme) or not url.isascii():
            raise table.refused(f"an address of '{key}' does not begin with {scheme}")
        if url.replace(ISSUER_KEY_ID, "").count("{"):
            raise table.refused(f"an address of '{key}' has an unknown placeholder")
    return urls


def _basic_constraints(table: Table) -> BasicConstraints | None:
    if "basic_constraints" not in table:
        return None
    inner = table.table("basic_constraints")
    read = BasicConstraints(inner.number("path_length") if "path_length" in inner else None)
    inner.finish()
    return read


def _authority_information(table: Table) -> AuthorityInformation | None:
    if "authority_information" not in table:
        return None
    inner = table.table("authority_information")
    # EN 319 412-2 GEN-4.4.1-4, -6: reached over http
    read = AuthorityInformation(_urls(inner, "ca_issuers", "http://"), _urls(inner, "ocsp", "http://"))
    inner.finish()
    return read


def _policies(table: Table) -> tuple[Policy, ...]:
    if "policies" not in table:
        return ()
    policies = []
    for inner in table.tables("policies"):
        policies.append(Policy(inner.text("oid")))
        inner.finish()
    return tuple(policies)


def _qualified(table: Table) -> Qualified | None:
    if "qualified" not in table:
        return None
    inner = table.table("qualified")
    disclosure = []
    for statement in inner.tables("disclosure") if "disclosure" in inner else ():
        disclosure.append(Disclosure(statement.text("language"), statement.text("url")))
        statement.finish()
    read = Qualified(
        natural_semantics=inner.flag("natural_semantics"),
        compliance=inner.flag("compliance"),
        signature_creation_device=inner.flag("signature_creation_device"),
        type=_one_of(inner, "type", set(QC_TYPES)) if "type" in inner else None,
        disclosure=tuple(disclosure),
    )
    inner.finish()
    return read


def _travel_document(table: Table) -> TravelDocument | None:
    if "travel_document" not in table:
        return None
    inner = table.table("travel_document")
    read = TravelDocument(
        mrz_country=inner.text("mrz_country"),
        contact_email=inner.text("contact_email"),
        key_use=read_term(inner.table("key_use")),
        document_types=inner.texts("document_types"),
    )
    inner.finish()
    return read


def _check_whole(profile: CertificateProfile, table: Table) -> None:
    """What no single key can say."""
    if (profile.basic_constraints is not None) != (profile.role in AUTHORITY_ROLES):
        raise table.refused("[basic_constraints] stands with authorities and with nobody else")
    if (profile.travel_document is not None) != (profile.role in TRAVEL_DOCUMENT_ROLES):
        raise table.refused("[travel_document] stands with csca and document-signer and with nobody else")
    if (profile.qualified is not None) != (profile.role in HOLDER_ROLES):
        raise table.refused("[qualified] stands with holders' certificates and with nobody else")
    if not profile.curves or not profile.key_usage or not profile.subject:
        raise table.refused("'curves', 'key_usage' and 'subject' may not be empty")
    if not profile.optional <= set(profile.subject):
        raise table.refused("'optional' names an attribute that is not in 'subject'")

"""Rules for country signing CAs and document signers: ICAO Doc 9303-12, table of certificate extensions in §7.1."""

import re

from card_profiles.codecs import der
from pki import object_identifiers as oids
from pki.findings import Rule
from pki.lint import extension_values as values
from pki.lint.linted import Linted
from pki.names import attribute_text, read_name
from pki.profile import TravelDocument

_CONTACTS = frozenset({0x81, 0x82, 0x86})  # rfc822Name, dNSName, uniformResourceIdentifier
_DIRECTORY_NAME = 0xA4
_CODE = re.compile(r"[A-Z]{1,2}")
_FORBIDDEN = {
    oids.POLICY_MAPPINGS: "policyMappings",
    oids.NAME_CONSTRAINTS: "nameConstraints",
    oids.POLICY_CONSTRAINTS: "policyConstraints",
    oids.FRESHEST_CRL: "freshestCRL",
    oids.INHIBIT_ANY_POLICY: "inhibitAnyPolicy",
    oids.EXTENDED_KEY_USAGE: "extKeyUsage",
}


def _document(linted: Linted) -> TravelDocument:
    assert linted.profile.travel_document is not None  # noqa: S101 - profiles of these roles have it
    return linted.profile.travel_document


def same_country(linted: Linted) -> str | None:
    """Issuer and subject are of one country."""
    same = attribute_text(linted.tbs.issuer, "C") == linted.text("C")
    return None if same else "issuer and subject are of different countries"


def forbidden_extensions(linted: Linted) -> str | None:
    """Marked x in both columns."""
    return next((f"{name} is there" for oid, name in _FORBIDDEN.items() if oid in linted.tbs.extensions), None)


def usage_period(linted: Linted) -> str | None:
    """Inside the validity, as long as the profile lets the key sign."""
    value = linted.value(oids.PRIVATE_KEY_USAGE_PERIOD)
    if value is None:
        return "the private key usage period is missing"
    start, end = values.usage_period(value)
    if start is None or end is None:
        return "the private key usage period has not both bounds"
    if not linted.tbs.not_before <= start < end <= linted.tbs.not_after:
        return "the private key usage period is not inside the validity"
    return None if end <= _document(linted).key_use.last_second(start) else "the private key is used for too long"


def subject_alternative(linted: Linted) -> str | None:
    """Contact and place of the subject."""
    return _alternative(linted, oids.SUBJECT_ALT_NAME, "subject")


def issuer_alternative(linted: Linted) -> str | None:
    """Contact and place of the issuer."""
    return _alternative(linted, oids.ISSUER_ALT_NAME, "issuer")


def _alternative(linted: Linted, oid: str, whose: str) -> str | None:
    value = linted.value(oid)
    if value is None:
        return f"the {whose} alternative name is missing"
    names = values.general_names(value)
    if not any(name.tag in _CONTACTS for name in names):
        return f"the {whose} alternative name has no contact"
    directory = [name.content for name in names if name.tag == _DIRECTORY_NAME]
    found = [[(part.name, part.text) for part in read_name(name)] for name in directory]
    right = found == [[("L", _document(linted).mrz_country)]]
    return None if right else f"the {whose} alternative name's locality is not the country code of the MRZ"


def distribution_points(linted: Linted) -> str | None:
    """Where the revocation list is."""
    value = linted.value(oids.CRL_DISTRIBUTION_POINTS)
    found = () if value is None else values.distribution_points(value)
    return None if found else "there is no distribution point"


def csca_constraints(linted: Linted) -> str | None:
    """A CA with path length zero."""
    value = linted.value(oids.BASIC_CONSTRAINTS)
    right = value is not None and values.basic_constraints(value) == (True, 0)
    return None if right else "basic constraints are not CA with path length 0"


def csca_usage(linted: Linted) -> str | None:
    """Certificates and revocation lists, nothing else."""
    value = linted.value(oids.KEY_USAGE)
    right = value is not None and values.key_usage(value) == {5, 6}
    return None if right else "the key usage is not keyCertSign and cRLSign"


def csca_no_document_types(linted: Linted) -> str | None:
    """Document types are the document signer's."""
    return "a document type list is there" if oids.DOCUMENT_TYPE in linted.tbs.extensions else None


def signer_no_constraints(linted: Linted) -> str | None:
    """No basic constraints, not even empty ones; no name change."""
    if oids.BASIC_CONSTRAINTS in linted.tbs.extensions:
        return "basic constraints are there"
    return "a name change is there" if oids.NAME_CHANGE in linted.tbs.extensions else None


def signer_usage(linted: Linted) -> str | None:
    """Digital signature, nothing else."""
    value = linted.value(oids.KEY_USAGE)
    return None if value is not None and values.key_usage(value) == {0} else "the key usage is not digitalSignature"


def signer_document_types(linted: Linted) -> str | None:
    """Version 0 and the profile's codes of one or two letters."""
    value = linted.value(oids.DOCUMENT_TYPE)
    if value is None:
        return "the document type list is missing"
    version, codes = values.document_types(value)
    if version != 0 or not codes or not all(_CODE.fullmatch(code) for code in codes):
        return "the document type list is not version 0 with codes of one or two letters"
    right = sorted(codes) == sorted(_document(linted).document_types)
    return None if right else "the document types are not the profile's"


def attribute_present(linted: Linted) -> str | None:
    """Country and common name are mandatory, in issuer and subject."""
    for whose, name in (("issuer", linted.tbs.issuer), ("subject", linted.tbs.subject)):
        for attribute in ("C", "CN"):
            if not attribute_text(name, attribute):
                return f"{whose} attribute {attribute} is missing"
    return None


def no_defaults(linted: Linted) -> str | None:
    """`cA FALSE` is a default and is never written."""
    value = linted.value(oids.BASIC_CONSTRAINTS)
    if value is None:
        return None
    parts = der.children(der.parse(value), der.SEQUENCE)
    written = bool(parts) and parts[0].tag == der.BOOLEAN and not der.read_boolean(parts[0])
    return "a default value is written out" if written else None


_BOTH = (
    Rule("icao-country", "ICAO 9303-12 §7.1 (countryName)", same_country),
    Rule("icao-attributes", "ICAO 9303-12 §7.1 (issuer, subject)", attribute_present),
    Rule("icao-forbidden-extensions", "ICAO 9303-12 §7.1, table of extensions", forbidden_extensions),
    Rule("icao-usage-period", "ICAO 9303-12 §7.1.1.3, §4.1.4", usage_period),
    Rule("icao-subject-alternative", "ICAO 9303-12 §7.1.1.2", subject_alternative),
    Rule("icao-issuer-alternative", "ICAO 9303-12 §7.1.1.2", issuer_alternative),
    Rule("icao-distribution-points", "ICAO 9303-12 §7.1.1.4", distribution_points),
    Rule("icao-no-defaults", "ICAO 9303-12 §7.1; X.690 §11.5", no_defaults),
)

CSCA_RULES = (
    *_BOTH,
    Rule("csca-constraints", "ICAO 9303-12 §7.1, basicConstraints", csca_constraints),
    Rule("csca-usage", "ICAO 9303-12 §7.1, keyUsage", csca_usage),
    Rule("csca-no-document-types", "ICAO 9303-12 §7.1, DocumentType", csca_no_document_types),
)

DOCUMENT_SIGNER_RULES = (
    *_BOTH,
    Rule("signer-no-constraints", "ICAO 9303-12 §7.1, basicConstraints and NameChange", signer_no_constraints),
    Rule("signer-usage", "ICAO 9303-12 §7.1, keyUsage", signer_usage),
    Rule("signer-document-types", "ICAO 9303-12 §7.1.1.6", signer_document_types),
)

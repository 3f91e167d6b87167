"""Rules for certificates of CAs (RFC 5280 §4.2.1; EN 319 412-1 §5.1.4; EN 319 412-2 §4.2.3.1)."""

import re

from pki import object_identifiers as oids
from pki.findings import Rule
from pki.lint import extension_values as values
from pki.lint.linted import Linted

_ORGANIZATION_IDENTIFIER = re.compile(r"(?:VAT|NTR|PSD|LEI|[A-Za-z]{2}:)[A-Z]{2}-.+")  # EN 319 412-1 §5.1.4


def constraints(linted: Linted) -> str | None:
    """A CA, with the profile's path length."""
    value = linted.value(oids.BASIC_CONSTRAINTS)
    wanted = linted.profile.basic_constraints
    if value is None or wanted is None:
        return "basic constraints are missing"
    right = values.basic_constraints(value) == (True, wanted.path_length)
    return None if right else "basic constraints are not CA with the profile's path length"


def path_length(linted: Linted) -> str | None:
    """An issuer with path length zero has no CA below it."""
    found = linted.issuer.extensions.get(oids.BASIC_CONSTRAINTS)
    if linted.is_self_signed or found is None:
        return None
    return "the issuer may have no CA below it" if values.basic_constraints(found.value)[1] == 0 else None


def organization_identifier(linted: Linted) -> str | None:
    """Scheme, country, hyphen, reference; not the organization's name again."""
    text = linted.text("organizationIdentifier")
    if text is None:
        return None
    if not _ORGANIZATION_IDENTIFIER.fullmatch(text):
        return "the organization identifier is not scheme, country, hyphen and reference"
    return "organization and identifier are the same" if text == linted.text("O") else None


def policies(linted: Linted) -> str | None:
    """The profile's policies; without any, nothing below could have one."""
    value = linted.value(oids.CERTIFICATE_POLICIES)
    found = () if value is None else tuple(oid for oid, _ in values.policies(value))
    right = found == tuple(policy.oid for policy in linted.profile.policies)
    return None if right else "the policies are not the profile's"


AUTHORITY_RULES = (
    Rule("constraints", "RFC 5280 §4.2.1.9", constraints),
    Rule("path-length", "RFC 5280 §4.2.1.9, §6.1.4 (l)", path_length),
    Rule("organization-identifier", "EN 319 412-1 §5.1.4; EN 319 412-2 GEN-4.2.3.1-3", organization_identifier),
    Rule("authority-policies", "RFC 5280 §4.2.1.4", policies),
)

"""Rules for the names of holders (EN 319 412-1 §5.1.3, EN 319 412-2 §4.2.4)."""

import re
import unicodedata
from functools import lru_cache

from pki import object_identifiers as oids
from pki.findings import Rule
from pki.lint import extension_values as values
from pki.lint.linted import Linted
from pki.names import common_name as expected_common_name
from pki.names import read_name

_PERSONAL = ("surname", "givenName", "CN")
# EN 319 412-1 §5.1.3: PAS, IDC, PNO, or two letters of a national scheme and a colon; country; hyphen; reference
_IDENTIFIER = re.compile(r"(?:PAS|IDC|PNO|[A-Za-z]{2}:)([A-Z]{2})-(.+)")
_LATVIAN_PERSONAL_CODE = re.compile(r"PNOLV-[0-9]{6}-[0-9]{5}")


def names_present(linted: Linted) -> str | None:
    """A surname or given names, or a pseudonym."""
    if any(linted.text(name) for name in ("surname", "givenName", "pseudonym")):
        return None
    return "the subject has neither surname nor given names"


def pseudonym_alone(linted: Linted) -> str | None:
    """A pseudonym stands in place of the names, never beside them."""
    if linted.text("pseudonym") and (linted.text("surname") or linted.text("givenName")):
        return "a pseudonym stands beside a name"
    return None


def one_script(linted: Linted) -> str | None:
    """Surname, given names and common name are in one script."""
    characters = {character for name in _PERSONAL for character in linted.text(name) or ""}
    scripts = {_script(character) for character in characters} - {None}
    return "the names are in more than one script" if len(scripts) > 1 else None


@lru_cache(maxsize=1024)
def _script(character: str) -> str | None:
    """Unicode names letters by their script first; modifier letters (the apostrophe U+02BC) go with any script."""
    if unicodedata.category(character) not in ("Lu", "Ll", "Lt", "Lo"):
        return None
    return unicodedata.name(character, "unknown").split()[0]


def names_composed(linted: Linted) -> str | None:
    """NFC, without control characters and without spaces that nobody sees."""
    for name in _PERSONAL:
        text = linted.text(name)
        if text is None:
            continue
        if not unicodedata.is_normalized("NFC", text):
            return f"subject attribute {name} is not NFC"
        if text != text.strip() or "  " in text or not text.isprintable():
            return f"subject attribute {name} has spaces or control characters that do not show"
    return None


def common_name(linted: Linted) -> str | None:
    """The names as the document says them, given names cut where 64 characters do not hold both."""
    surname, given_names = linted.text("surname") or "", linted.text("givenName") or ""
    if not (surname or given_names) or linted.text("CN") == expected_common_name(surname, given_names):
        return None
    return "the common name is not given names and surname"


def identifier_present(linted: Linted) -> str | None:
    """The semantics identifier speaks of serialNumber, so it must be there."""
    if _semantics_announced(linted) and not linted.text("serialNumber"):
        return "natural person semantics are announced, but the subject has no serial number"
    return None


def identifier_form(linted: Linted) -> str | None:
    """Scheme, country, hyphen, reference."""
    text = linted.text("serialNumber")
    if text is None or _IDENTIFIER.fullmatch(text):
        return None
    return "the subject's serial number is not scheme, country, hyphen and reference"


def latvian_personal_code(linted: Linted) -> str | None:
    """A Latvian personal code is six digits, hyphen, five digits."""
    text = linted.text("serialNumber")
    if text is None or not text.startswith("PNOLV") or _LATVIAN_PERSONAL_CODE.fullmatch(text):
        return None
    return "the subject's serial number is not a Latvian personal code"


def identifier_announced(linted: Linted) -> str | None:
    """What the serial number means is announced by semanticsId-Natural."""
    if linted.text("serialNumber") and not _semantics_announced(linted):
        return "the subject's serial number is not announced by natural person semantics"
    return None


def _semantics_announced(linted: Linted) -> bool:
    value = linted.value(oids.QC_STATEMENTS)
    if value is None:
        return False
    announced = [information for oid, information in values.statements(value) if oid == oids.QC_SYNTAX_V2]
    return any(oids.SEMANTICS_NATURAL in values.identifiers(item) for item in announced if item is not None)


def issuer_attributes(linted: Linted) -> str | None:
    """The issuer says its country, organization, organization identifier and name."""
    found = {attribute.name: attribute.text for attribute in _issuer_name(linted.tbs.issuer)}
    missing = [name for name in ("C", "O", "organizationIdentifier", "CN") if name not in found]
    if missing:
        return f"issuer attribute {missing[0]} is missing"
    return "organization and identifier are the same" if found["O"] == found["organizationIdentifier"] else None


_issuer_name = lru_cache(maxsize=64)(read_name)

HOLDER_RULES = (
    Rule("names-present", "EN 319 412-2 NAT-4.2.4-1", names_present),
    Rule("pseudonym-alone", "EN 319 412-2 NAT-4.2.4-4", pseudonym_alone),
    Rule("one-script", "EN 319 412-2 §4.2.4", one_script),
    Rule("names-composed", "RFC 5280 §7.1; RFC 4518 §2", names_composed),
    Rule("common-name", "EN 319 412-2 §4.2.4", common_name),
    Rule("identifier-present", "EN 319 412-1 §5.1.3", identifier_present),
    Rule("identifier-form", "EN 319 412-1 §5.1.3", identifier_form),
    Rule("latvian-personal-code", "EN 319 412-1 §5.1.3; Law on the Register of Natural Persons", latvian_personal_code),
    Rule("identifier-announced", "EN 319 412-1 §5.1", identifier_announced),
    Rule("issuer-attributes", "EN 319 412-2 GEN-4.2.3.1-2, -3", issuer_attributes),
)

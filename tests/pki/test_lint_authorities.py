"""CSCA, document signer and issuing CAs: good vectors from the ceremony, one bad vector for each rule."""

import pytest

from card_profiles.codecs import der, ec_parameters
from hsm.ports import Curve
from pki import object_identifiers as oids
from pki.certificate import read_certificate
from pki.lint import RULES, lint_tbs
from pki.profile import Role, load_certificate_profile
from tests.pki.altered import Change, added, altered, name, replaced, without
from tests.pki.conftest import Centre
from tests.pki.software_signer import new_public_key

A = oids.ATTRIBUTES
KINDS = {
    "root": ("root@1", "root"),
    "issuing": ("issuing-ca@1", "root"),
    "csca": ("csca@1", "csca"),
    "document_signer": ("document-signer@1", "csca"),
}


def lint(centre: Centre, field: str, change: Change = bytes) -> set[str]:
    profile, issuer = KINDS[field]
    tbs = change(read_certificate(getattr(centre.authorities, field).certificate).tbs)
    issuer_der = None if issuer == field else getattr(centre.authorities, issuer).certificate
    return {finding.rule for finding in lint_tbs(load_certificate_profile(profile), tbs, issuer_der)}


def period(start: str | None, end: str | None) -> bytes:
    bounds = [der.implicit(number, text.encode()) for number, text in ((0, start), (1, end)) if text]
    return der.sequence(*bounds)


def alternative(locality: str | None, contact: str | None) -> bytes:
    parts = []
    if contact:
        parts.append(der.implicit(1, contact.encode()))
    if locality:
        parts.append(der.explicit(4, name((A["L"], der.printable(locality)))))
    return der.sequence(*parts)


def types(version: int, *codes: str) -> bytes:
    return der.sequence(der.integer(version), der.set_of(*[der.printable(code) for code in codes]))


NAMED = ec_parameters.public_key_info("brainpoolP256r1", new_public_key(Curve.BRAINPOOL_P256).point, False)
DS = "document_signer"
BAD: list[tuple[str, str, Change]] = [
    ("constraints", "issuing", lambda t: replaced(t, oids.BASIC_CONSTRAINTS, der.sequence(der.boolean(True)))),
    ("constraints", "root", lambda t: without(t, oids.BASIC_CONSTRAINTS)),
    (
        "organization-identifier",
        "issuing",
        lambda t: altered(t, subject=name((A["O"], der.utf8("x")), (A["organizationIdentifier"], der.utf8("4000")))),
    ),
    ("authority-policies", "issuing", lambda t: without(t, oids.CERTIFICATE_POLICIES)),
    ("icao-country", "csca", lambda t: altered(t, subject=name((A["C"], der.printable("EE"))))),
    ("icao-country", DS, lambda t: altered(t, subject=name((A["C"], der.printable("EE"))))),
    ("icao-attributes", DS, lambda t: altered(t, subject=name((A["C"], der.printable("LV"))))),
    ("icao-forbidden-extensions", "csca", lambda t: added(t, oids.NAME_CONSTRAINTS, der.sequence())),
    (
        "icao-forbidden-extensions",
        DS,
        lambda t: added(t, oids.EXTENDED_KEY_USAGE, der.sequence(der.oid("2.23.136.1.1.3"))),
    ),
    ("icao-usage-period", "csca", lambda t: without(t, oids.PRIVATE_KEY_USAGE_PERIOD)),
    ("icao-usage-period", DS, lambda t: replaced(t, oids.PRIVATE_KEY_USAGE_PERIOD, period("20260302093015Z", None))),
    (
        "icao-usage-period",
        DS,
        lambda t: replaced(t, oids.PRIVATE_KEY_USAGE_PERIOD, period("20260302093015Z", "20260902093015Z")),
    ),
    (
        "icao-usage-period",
        DS,
        lambda t: replaced(t, oids.PRIVATE_KEY_USAGE_PERIOD, period("20260301093015Z", "20260402093015Z")),
    ),
    ("icao-subject-alternative", "csca", lambda t: without(t, oids.SUBJECT_ALT_NAME)),
    ("icao-subject-alternative", DS, lambda t: replaced(t, oids.SUBJECT_ALT_NAME, alternative("LV", "a@b.org"))),
    ("icao-issuer-alternative", "csca", lambda t: without(t, oids.ISSUER_ALT_NAME)),
    ("icao-issuer-alternative", DS, lambda t: replaced(t, oids.ISSUER_ALT_NAME, alternative("LVA", None))),
    ("icao-distribution-points", "csca", lambda t: without(t, oids.CRL_DISTRIBUTION_POINTS)),
    ("icao-distribution-points", DS, lambda t: without(t, oids.CRL_DISTRIBUTION_POINTS)),
    (
        "icao-no-defaults",
        DS,
        lambda t: added(t, oids.BASIC_CONSTRAINTS, der.sequence(der.boolean(False)), critical=True),
    ),
    ("csca-constraints", "csca", lambda t: replaced(t, oids.BASIC_CONSTRAINTS, der.sequence(der.boolean(True)))),
    ("csca-usage", "csca", lambda t: replaced(t, oids.KEY_USAGE, der.named_bits([5]))),
    ("csca-no-document-types", "csca", lambda t: added(t, oids.DOCUMENT_TYPE, types(0, "ID"))),
    ("signer-no-constraints", DS, lambda t: added(t, oids.BASIC_CONSTRAINTS, der.sequence(), critical=True)),
    ("signer-no-constraints", DS, lambda t: added(t, oids.NAME_CHANGE, der.null())),
    ("signer-usage", DS, lambda t: replaced(t, oids.KEY_USAGE, der.named_bits([0, 5]))),
    ("signer-document-types", DS, lambda t: without(t, oids.DOCUMENT_TYPE)),
    ("signer-document-types", DS, lambda t: replaced(t, oids.DOCUMENT_TYPE, types(1, "I", "ID", "IR"))),
    ("signer-document-types", DS, lambda t: replaced(t, oids.DOCUMENT_TYPE, types(0, "id", "ID", "IR"))),
    ("signer-document-types", DS, lambda t: replaced(t, oids.DOCUMENT_TYPE, types(0))),
    ("parameters-form", DS, lambda t: altered(t, key=NAMED)),
    ("criticality", DS, lambda t: replaced(t, oids.DOCUMENT_TYPE, types(0, "I", "ID", "IR"), critical=True)),
]


@pytest.mark.parametrize("field", KINDS)
def test_what_the_ceremony_makes_breaks_no_rule(field: str, centre: Centre) -> None:
    assert lint(centre, field) == set()


@pytest.mark.parametrize(("rule", "field", "change"), BAD)
def test_a_bad_certificate_is_found(rule: str, field: str, change: Change, centre: Centre) -> None:
    assert rule in lint(centre, field, change)


def test_a_ca_below_path_length_zero_is_found(centre: Centre) -> None:
    tbs = read_certificate(centre.issuing.certificate).tbs
    findings = lint_tbs(load_certificate_profile("issuing-ca@1"), tbs, centre.issuing.certificate)
    assert "path-length" in {finding.rule for finding in findings}


def test_every_rule_for_authorities_has_a_bad_vector() -> None:
    roles = (Role.ROOT, Role.ISSUING_CA, Role.CSCA, Role.DOCUMENT_SIGNER)
    rules = {rule.name for role in roles for rule in RULES[role]}
    basics = {rule.name for rule in RULES[Role.SIGNATURE]}  # have theirs in test_lint.py
    assert rules - basics - {rule for rule, _, _ in BAD} == {"path-length"}

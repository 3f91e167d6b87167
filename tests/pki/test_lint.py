"""One good and one bad vector for each rule: the good one is what the builder makes."""

from datetime import UTC, datetime, timedelta

import pytest

from card_profiles.codecs import der, ec_parameters
from hsm.ports import Curve
from pki import object_identifiers as oids
from pki.certificate import read_certificate
from pki.lint import RULES, lint_pair, lint_tbs
from pki.profile import Role
from tests.pki.altered import Change, added, altered, extensions_of, name, replaced, with_extensions, without
from tests.pki.conftest import Centre, Pair
from tests.pki.made_up import NOW, PROFILES, subject
from tests.pki.software_signer import new_public_key

A = oids.ATTRIBUTES
COUNTRY = (A["C"], der.printable("LV"))
SURNAME = (A["surname"], der.utf8("KALNIŅA"))
GIVEN = (A["givenName"], der.utf8("LĪGA"))
NUMBER = (A["serialNumber"], der.printable("PNOLV-320000-00017"))
COMMON = (A["CN"], der.utf8("LĪGA KALNIŅA"))
GOOD_SUBJECT = (COUNTRY, SURNAME, GIVEN, NUMBER, COMMON)

START = der.time(NOW.replace(microsecond=0))


def in_subject(*attributes: tuple[str, bytes]) -> Change:
    return lambda tbs: altered(tbs, subject=name(*attributes))


def instead(attribute: tuple[str, bytes]) -> Change:
    """The good subject with one attribute's value replaced."""
    return in_subject(*[attribute if attribute[0] == item[0] else item for item in GOOD_SUBJECT])


def until(moment: bytes, start: bytes = START) -> Change:
    return lambda tbs: altered(tbs, validity=der.sequence(start, moment))


def set_value(oid: str, value: bytes, *, critical: bool | None = None) -> Change:
    return lambda tbs: replaced(tbs, oid, value, critical=critical)


def put(oid: str, value: bytes) -> Change:
    return lambda tbs: added(tbs, oid, value)


def take(oid: str) -> Change:
    return lambda tbs: without(tbs, oid)


def twice(tbs: bytes) -> bytes:
    items = extensions_of(tbs)
    return with_extensions(tbs, [*items, items[0]])


def policies(*identifiers: str, qualifier: bytes = b"") -> bytes:
    return der.sequence(*[der.sequence(der.oid(oid), qualifier) for oid in identifiers])


def statement(oid: str, *information: bytes) -> bytes:
    return der.sequence(der.oid(oid), *information)


def disclosure(*places: tuple[str, str]) -> bytes:
    listed = [der.sequence(der.ia5(url), der.printable(language)) for language, url in places]
    return statement(oids.QC_PDS, der.sequence(*listed))


def crl(url: str) -> bytes:
    return der.sequence(der.sequence(der.explicit(0, der.explicit(0, der.implicit(6, url.encode())))))


def access(*places: tuple[str, str]) -> bytes:
    return der.sequence(
        *[der.sequence(der.oid(method), der.implicit(6, url.encode())) for method, url in places],
    )


SEMANTICS = statement(oids.QC_SYNTAX_V2, der.sequence(der.oid(oids.SEMANTICS_NATURAL)))
COMPLIANCE = statement(oids.QC_COMPLIANCE)
SSCD = statement(oids.QC_SSCD)
ESIGN = statement(oids.QC_TYPE, der.sequence(der.oid(oids.QC_TYPES["esign"])))
ESEAL = statement(oids.QC_TYPE, der.sequence(der.oid("0.4.0.1862.1.6.2")))
PDS = disclosure(("en", "https://pki.eid.example.org/pds/en.pdf"), ("lv", "https://pki.eid.example.org/pds/lv.pdf"))


def statements(*items: bytes) -> Change:
    return set_value(oids.QC_STATEMENTS, der.sequence(*items))


def notice(characters: int) -> bytes:
    text = der.sequence(der.utf8("x" * characters))
    return der.sequence(der.sequence(der.oid(oids.USER_NOTICE), text))


OWN = PROFILES["sign"].policies[1].oid
OWN_AUTH = PROFILES["auth"].policies[1].oid
P224 = der.sequence(
    der.sequence(der.oid("1.2.840.10045.2.1"), der.oid("1.3.132.0.33")), der.bit_string(b"\x04" + bytes(56))
)
EXPLICIT = ec_parameters.public_key_info("secp384r1", new_public_key().point, True)
P521 = ec_parameters.public_key_info("secp521r1", new_public_key(Curve.P521).point, False)

# (rule that must speak, slot, change): the first ones are those that public linters pass over
BAD: list[tuple[str, str, Change]] = [
    ("identifier-present", "sign", in_subject(COUNTRY, SURNAME, GIVEN, COMMON)),
    ("latvian-personal-code", "sign", instead((A["serialNumber"], der.printable("PNOLV-xyz")))),
    ("identifier-form", "auth", instead((A["serialNumber"], der.printable("junk")))),
    ("identifier-announced", "sign", statements(COMPLIANCE, SSCD, ESIGN, PDS)),
    ("pseudonym-alone", "sign", in_subject(*GOOD_SUBJECT, (A["pseudonym"], der.utf8("MIA")))),
    ("statements-once", "sign", statements(SEMANTICS, COMPLIANCE, COMPLIANCE, SSCD, ESIGN, PDS)),
    ("disclosure", "sign", statements(SEMANTICS, COMPLIANCE, SSCD, ESIGN, disclosure(("lv", "https://a/")))),
    (
        "disclosure",
        "sign",
        statements(SEMANTICS, COMPLIANCE, SSCD, ESIGN, disclosure(("en", "https://a/"), ("en", "https://b/"))),
    ),
    ("serial-octets", "sign", lambda tbs: altered(tbs, serial=der.integer(0x7F))),
    ("validity-within-term", "sign", until(der.time(datetime(2066, 3, 2, tzinfo=UTC)))),
    ("validity-within-issuer", "sign", until(der.time(datetime(2041, 3, 2, 9, 30, 15, tzinfo=UTC)))),
    ("curve", "sign", lambda tbs: altered(tbs, key=P224)),
    ("purposes", "sign", put(oids.EXTENDED_KEY_USAGE, der.sequence(der.oid("1.3.6.1.5.5.7.3.2")))),
    ("one-etsi-policy", "sign", set_value(oids.CERTIFICATE_POLICIES, policies(oids.QCP_N_QSCD, oids.NCP_PLUS, OWN))),
    ("statements-of-profile", "auth", statements(SEMANTICS, COMPLIANCE)),
    ("one-etsi-policy", "auth", set_value(oids.CERTIFICATE_POLICIES, policies(oids.QCP_N_QSCD, OWN_AUTH))),
    (
        "purposes",
        "auth",
        set_value(oids.EXTENDED_KEY_USAGE, der.sequence(der.oid("1.3.6.1.5.5.7.3.2"), der.oid("1.3.6.1.5.5.7.3.1"))),
    ),
    ("revocation-not-denied", "sign", put(oids.NO_REVOCATION_AVAILABLE, der.null())),
    # basics
    ("version-3", "sign", lambda tbs: altered(tbs, version=der.explicit(0, der.integer(1)))),
    ("serial-positive", "sign", lambda tbs: altered(tbs, serial=der.integer(-(1 << 150)))),
    ("serial-octets", "auth", lambda tbs: altered(tbs, serial=der.integer(1 << 160))),
    (
        "signature-algorithm",
        "sign",
        lambda tbs: altered(tbs, algorithm=der.sequence(der.oid(oids.SIGNATURE_ALGORITHMS["ecdsa-with-SHA256"]))),
    ),
    ("issuer-name", "sign", lambda tbs: altered(tbs, issuer=name(COUNTRY, (A["CN"], der.utf8("Other"))))),
    ("validity-order", "sign", until(START)),
    (
        "validity-encoding",
        "sign",
        until(der.generalized_time(datetime(2031, 3, 1, 21, 59, 59, tzinfo=UTC))),
    ),
    ("no-unique-identifiers", "sign", lambda tbs: altered(tbs, after_key=der.implicit(1, b"\x00\x01"))),
    ("extensions-once", "sign", twice),
    ("extensions-of-profile", "auth", put("1.2.3.4", der.null())),
    ("extensions-of-profile", "auth", take(oids.SUBJECT_KEY_IDENTIFIER)),
    ("criticality", "sign", set_value(oids.KEY_USAGE, der.named_bits([1]), critical=False)),
    (
        "authority-key-identifier",
        "sign",
        set_value(oids.AUTHORITY_KEY_IDENTIFIER, der.sequence(der.implicit(0, bytes(20)))),
    ),
    ("subject-key-identifier", "sign", set_value(oids.SUBJECT_KEY_IDENTIFIER, der.octet_string(bytes(20)))),
    ("curve", "auth", lambda tbs: altered(tbs, key=P521)),
    ("parameters-form", "sign", lambda tbs: altered(tbs, key=EXPLICIT)),
    ("key-usage", "sign", set_value(oids.KEY_USAGE, der.named_bits([0, 1]))),
    ("key-usage", "sign", set_value(oids.KEY_USAGE, der.bit_string(b"\x40"))),  # the right bit, zeros after it
    ("subject-attributes", "sign", in_subject(*GOOD_SUBJECT, COMMON)),
    ("subject-attributes", "sign", in_subject(COUNTRY, SURNAME, GIVEN, NUMBER)),
    ("attribute-types", "sign", instead((A["serialNumber"], der.utf8("PNOLV-320000-00017")))),
    ("country", "sign", instead((A["C"], der.printable("lv")))),
    ("addresses", "auth", set_value(oids.CRL_DISTRIBUTION_POINTS, crl("http://a.example.org/c.crl"))),
    # names
    ("names-present", "sign", in_subject(COUNTRY, NUMBER, COMMON)),
    ("one-script", "sign", instead((A["surname"], der.utf8("КАЛНИНЯ")))),
    ("names-composed", "sign", instead((A["givenName"], der.utf8("LI\u0304GA")))),
    ("names-composed", "sign", instead((A["surname"], der.utf8("KALNIŅA ")))),
    ("names-composed", "sign", instead((A["surname"], der.utf8("KAL\u200bNIŅA")))),
    ("common-name", "sign", instead((A["CN"], der.utf8("ANNA KALNIŅA")))),
    ("issuer-attributes", "sign", lambda tbs: altered(tbs, issuer=name(COUNTRY, COMMON))),
    # policies, addresses, statements
    ("forbidden-extensions", "sign", put(oids.INHIBIT_ANY_POLICY, der.integer(0))),
    ("policies-of-profile", "sign", set_value(oids.CERTIFICATE_POLICIES, policies(oids.QCP_N_QSCD, OWN, OWN))),
    ("own-policy", "auth", set_value(oids.CERTIFICATE_POLICIES, policies(oids.NCP_PLUS))),
    ("notice-length", "sign", set_value(oids.CERTIFICATE_POLICIES, policies(OWN, qualifier=notice(201)))),
    ("revocation-lists", "sign", set_value(oids.CRL_DISTRIBUTION_POINTS, crl("https://a.example.org/c.crl"))),
    ("issuer-information", "sign", set_value(oids.AUTHORITY_INFORMATION, access((oids.OCSP, "http://o/")))),
    (
        "issuer-information",
        "sign",
        set_value(oids.AUTHORITY_INFORMATION, access((oids.CA_ISSUERS, "http://i/"), (oids.OCSP, "https://o/"))),
    ),
    ("statements-of-profile", "sign", statements(SEMANTICS, SSCD, ESIGN, PDS)),
    ("qscd-with-policy", "sign", statements(SEMANTICS, COMPLIANCE, ESIGN, PDS)),
    ("type-electronic-signature", "sign", statements(SEMANTICS, COMPLIANCE, SSCD, ESEAL, PDS)),
    ("disclosure", "sign", statements(SEMANTICS, COMPLIANCE, SSCD, ESIGN, disclosure(("en", "http://a/")))),
    (
        "disclosure-of-profile",
        "sign",
        statements(SEMANTICS, COMPLIANCE, SSCD, ESIGN, disclosure(("en", "https://a.example.org/"))),
    ),
    (
        "no-legislation",
        "sign",
        statements(SEMANTICS, COMPLIANCE, SSCD, ESIGN, PDS, statement(oids.QC_LEGISLATION, der.sequence())),
    ),
    (
        "retention-period",
        "sign",
        statements(SEMANTICS, COMPLIANCE, SSCD, ESIGN, PDS, statement(oids.QC_RETENTION_PERIOD, der.integer(0))),
    ),
]


@pytest.mark.parametrize("slot", ["sign", "auth"])
def test_what_the_builder_makes_breaks_no_rule(slot: str, pair: Pair, centre: Centre) -> None:
    assert lint_tbs(PROFILES[slot], pair.tbs[slot], centre.issuing.certificate) == ()


@pytest.mark.parametrize(("rule", "slot", "change"), BAD)
def test_a_bad_certificate_is_found(rule: str, slot: str, change: Change, pair: Pair, centre: Centre) -> None:
    findings = lint_tbs(PROFILES[slot], change(pair.tbs[slot]), centre.issuing.certificate)
    assert rule in {finding.rule for finding in findings}
    assert all(finding.citation and finding.message for finding in findings)


def test_every_rule_for_holders_has_a_bad_vector() -> None:
    rules = {rule.name for role in (Role.SIGNATURE, Role.AUTHENTICATION) for rule in RULES[role]}
    assert rules - {rule for rule, _, _ in BAD} == {"issuer-may-sign"}  # has its own test


def test_an_issuer_that_is_no_ca_is_found(pair: Pair) -> None:
    findings = lint_tbs(PROFILES["auth"], pair.tbs["auth"], pair.certificates["sign"])
    assert "issuer-may-sign" in {finding.rule for finding in findings}


def test_messages_quote_no_value_of_the_holder(pair: Pair, centre: Centre) -> None:
    for _, slot, change in BAD:
        for finding in lint_tbs(PROFILES[slot], change(pair.tbs[slot]), centre.issuing.certificate):
            assert not any(part in finding.message for part in ("KALN", "LĪGA", "00017", "xyz", "junk"))


@pytest.mark.parametrize("data", [b"", b"\x30\x00", b"\x30\x80\x00\x00", b"\x30\x03\x02\x01\x05"])
def test_octets_that_cannot_be_read_are_one_finding(data: bytes, centre: Centre) -> None:
    assert [finding.rule for finding in lint_tbs(PROFILES["sign"], data, centre.issuing.certificate)] == ["der"]


def test_no_damaged_octet_makes_the_linter_fail(pair: Pair, centre: Centre) -> None:
    good = pair.tbs["sign"]
    for place in range(0, len(good), 3):
        for mask in (0x01, 0x80):
            damaged = good[:place] + bytes([good[place] ^ mask]) + good[place + 1 :]
            lint_tbs(PROFILES["sign"], damaged, centre.issuing.certificate)


def test_critical_false_written_out_is_not_der(pair: Pair, centre: Centre) -> None:
    false = der.sequence(der.oid("1.2.3"), der.encode(der.BOOLEAN, b"\x00"), der.octet_string(b""))
    tbs = altered(pair.tbs["sign"], extensions=der.explicit(3, der.sequence(false)))
    assert [finding.rule for finding in lint_tbs(PROFILES["sign"], tbs, centre.issuing.certificate)] == ["der"]


def test_values_of_extensions_that_cannot_be_read_are_findings(pair: Pair, centre: Centre) -> None:
    tbs = replaced(pair.tbs["sign"], oids.QC_STATEMENTS, b"\x04\x00")
    findings = {finding.rule for finding in lint_tbs(PROFILES["sign"], tbs, centre.issuing.certificate)}
    assert "statements-of-profile" in findings


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("pair-subject", in_subject(COUNTRY, SURNAME, GIVEN, (A["serialNumber"], der.printable("PNOLV-320000-00018")))),
        ("pair-end", until(der.time(NOW.replace(microsecond=0) + timedelta(days=30)))),
        ("pair-issuer", lambda tbs: altered(tbs, issuer=name(COUNTRY, COMMON))),
    ],
)
def test_a_pair_that_is_no_pair_is_found(rule: str, change: Change, pair: Pair, centre: Centre) -> None:
    both = [(PROFILES["sign"], pair.tbs["sign"]), (PROFILES["auth"], change(pair.tbs["auth"]))]
    assert rule in {finding.rule for finding in lint_pair(both, centre.issuing.certificate)}


def test_one_key_or_one_number_for_both_is_found(pair: Pair, centre: Centre) -> None:
    both = [(PROFILES["sign"], pair.tbs["sign"]), (PROFILES["sign"], pair.tbs["sign"])]
    rules = [finding.rule for finding in lint_pair(both, centre.issuing.certificate)]
    assert rules == ["pair-keys", "pair-serials"]


def test_the_pair_is_of_the_subject(pair: Pair) -> None:
    for certificate in pair.certificates.values():
        assert read_certificate(certificate).subject == name(*GOOD_SUBJECT)
    assert subject().common_name == "LĪGA KALNIŅA"

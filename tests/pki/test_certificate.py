"""Certificates in DER, read back by ourselves and by `cryptography`."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from hsm.ports import Curve, PublicKey
from pki.certificate import Subject, build_tbs, holder_subject, read_certificate, read_tbs
from pki.errors import CertificateRefused, SubjectRefused
from tests.pki.conftest import Centre, Pair
from tests.pki.made_up import EXTREME_SUBJECTS, NOW, PROFILES, subject
from tests.pki.software_signer import new_public_key

SECONDS = NOW.replace(microsecond=0)


def build(centre: Centre, **changed: object) -> bytes:
    values: dict[str, object] = {
        "serial": (1 << 158) + 1,
        "subject": subject(),
        "not_before": SECONDS,
        "not_after": datetime(2031, 3, 1, 21, 59, 59, tzinfo=UTC),
        "public_key": new_public_key(),
        "issuer": centre.issuing.certificate,
        **changed,
    }
    return build_tbs(PROFILES["sign"], **values)  # type: ignore[arg-type]


def test_another_library_reads_what_we_wrote(pair: Pair, centre: Centre) -> None:
    judged = x509.load_der_x509_certificate(pair.certificates["sign"])
    ours = read_certificate(pair.certificates["sign"])
    assert judged.serial_number == ours.serial
    assert judged.tbs_certificate_bytes == ours.tbs == pair.tbs["sign"]
    assert (judged.not_valid_before_utc, judged.not_valid_after_utc) == (ours.not_before, ours.not_after)
    assert judged.subject.public_bytes() == ours.subject
    assert judged.issuer.public_bytes() == ours.issuer == read_certificate(centre.issuing.certificate).subject
    assert {extension.oid.dotted_string for extension in judged.extensions} == set(ours.extensions)
    judged.verify_directly_issued_by(x509.load_der_x509_certificate(centre.issuing.certificate))


def test_the_addresses_name_the_issuers_key(pair: Pair, centre: Centre) -> None:
    judged = x509.load_der_x509_certificate(pair.certificates["auth"])
    issuer = x509.load_der_x509_certificate(centre.issuing.certificate)
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    points = judged.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [name.value for name in points[0].full_name or []] == [f"http://pki.eid.example.org/crl/{key_id}.crl"]


def test_a_subject_is_as_on_the_document() -> None:
    assert subject().common_name == "LĪGA KALNIŅA"
    assert subject().serial_number == "PNOLV-320000-00017"
    single = holder_subject("LV", "SUKARNO", None, "320000-00017")
    assert (single.given_names, single.common_name) == (None, "SUKARNO")
    with pytest.raises(SubjectRefused):
        holder_subject("LV", "", None, "320000-00017")


def test_names_are_composed_and_typed(pair: Pair) -> None:
    judged = x509.load_der_x509_certificate(pair.certificates["sign"])
    types = {attribute.oid: attribute._type.name for attribute in judged.subject}
    assert types[NameOID.COUNTRY_NAME] == types[NameOID.SERIAL_NUMBER] == "PrintableString"
    assert types[NameOID.SURNAME] == types[NameOID.GIVEN_NAME] == types[NameOID.COMMON_NAME] == "UTF8String"
    assert holder_subject("LV", "S\u030cA", None, "320000-00017").surname == "ŠA"


@pytest.mark.filterwarnings("ignore:Attribute's length")  # EN 319 412-2: longer than RFC 5280 is allowed
@pytest.mark.parametrize("holder", EXTREME_SUBJECTS)
def test_extreme_subjects_are_read_as_written(holder: Subject, issue: Callable[[Subject], Pair]) -> None:
    judged = x509.load_der_x509_certificate(issue(holder).certificates["auth"]).subject
    found = {attribute.oid: attribute.value for attribute in judged}
    assert found.get(NameOID.SURNAME) == holder.surname
    assert found.get(NameOID.GIVEN_NAME) == holder.given_names
    assert found[NameOID.COMMON_NAME] == holder.common_name
    assert found[NameOID.SERIAL_NUMBER] == holder.serial_number


@pytest.mark.parametrize(
    ("year", "tag"),
    [(2049, 0x17), (2050, 0x18)],
)
def test_times_change_their_type_in_2050(year: int, tag: int, centre: Centre) -> None:
    tbs = read_tbs(build(centre, not_after=datetime(year, 1, 1, tzinfo=UTC)))
    assert tbs.time_tags == (0x17, tag)
    assert tbs.not_after == datetime(year, 1, 1, tzinfo=UTC)


def test_fractions_of_a_second_and_naive_times_are_refused(centre: Centre) -> None:
    for moment in (NOW, SECONDS.replace(tzinfo=None)):
        with pytest.raises(CertificateRefused):
            build(centre, not_before=moment)


@pytest.mark.parametrize(
    "changed",
    [
        {"serial_number": "PNOLV-320000-0001Ņ"},
        {"country": "LĪ"},
        {"common_name": ""},
        {"serial_number": ""},
    ],
)
def test_a_subject_that_cannot_stand_is_refused(changed: dict[str, str], centre: Centre) -> None:
    good = subject()
    fields = {name: getattr(good, name) for name in good.__slots__}
    with pytest.raises(SubjectRefused):
        build(centre, subject=type(good)(**{**fields, **changed}))


def test_a_point_that_is_not_on_the_curve_is_refused(centre: Centre) -> None:
    with pytest.raises(CertificateRefused):
        build(centre, public_key=PublicKey(Curve.P384, b"\x04" + bytes(95) + b"\x01"))


def test_a_damaged_certificate_is_refused(pair: Pair) -> None:
    good = pair.certificates["sign"]
    for damaged in (good[:-1], good + b"\x00", good[:1] + b"\x80" + good[2:], b"", b"\x30\x00"):
        with pytest.raises(CertificateRefused):
            read_certificate(damaged)

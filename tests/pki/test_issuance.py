"""Build, lint, sign, check what came back."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hsm.errors import SignatureMismatch
from hsm.ports import Curve, KeyLabel
from pki.certificate import read_certificate, read_tbs
from pki.errors import LintRefused, ValidityRefused
from pki.issuance import new_serial, prepare_pair, sign_certificate, validity
from tests.pki.conftest import Centre, Pair
from tests.pki.made_up import ISSUED, LAST_DAY, NOW, PROFILES, subject
from tests.pki.software_signer import SoftwareSigner, new_public_key

SERIALS = {"sign": new_serial(bytes(range(20))), "auth": new_serial(bytes(range(20, 40)))}
PERIOD = validity(ISSUED, LAST_DAY, PROFILES["sign"], NOW)


def prepare(centre: Centre, **changed: object) -> dict[str, bytes]:
    values: dict[str, object] = {
        "subject": subject(),
        "public_keys": {slot: new_public_key() for slot in PROFILES},
        "serials": SERIALS,
        "not_before": PERIOD[0],
        "not_after": PERIOD[1],
        **changed,
    }
    return dict(prepare_pair(PROFILES, centre.issuing, **values))  # type: ignore[arg-type]


@pytest.mark.parametrize("octets", [bytes(20), b"\xff" * 20, bytes(range(20))])
def test_a_serial_number_is_positive_and_twenty_octets(octets: bytes) -> None:
    assert len(new_serial(octets).to_bytes(20, "big", signed=True)) == 20
    assert new_serial(octets) >= 1 << 158
    with pytest.raises(ValueError, match="20"):
        new_serial(octets[1:])


def test_certificates_end_with_the_documents_last_day_in_riga() -> None:
    not_before, not_after = validity(ISSUED, LAST_DAY, PROFILES["sign"], NOW)
    assert not_before == NOW.replace(microsecond=0)
    assert not_after.astimezone(ZoneInfo("Europe/Riga")).isoformat() == "2031-03-01T23:59:59+02:00"
    assert not_after == datetime(2031, 3, 1, 21, 59, 59, tzinfo=UTC)


def test_in_summer_the_day_ends_an_hour_earlier_in_utc() -> None:
    assert validity(ISSUED, date(2030, 7, 1), PROFILES["sign"], NOW)[1] == datetime(2030, 7, 1, 20, 59, 59, tzinfo=UTC)


def test_a_long_document_gets_the_profiles_term() -> None:
    not_before, not_after = validity(ISSUED, date(2036, 3, 1), PROFILES["sign"], NOW)
    assert not_after == datetime(2031, 3, 2, 9, 30, 14, tzinfo=UTC)
    assert not_after - not_before == timedelta(days=1826) - timedelta(seconds=1)


def test_a_term_from_a_leap_day_ends_in_february() -> None:
    leap = datetime(2028, 2, 29, 12, tzinfo=UTC)
    end = validity(date(2028, 2, 29), date(2038, 1, 1), PROFILES["sign"], leap)[1]
    assert end == datetime(2033, 2, 28, 11, 59, 59, tzinfo=UTC)


def test_a_document_of_tomorrow_begins_tomorrow() -> None:
    begins = validity(date(2026, 3, 3), LAST_DAY, PROFILES["sign"], NOW)[0]
    assert begins == datetime(2026, 3, 2, 22, 0, 0, tzinfo=UTC)


def test_a_document_that_has_ended_has_no_validity() -> None:
    with pytest.raises(ValidityRefused):
        validity(ISSUED, date(2026, 3, 1), PROFILES["sign"], NOW)


def test_a_pair_is_one_holder_one_end_two_keys(centre: Centre) -> None:
    bodies = [read_tbs(tbs) for tbs in prepare(centre).values()]
    assert len({body.subject for body in bodies}) == len({body.not_after for body in bodies}) == 1
    assert len({body.public_key_info for body in bodies}) == len({body.serial for body in bodies}) == 2


def test_a_pair_may_be_on_p256(centre: Centre) -> None:
    assert prepare(centre, public_keys={slot: new_public_key(Curve.P256) for slot in PROFILES})


def test_one_key_for_both_is_refused(centre: Centre) -> None:
    with pytest.raises(LintRefused) as refused:
        prepare(centre, public_keys=dict.fromkeys(PROFILES, new_public_key()))
    assert [finding.rule for finding in refused.value.findings] == ["pair-keys"]


def test_one_serial_for_both_is_refused(centre: Centre) -> None:
    with pytest.raises(LintRefused) as refused:
        prepare(centre, serials=dict.fromkeys(PROFILES, SERIALS["sign"]))
    assert [finding.rule for finding in refused.value.findings] == ["pair-serials"]


def test_nothing_outlives_its_issuer(centre: Centre) -> None:
    issuer_ends = read_certificate(centre.issuing.certificate).not_after
    begins = issuer_ends - timedelta(days=100)
    with pytest.raises(LintRefused) as refused:
        prepare(centre, not_before=begins, not_after=issuer_ends + timedelta(seconds=1))
    assert {finding.rule for finding in refused.value.findings} == {"validity-within-issuer"}
    assert "KALN" not in str(refused.value)


def test_slots_that_differ_are_refused(centre: Centre) -> None:
    with pytest.raises(ValueError, match="same slots"):
        prepare(centre, serials={"sign": 1})


def test_the_certificate_holds_exactly_what_was_linted(centre: Centre) -> None:
    tbs = prepare(centre)["sign"]
    assert read_certificate(sign_certificate(centre.signer, centre.issuing, tbs)).tbs == tbs


def test_a_signature_by_another_key_halts(centre: Centre, pair: Pair) -> None:
    wrong = SoftwareSigner()
    wrong.make(centre.issuing.label, Curve.P384)
    with pytest.raises(SignatureMismatch):
        sign_certificate(wrong, centre.issuing, pair.tbs["sign"])


@pytest.mark.parametrize("signature", [b"", b"\x30\x06\x02\x01\x01\x02\x01\x01", bytes(96)])
def test_what_is_no_signature_halts(signature: bytes, centre: Centre, pair: Pair) -> None:
    class Broken(SoftwareSigner):
        def sign(self, *_: KeyLabel | bytes) -> bytes:
            return signature

    with pytest.raises(SignatureMismatch):
        sign_certificate(Broken(), centre.issuing, pair.tbs["sign"])

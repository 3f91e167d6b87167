"""Dates: one good and one bad vector per rule, and the edges of each."""

from datetime import UTC, date, datetime

import pytest

from personalization.rules.calendar_days import full_years, more_than_years_later, parse_birth, parse_instant
from tests.personalization.record_vectors import CHILD, CITIZEN, changed, chipless, failures, failures_with

AT = "/approved/at"
BIRTH = "/holder/birth_date"
ISSUE = "/document/issue_date"
EXPIRY = "/document/expiry_date"
NEW_CODE = {"/holder/personal_code": "320000-00000"}


@pytest.mark.parametrize(
    ("place", "value", "rule"),
    [
        (BIRTH, "1978-02-30", "date-real"),
        (BIRTH, "1978-13-01", "date-real"),
        (BIRTH, "1978-00-32", "date-real"),
        (BIRTH, "1900-02-29", "date-real"),
        (BIRTH, "0000-01-01", "date-real"),
        (ISSUE, "2026-11-31", "schema/format"),
        (ISSUE, "0000-01-01", "date-real"),
        (EXPIRY, "2027-02-29", "schema/format"),
        (EXPIRY, "31.12.2027", "schema/format"),
        (AT, "2026-11-31T00:00:00Z", "schema/format"),
        (AT, "2026-11-12T07:17:00", "schema/format"),
        (AT, "2026-11-12", "schema/format"),
        (AT, "0000-01-01T00:00:00Z", "date-real"),
        (AT, "9999-12-31T23:30:00Z", "date-real"),  # already the year 10000 in Riga
    ],
)
def test_dates_are_real(place: str, value: str, rule: str) -> None:
    assert failures_with(NEW_CODE | {place: value}) == {(place, rule)}


@pytest.mark.parametrize("birth", ["1978-00-00", "1978-09-00", "1978-00-31", "2000-02-29", "1978-02-00"])
def test_month_or_day_of_birth_may_be_unknown(birth: str) -> None:
    assert not failures_with(NEW_CODE | {BIRTH: birth})


def test_an_unknown_day_of_birth_stands_for_any() -> None:
    assert (parse_birth("2020-02-00").earliest, parse_birth("2020-02-00").latest) == (
        date(2020, 2, 1),
        date(2020, 2, 29),
    )
    assert (parse_birth("2020-00-31").earliest, parse_birth("2020-00-31").latest) == (
        date(2020, 1, 31),
        date(2020, 12, 31),
    )
    assert parse_birth("2021-00-29").earliest == date(2021, 1, 29)


@pytest.mark.parametrize(
    "at", ["2026-11-12T07:17:00+00:00", "2026-11-12t07:17:00.123456789z", "2026-11-12T07:17:00-00:00"]
)
def test_forms_of_utc(at: str) -> None:
    assert not failures_with({AT: at})


def test_an_approval_in_another_zone_is_refused() -> None:
    assert failures_with({AT: "2026-11-12T09:17:00+02:00"}) == {(AT, "approval-utc")}


def test_a_leap_second_is_a_time() -> None:
    assert parse_instant("2016-12-31T23:59:60Z").at == datetime(2017, 1, 1, tzinfo=UTC)


def test_approval_not_in_the_future() -> None:
    assert not failures_with({AT: "2026-11-23T18:00:00Z"})
    assert failures_with({AT: "2026-11-23T18:00:01Z"}) == {(AT, "approval-future")}


def test_birth_not_in_the_future() -> None:
    # 22:30 UTC of the 23rd is the 24th in Riga
    late = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)
    newborn = changed(CHILD, {"/holder/personal_code": "320000-00000", ISSUE: "2026-11-25", EXPIRY: "2028-11-01"})
    same_day = changed(newborn, {BIRTH: "2026-11-24", AT: "2026-11-23T22:10:00Z"})
    assert not failures(same_day, now=late)
    assert failures(changed(same_day, {BIRTH: "2026-11-25"}), now=late) >= {(BIRTH, "birth-future")}


def test_birth_not_after_approval() -> None:
    newborn = changed(CHILD, {"/holder/personal_code": "320000-00000", EXPIRY: "2028-11-01"})
    assert not failures(changed(newborn, {BIRTH: "2026-11-11"}))
    assert failures(changed(newborn, {BIRTH: "2026-11-12"})) == {(BIRTH, "birth-after-approval")}


def test_the_approval_instant_counts_as_its_day_in_riga() -> None:
    # Winter, UTC+2: 21:59 is still the 12th, 22:00 is the 13th. Summer, UTC+3.
    assert not failures_with({AT: "2026-11-12T21:59:59Z", ISSUE: "2026-11-12", EXPIRY: "2031-11-11"})
    assert failures_with({AT: "2026-11-12T22:00:00Z", ISSUE: "2026-11-12", EXPIRY: "2031-11-11"}) == {
        (ISSUE, "issue-before-approval")
    }
    assert failures_with({AT: "2026-07-12T21:00:00Z", ISSUE: "2026-07-12", EXPIRY: "2031-07-11"}) == {
        (ISSUE, "issue-before-approval")
    }


def test_issue_at_most_60_days_after_approval_whatever_today_is() -> None:
    term = {EXPIRY: "2031-01-01", AT: "2026-01-01T10:00:00Z"}
    assert not failures_with({ISSUE: "2026-03-02", **term})
    assert failures_with({ISSUE: "2026-03-03", **term}) == {(ISSUE, "issue-too-late")}
    assert not failures(CITIZEN, now=datetime(2040, 1, 1, tzinfo=UTC))  # the order waited


def test_expiry_after_issue_and_at_most_ten_years_later() -> None:
    assert failures_with({EXPIRY: "2026-11-23"}) == {(EXPIRY, "expiry-after-issue")}
    assert not failures_with({EXPIRY: "2026-11-24"})
    assert not failures_with({EXPIRY: "2036-11-23"})
    assert failures_with({EXPIRY: "2036-11-24"}) == {(EXPIRY, "expiry-too-late")}


def test_ten_years_after_a_29_february() -> None:
    assert not more_than_years_later(date(2038, 2, 28), date(2028, 2, 29), 10)
    assert more_than_years_later(date(2038, 3, 1), date(2028, 2, 29), 10)


def test_under_five_at_most_two_years() -> None:
    assert not failures_with({EXPIRY: "2028-11-23"}, CHILD)
    assert failures_with({EXPIRY: "2028-11-24"}, CHILD) == {(EXPIRY, "expiry-under-five")}
    long = changed(CHILD, {"/holder/personal_code": "320000-00000", EXPIRY: "2031-11-22"})
    assert not failures(changed(long, {BIRTH: "2021-11-23"}))  # the fifth birthday is the issue date
    assert failures(changed(long, {BIRTH: "2021-11-24"})) == {(EXPIRY, "expiry-under-five")}


def test_under_five_only_where_it_is_certain() -> None:
    long = changed(CHILD, {"/holder/personal_code": "320000-00000", EXPIRY: "2031-11-22"})
    assert not failures(changed(long, {BIRTH: "2021-00-00"}))  # may have been born in January
    assert failures(changed(long, {BIRTH: "2022-00-00"})) == {(EXPIRY, "expiry-under-five")}


def test_age_counts_birthdays() -> None:
    assert full_years(date(2020, 2, 29), date(2025, 2, 28)) == 4
    assert full_years(date(2020, 2, 29), date(2025, 3, 1)) == 5
    assert full_years(date(2020, 11, 23), date(2025, 11, 23)) == 5


def test_only_a_chipless_card_is_without_term() -> None:
    assert failures_with({EXPIRY: None}) == {(EXPIRY, "expiry-required")}
    assert not failures(chipless())
    assert not failures(changed(chipless(), {EXPIRY: "2027-01-01"}))
    assert failures(changed(chipless(), {EXPIRY: "2040-01-01"})) == {(EXPIRY, "expiry-too-late")}

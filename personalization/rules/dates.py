"""Dates: real, in order, and no term longer than the law of the document allows.

The issue date is never judged by today's date: an order may wait. Only birth and approval are compared with now.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

from personalization.approved_record import Failure
from personalization.rules.calendar_days import (
    BirthDay,
    Instant,
    full_years,
    more_than_years_later,
    parse_birth,
    parse_day,
    parse_instant,
    riga_day,
)
from personalization.rules.document_types import is_chipless
from personalization.rules.view import RecordView

LAST_ISSUE_DAY = 60
LONGEST_TERM_YEARS = 10
SHORT_TERM_YEARS = 2
SHORT_TERM_BELOW_AGE = 5

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RecordDates:
    """The dates of a record that are real; None for one that is not, or is not there."""

    approved: Instant | None
    birth: BirthDay | None
    issue: date | None
    expiry: date | None


def read_dates(view: RecordView) -> RecordDates:
    """The dates of a record as far as they can be read."""
    return RecordDates(
        approved=_read(view, "/approved/at", parse_instant),
        birth=_read(view, "/holder/birth_date", parse_birth),
        issue=_read(view, "/document/issue_date", parse_day),
        expiry=_read(view, "/document/expiry_date", parse_day),
    )


def date_failures(view: RecordView, now: datetime) -> Iterator[Failure]:
    """Failures of the approval instant and the dates of birth, issue and expiry."""
    dates = read_dates(view)
    yield from _unreal(view, dates)
    yield from _approval(dates, now)
    yield from _birth(dates, now)
    yield from _issue(dates)
    yield from _expiry(view, dates)


def _unreal(view: RecordView, dates: RecordDates) -> Iterator[Failure]:
    read = (
        ("/approved/at", dates.approved, "The approval instant is not on the calendar."),
        ("/holder/birth_date", dates.birth, "The birth date is not a real date; only a month or day may be 00."),
        ("/document/issue_date", dates.issue, "The issue date is not a real calendar date."),
        ("/document/expiry_date", dates.expiry, "The expiry date is not a real calendar date."),
    )
    for pointer, value, sentence in read:
        if value is None and view.text(pointer) is not None:
            yield Failure(pointer, "date-real", sentence)


def _approval(dates: RecordDates, now: datetime) -> Iterator[Failure]:
    if dates.approved is None:
        return
    if not dates.approved.written_in_utc:
        yield Failure("/approved/at", "approval-utc", "The approval instant must be given in UTC, with Z at its end.")
    if dates.approved.at > now:
        yield Failure("/approved/at", "approval-future", "The approval instant lies in the future.")


def _birth(dates: RecordDates, now: datetime) -> Iterator[Failure]:
    # An unknown month or day gets the benefit of the doubt: the earliest day that it may stand for counts.
    if dates.birth is None:
        return
    if dates.birth.earliest > riga_day(now):
        yield Failure("/holder/birth_date", "birth-future", "The birth date lies in the future.")
    known = [day for day in (dates.issue, dates.approved.day if dates.approved else None) if day is not None]
    if known and dates.birth.earliest > min(known):
        yield Failure(
            "/holder/birth_date",
            "birth-after-approval",
            "The birth date lies after the approval or the issue date; a document is approved for somebody born.",
        )


def _issue(dates: RecordDates) -> Iterator[Failure]:
    if dates.issue is None or dates.approved is None:
        return
    days = (dates.issue - dates.approved.day).days
    if days < 0:
        yield Failure(
            "/document/issue_date",
            "issue-before-approval",
            "The issue date lies before the day of approval (in Riga); it must be that day or later.",
        )
    if days > LAST_ISSUE_DAY:
        yield Failure(
            "/document/issue_date",
            "issue-too-late",
            f"The issue date lies more than {LAST_ISSUE_DAY} days after the day of approval (in Riga).",
        )


def _expiry(view: RecordView, dates: RecordDates) -> Iterator[Failure]:
    pointer = "/document/expiry_date"
    document_type = view.text("/document/type")
    if document_type and not is_chipless(document_type) and view.has(pointer) and view.value(pointer) is None:
        yield Failure(pointer, "expiry-required", "A document with a chip must have an expiry date.")
    if dates.expiry is None or dates.issue is None:
        return
    if dates.expiry <= dates.issue:
        yield Failure(pointer, "expiry-after-issue", "The expiry date must lie after the issue date.")
    elif more_than_years_later(dates.expiry, dates.issue, LONGEST_TERM_YEARS):
        yield Failure(
            pointer, "expiry-too-late", f"The expiry date lies more than {LONGEST_TERM_YEARS} years after issue."
        )
    # Certainly under five on the day of issue, even if born on the earliest day that an unknown one may stand for.
    elif (
        dates.birth is not None
        and full_years(dates.birth.earliest, dates.issue) < SHORT_TERM_BELOW_AGE
        and more_than_years_later(dates.expiry, dates.issue, SHORT_TERM_YEARS)
    ):
        yield Failure(
            pointer,
            "expiry-under-five",
            f"The holder is under {SHORT_TERM_BELOW_AGE} on the issue date; the expiry date may then lie at most "
            f"{SHORT_TERM_YEARS} years after it.",
        )


def _read(view: RecordView, pointer: str, parse: Callable[[str], _T]) -> _T | None:
    text = view.text(pointer)
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError:
        return None

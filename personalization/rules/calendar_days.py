"""Days as the rules count them: calendar days in Riga, ages by birthdays, births with unknown month or day."""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

RIGA = ZoneInfo("Europe/Riga")
_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?([Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


@dataclass(frozen=True, slots=True)
class BirthDay:
    """A date of birth; month and day are 0 where unknown. `earliest` and `latest` are the days it may stand for."""

    earliest: date
    latest: date


@dataclass(frozen=True, slots=True)
class Instant:
    """An instant in UTC, its day in Riga, and whether it was written in UTC."""

    at: datetime
    day: date
    written_in_utc: bool


def parse_day(text: str) -> date:
    """A real calendar date from `YYYY-MM-DD`. Raises `ValueError`."""
    year, month, day = (int(part) for part in text.split("-"))
    return date(year, month, day)


def parse_birth(text: str) -> BirthDay:
    """A date of birth from `YYYY-MM-DD` with 00 for unknown. Raises `ValueError` where no real date fits it."""
    year, month, day = (int(part) for part in text.split("-"))
    months = range(1, 13) if month == 0 else (month,)
    fitting: list[date] = []
    for candidate in months:
        last = calendar.monthrange(date(year, candidate, 1).year, candidate)[1]
        if day == 0:
            fitting += [date(year, candidate, 1), date(year, candidate, last)]
        elif day <= last:
            fitting.append(date(year, candidate, day))
    if not fitting:
        raise ValueError("no real date fits")
    return BirthDay(min(fitting), max(fitting))


def parse_instant(text: str) -> Instant:
    """An instant written as RFC 3339 §5.6 has it. Raises `ValueError` for one that no calendar holds."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError("not RFC 3339")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    microsecond = int((match[7] or "0").ljust(6, "0")[:6])
    offset = timedelta()
    if match[9]:
        offset = timedelta(hours=int(match[10]), minutes=int(match[11])) * (-1 if match[9] == "-" else 1)
    leap = second == 60  # RFC 3339 appendix D: datetime has no leap seconds, the second after stands for them
    try:
        moment = datetime(
            year, month, day, hour, minute, second - leap, microsecond, tzinfo=timezone(offset)
        ).astimezone(UTC) + timedelta(seconds=int(leap))
        return Instant(moment, riga_day(moment), written_in_utc=not offset)
    except OverflowError as outside:
        raise ValueError("outside the calendar") from outside


def riga_day(moment: datetime) -> date:
    """The calendar day in Riga of an aware instant."""
    return moment.astimezone(RIGA).date()


def full_years(since: date, on: date) -> int:
    """Anniversaries of `since` up to and including `on`; one of 29 February falls on 1 March in common years."""
    return on.year - since.year - ((on.month, on.day) < (since.month, since.day))


def more_than_years_later(later: date, start: date, years: int) -> bool:
    """Whether `later` is past the day that is `years` years after `start`; 29 February ends on 28 February."""
    return (later.year - start.year, later.month, later.day) > (years, start.month, start.day)

"""Terms in years, months and days, and the day's end in the country of issue."""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

COUNTRY_TIME = ZoneInfo("Europe/Riga")
"""The clock of the issuing country: a document's last day ends there."""


@dataclass(frozen=True, slots=True)
class Term:
    """A term as a policy writes it; months and years are those of the calendar."""

    years: int = 0
    months: int = 0
    days: int = 0

    def after(self, start: datetime) -> datetime:
        """The first moment after a term that begins at `start` (29 February becomes the 28th where needed)."""
        months = start.year * 12 + start.month - 1 + self.years * 12 + self.months
        year, month = divmod(months, 12)
        day = min(start.day, calendar.monthrange(year, month + 1)[1])
        return start.replace(year=year, month=month + 1, day=day) + timedelta(days=self.days)

    def last_second(self, start: datetime) -> datetime:
        """The last second of a term that begins at `start`: both ends of a validity period belong to it.

        RFC 5280 §4.1.2.5.
        """
        return self.after(start) - timedelta(seconds=1)


def day_begins(day: date) -> datetime:
    """The first second of `day` in the country of issue, as UTC."""
    return datetime.combine(day, time(0, 0, 0), COUNTRY_TIME).astimezone(UTC)


def day_ends(day: date) -> datetime:
    """The last second of `day` in the country of issue, as UTC."""
    return datetime.combine(day, time(23, 59, 59), COUNTRY_TIME).astimezone(UTC)

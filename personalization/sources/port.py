"""What a document information system is to the engine: where approved records come from and where news of them go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from personalization.approved_record import Failure

Outcome = Literal["accepted", "rejected"]


class SourceError(Exception):
    """Base of what can go wrong at a source; messages hold no personal data and no part of a body."""


class SourceUnavailable(SourceError):
    """The source does not answer (now): try again later. What was sent may have arrived."""


class SourceRefused(SourceError):
    """The source answered that it will not take this, however often it is sent."""


class SourceMalformed(SourceError):
    """The source's answer is not of the agreed form, or larger than any answer should be."""


@dataclass(frozen=True, slots=True)
class Page:
    """Records as delivered, unchecked, oldest first; the same one may come twice.

    positions: the place of each record at the source, where the source says it; next: the cursor to ask with.
    """

    records: tuple[object, ...]
    positions: tuple[int, ...] | None
    next: str


@dataclass(frozen=True, slots=True)
class Cancellation:
    """An order withdrawn at the source, whatever its revision."""

    record_id: str


@dataclass(frozen=True, slots=True)
class CancellationPage:
    """Orders withdrawn, oldest first, and the cursor to ask with."""

    cancellations: tuple[Cancellation, ...]
    next: str


class DocumentSystem(Protocol):
    """One source. Every call may raise `SourceUnavailable`, `SourceRefused` or `SourceMalformed`."""

    def approved_records(self, after: str | None, limit: int) -> Page:
        """The records after a cursor, None for the first page."""
        ...

    def send_receipt(self, record_id: str, revision: int | None, outcome: Outcome, errors: Sequence[Failure]) -> None:
        """Tell what became of a delivered record; revision is None where the record held none."""
        ...

    def send_document(self, body: Mapping[str, object]) -> None:
        """Tell what was made: record, document and chip numbers, certificates, dates, states."""
        ...

    def cancellations(self, after: str | None) -> CancellationPage:
        """The orders withdrawn after a cursor, None for the first page."""
        ...

"""Records for benchmarks: those of a folder again and again, under new identifiers, taken in by the ordinary intake."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from api.bench.workbench import Bench, Spent, spend
from api.failure import CommandFailed
from card_profiles.profile import profile_for
from personalization.assembly import acceptance
from personalization.flow import JobState, Stage
from personalization.intake import Intake
from personalization.records import CheckedRecord, Failure, check_record, load_places
from personalization.sources.port import CancellationPage, Outcome, Page
from personalization.store.tables import job


class RecordsInMemory:
    """`DocumentSystem`: serves these records, listens to nothing."""

    def __init__(self, records: Sequence[object]) -> None:
        self._records = records

    def approved_records(self, after: str | None, limit: int) -> Page:
        """The next `limit` records; positions go on from one such source to the next."""
        before = int(after or 0)
        page, self._records = self._records[:limit], self._records[limit:]
        last = before + len(page)
        return Page(tuple(page), tuple(range(before + 1, last + 1)), str(last))

    def send_receipt(self, record_id: str, revision: int | None, outcome: Outcome, errors: Sequence[Failure]) -> None:
        """Nobody is told."""

    def send_document(self, body: Mapping[str, object]) -> None:
        """Nobody is told."""

    def cancellations(self, after: str | None) -> CancellationPage:
        """None."""
        return CancellationPage((), after or "")


def makeable(folder: Path) -> list[Any]:
    """The records of a folder that pass the check and whose document has a profile with certificates.

    Raises `CommandFailed` where there is none.
    """
    places, now = load_places(), datetime.now(UTC)
    found = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_bytes())
        checked = check_record(content, places, now=now)
        if (
            isinstance(checked, CheckedRecord)
            and checked.certificates.wanted
            and profile_for(checked.document.type, specimen=False)
        ):
            found.append(content)
    if not found:
        raise CommandFailed(f"--records: {folder} holds no record of a card with certificates")
    return found


def numbered(samples: Sequence[Any], number: int) -> Any:
    """One of the samples as a record of its own."""
    return samples[number % len(samples)] | {"record_id": f"PADIS-2026-{number:07d}"}


def take_in(bench: Bench, folder: Path, first: int, count: int) -> Spent:
    """`count` records under the numbers from `first` on, accepted and queued; what that cost."""
    samples: list[Any] = bench.keep("samples", lambda: makeable(folder))
    records = [numbered(samples, number) for number in range(first, first + count)]
    intake = Intake(
        database=bench.parts.database,
        vault=bench.parts.vault,
        acceptance=acceptance(bench.parts),
        source=RecordsInMemory(records),
        source_name=bench.settings.source_name,
    )

    def work() -> int:
        taken = 0
        while more := intake.pull(datetime.now(UTC)):
            taken += more
        return taken

    return spend(work)


def waiting(bench: Bench, stage: Stage) -> int:
    """Jobs that are ready at a stage."""
    with bench.parts.database.reading() as connection:
        return connection.execute(
            select(func.count()).select_from(job).where(job.c.stage == stage, job.c.state == JobState.READY)
        ).scalar_one()


class Numbers:
    """Record numbers that no record had before in this run."""

    def __init__(self) -> None:
        self._next = 1

    def take(self, count: int) -> int:
        """The first of `count` fresh ones."""
        first = self._next
        self._next += count
        return first

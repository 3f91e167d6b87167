"""What a run says at its end, from the database: of all records of the folder, whichever run finished them."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from personalization.centre import stock
from personalization.flow import PHYSICAL, JobState, Stage
from personalization.store.database import Database
from personalization.store.tables import blank, job, job_step, received_record

STATES = {
    JobState.DONE: "verified",
    JobState.FAILED: "spoiled",
    JobState.CANCELLED: "cancelled",
    JobState.HELD: "held",
    JobState.UNCLEAR: "unclear",
}
JUDGES = ("own", "opensc", "openssl")
NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True, slots=True)
class RunReport:
    """The members of the JSON that `perso run --json` prints, and what the tables for people need besides."""

    records: int
    accepted: int
    rejected: tuple[Mapping[str, Any], ...]
    held: tuple[Mapping[str, Any], ...]
    cards: tuple[Mapping[str, Any], ...]
    blanks: stock.BlankCounts
    cards_per_hour: float
    unfinished: int
    spoiled: tuple[tuple[str, str], ...]
    """Chip serial and reason code, for the table; not in the JSON."""

    @property
    def all_verified(self) -> bool:
        """Whether every accepted record with a profile ended as a verified card."""
        return self.unfinished == 0

    def to_json(self) -> dict[str, Any]:
        """The fixed form that others build on."""
        counts = self.blanks
        return {
            "records": self.records,
            "accepted": self.accepted,
            "rejected": list(self.rejected),
            "held": list(self.held),
            "cards": list(self.cards),
            "blanks": {
                "received": counts.received,
                "good": counts.good,
                "spoiled": counts.spoiled,
                "left": counts.left,
            },
            "cards_per_hour": self.cards_per_hour,
        }


def read_report(
    database: Database, source_name: str, files: Mapping[int, str], folder: Path, cards_per_hour: float
) -> RunReport:
    """The report on the records at these positions of the source (position -> file name in `folder`)."""
    with database.reading() as connection:
        received = [
            row
            for row in connection.execute(
                select(received_record)
                .where(received_record.c.source == source_name)
                .order_by(received_record.c.position)
            )
            if row.position in files
        ]
        rejected = tuple(
            {
                "file": files[row.position],
                "record_id": row.record_id or _record_id_in(folder / files[row.position]),
                "errors": json.loads(row.failures),
            }
            for row in received
            if row.outcome == "rejected"
        )
        accepted = [row for row in received if row.outcome == "accepted"]
        wanted = {row.record_id for row in accepted}
        jobs = [row for row in _jobs(connection) if row.record_id in wanted]
        cards = tuple(_cards(connection, jobs))
        counts = stock.count(connection)
    last = {row.record_id: row for row in jobs}
    held = tuple(
        {"record_id": row.record_id, "reason": row.reason_code}
        for row in last.values()
        if row.state in (JobState.HELD, JobState.UNCLEAR)
    )
    unfinished = sum(
        row.state not in (JobState.DONE, JobState.CANCELLED) and row.profile_id is not None for row in last.values()
    )
    # A file that was not delivered yet leaves the run unfinished as well.
    unfinished += len(files) - len(received)
    return RunReport(
        records=len(files),
        accepted=len(accepted),
        rejected=rejected,
        held=held,
        cards=cards,
        blanks=counts,
        cards_per_hour=round(cards_per_hour, 1),
        unfinished=unfinished,
        spoiled=tuple(
            (row.chip_serial, row.reason_code)
            for row in jobs
            if row.state in (JobState.FAILED, JobState.CANCELLED) and row.blank_state == stock.SPOILED
        ),
    )


def _jobs(connection: Connection) -> list[Any]:
    return list(
        connection.execute(
            select(job, blank.c.chip_serial, blank.c.state.label("blank_state"))
            .outerjoin(blank, blank.c.job_id == job.c.id)
            .order_by(job.c.record_id, job.c.revision, job.c.attempt)
        )
    )


def _cards(connection: Connection, jobs: list[Any]) -> list[Mapping[str, Any]]:
    touched = [row for row in jobs if row.chip_serial is not None]
    steps: dict[str, dict[str, Any]] = defaultdict(dict)
    for step in connection.execute(select(job_step).where(job_step.c.stage.in_(PHYSICAL))):
        steps[step.job_id][step.stage] = step
    cards: list[Mapping[str, Any]] = []
    for row in touched:
        done = steps[row.id]
        result = json.loads(done[Stage.INSPECT].result) if Stage.INSPECT in done else {}
        verdicts = result.get("verdicts", {})
        cards.append(
            {
                "record_id": row.record_id,
                "document_number": row.document_number,
                "chip_serial": row.chip_serial,
                "state": STATES.get(JobState(row.state), "in-work"),
                "judges": {judge: verdicts.get(judge, NOT_APPLICABLE) for judge in JUDGES},
                "seconds": round(_milliseconds(result, done) / 1000, 3),
            }
        )
    return cards


def _milliseconds(result: Mapping[str, Any], done: Mapping[str, Any]) -> int:
    """From the claim to the verdict; for a card that never came so far, what its stages took."""
    whole: int | None = result.get("card_milliseconds")
    return whole if whole is not None else sum(step.milliseconds for step in done.values())


def _record_id_in(file: Path) -> str | None:
    """The identifier as it stands in a refused file; the engine itself does not keep one that is not of our form."""
    try:
        record = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    record_id = record.get("record_id") if isinstance(record, dict) else None
    return record_id if isinstance(record_id, str) else None

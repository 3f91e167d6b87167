"""How far a run is, counted from the database: one look costs two small queries."""

from dataclasses import dataclass

from sqlalchemy import func, select

from personalization.flow import PHYSICAL, PREPARING, JobState
from personalization.store.database import Database
from personalization.store.tables import event_pending, job, received_record, source_message

SOURCE = "padis"
"""The document information system that the demonstration line pulls from and tells."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of the whole state, not of one run."""

    received: int
    rejected: int
    held: int
    preparing: int
    at_stations: int
    verified: int
    given_up: int
    untold: int

    @property
    def waiting(self) -> int:
        """Jobs that still want work."""
        return self.preparing + self.at_stations


def received_positions(database: Database, source: str) -> set[int]:
    """Which places of a source's order were received."""
    with database.reading() as connection:
        return set(
            connection.execute(
                select(received_record.c.position).where(
                    received_record.c.source == source, received_record.c.position.is_not(None)
                )
            ).scalars()
        )


def look(database: Database) -> Progress:
    """The counts now. Raises `StoreUnavailable`."""
    with database.reading() as connection:
        by_outcome = select(received_record.c.outcome, func.count()).group_by(received_record.c.outcome)
        outcomes = {outcome: int(count) for outcome, count in connection.execute(by_outcome).all()}
        rows = connection.execute(
            select(job.c.state, job.c.stage, func.count()).group_by(job.c.state, job.c.stage)
        ).all()
        unsent = connection.execute(
            select(func.count()).where(
                source_message.c.source == SOURCE,  # one that only pushes reads what it wants to know from the job API
                source_message.c.sent_at.is_(None),
                source_message.c.refused.is_(None),
            )
        ).scalar_one()
        pending = connection.execute(select(func.count()).select_from(event_pending)).scalar_one()
    active = (JobState.READY, JobState.CLAIMED, JobState.RETRY)
    return Progress(
        received=sum(outcomes.values()),
        rejected=outcomes.get("rejected", 0),
        held=sum(n for state, _, n in rows if state in (JobState.HELD, JobState.UNCLEAR)),
        preparing=sum(n for state, stage, n in rows if state in active and stage in PREPARING),
        at_stations=sum(n for state, stage, n in rows if state in active and stage in PHYSICAL),
        verified=sum(n for state, _, n in rows if state == JobState.DONE),
        given_up=sum(n for state, _, n in rows if state in (JobState.FAILED, JobState.CANCELLED)),
        untold=unsent + pending,
    )

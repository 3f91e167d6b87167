"""What people and document systems may do to a job: hold it, release it, cancel it.

None of it reaches into a card that a station has in hand: that one is held by nobody, and a cancelled one is destroyed
by the station that holds it (`personalization.withdrawal`).
"""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, Row, select, update

from card_profiles.model import CardProfile
from personalization.acceptance import NO_PROFILE, withdraw_order
from personalization.audit import Event, record_events
from personalization.document_numbers import take_number
from personalization.errors import EngineError
from personalization.flow import PHYSICAL, JobId, JobState, Stage
from personalization.store.database import Database
from personalization.store.tables import job, order
from personalization.withdrawal import lock_order, withdraw_jobs

HELD_BY_OPERATOR = "held-by-operator"
CANCELLED_BY_OPERATOR = "cancelled-by-operator"


class JobUnknown(EngineError):
    """There is no job of this id."""


class NotPossible(EngineError):
    """The job stands where this cannot be done to it; `code` says why."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def hold(database: Database, job_id: str, *, actor: str, now: datetime) -> None:
    """Keep a job from going on until it is released; a job that is held already stays so, for its own reason.

    Raises `JobUnknown`, `NotPossible` (`card-in-hand`, `job-ended`).
    """
    with database.begin() as connection:
        row = _locked(connection, job_id)
        if row.state in (JobState.HELD, JobState.UNCLEAR):
            return
        _refuse_ended(row)
        if row.state in (JobState.CLAIMED, JobState.RETRY) and Stage(row.stage) in PHYSICAL:
            raise NotPossible("card-in-hand", f"station {row.station} has the card of job {job_id} in hand.")
        # A preparing owner finds its next write refused and drops the work: what it stored before is kept.
        connection.execute(
            update(job).where(job.c.id == job_id).values(state=JobState.HELD, owner=None, reason_code=HELD_BY_OPERATOR)
        )
        detail = (("reason", HELD_BY_OPERATOR),)
        record_events(connection, Event("job.held", now, actor, row.record_id, job_id, detail=detail))


def release(
    database: Database,
    job_id: str,
    *,
    actor: str,
    now: datetime,
    profile_for: Callable[[str], CardProfile | None],
) -> None:
    """Let a held or unclear job go on from the stage at which it stands.

    A job that was held for want of a profile gets the profile and the number that it lacks. Raises `JobUnknown`,
    `NotPossible` (`no-profile`, `job-ended`, `not-held`).
    """
    with database.begin() as connection:
        row = _locked(connection, job_id)
        _refuse_ended(row)
        if row.state not in (JobState.HELD, JobState.UNCLEAR):
            raise NotPossible("not-held", f"Job {job_id} is not held.")
        values: dict[str, object] = {}
        if row.profile_id is None:
            profile = profile_for(_document_type(connection, row.record_id))
            if profile is None:
                raise NotPossible(NO_PROFILE, f"There is no profile for the type of document of job {job_id} yet.")
            values = {"profile_id": profile.id, "document_number": take_number(connection, profile)}
        connection.execute(
            update(job)
            .where(job.c.id == job_id)
            .values(state=JobState.READY, owner=None, reason_code=None, attempts=0, run_after=now, **values)
        )
        record_events(connection, Event("job.released", now, actor, row.record_id, job_id))


def cancel(database: Database, job_id: str, *, actor: str, now: datetime, withdraw: bool) -> None:
    """End a job: its pair is revoked and its card, where there is one, destroyed as spoiled.

    withdraw: its source takes the order back for good; without it a higher revision of the record may still come. A
    job that is cancelled already stays so. Raises `JobUnknown`, `NotPossible` (`job-ended`: a later job of the order
    stands for it, or the order's newest revision does).
    """
    with database.begin() as connection:
        row = _locked(connection, job_id)
        if row.state == JobState.FAILED:
            raise NotPossible("job-ended", f"Job {job_id} has ended; its document is made by a later one.")
        if withdraw:
            withdraw_order(connection, row.record_id, actor, now)
        elif row.state != JobState.CANCELLED:
            withdraw_jobs(connection, row.record_id, CANCELLED_BY_OPERATOR, now, actor=actor)


def _locked(connection: Connection, job_id: str) -> Row[tuple[object, ...]]:
    """The job, its order locked before it. Raises `JobUnknown`."""
    record_id = connection.execute(select(job.c.record_id).where(job.c.id == job_id)).scalar_one_or_none()
    if record_id is None:
        raise JobUnknown(f"There is no job {JobId(job_id)}.")
    lock_order(connection, record_id)
    return connection.execute(select(job).where(job.c.id == job_id).with_for_update()).one()


def _refuse_ended(row: Row[tuple[object, ...]]) -> None:
    if row.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED):
        raise NotPossible("job-ended", f"Job {row.id} has ended ({row.state}).")


def _document_type(connection: Connection, record_id: str) -> str:
    return str(connection.execute(select(order.c.document_type).where(order.c.record_id == record_id)).scalar_one())

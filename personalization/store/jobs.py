"""The queue: our own job table with leases and fences (docs/decisions/0001-own-job-table.md).

Every write after a claim carries owner and fence; a row count of 0 means the job is somebody else's now.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from card_profiles.model import ProfileId
from personalization.audit import Event, record_events
from personalization.errors import FencedOut
from personalization.flow import PHYSICAL, JobId, JobRef, JobState, Priority, Stage
from personalization.store.tables import fence_counter, intent, job, job_step

LEASE = timedelta(seconds=30)
SUSPECT_TRIES = 3
MAXIMUM_TRIES = 10
TRIED_TOO_OFTEN = "tried-too-often"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be queued; without a profile it is held."""

    id: JobId
    record_id: str
    revision: int
    attempt: int
    profile_id: ProfileId | None
    document_number: str | None
    priority: Priority
    hold_reason: str | None = None


def enqueue(connection: Connection, new: NewJob, now: datetime) -> None:
    """Queue a job in the transaction that stores its order."""
    connection.execute(
        insert(job).values(
            id=new.id,
            record_id=new.record_id,
            revision=new.revision,
            attempt=new.attempt,
            profile_id=new.profile_id,
            document_number=new.document_number,
            stage=Stage.KEYS,
            state=JobState.HELD if new.hold_reason else JobState.READY,
            priority=int(new.priority),
            run_after=now,
            created_at=now,
            reason_code=new.hold_reason,
        )
    )


def next_fence(connection: Connection) -> int:
    """A fence higher than every one given out before, to whatever job: terminals compare fences across jobs."""
    raised = update(fence_counter).values(last=fence_counter.c.last + 1).returning(fence_counter.c.last)
    fence: int | None = connection.execute(raised).scalar_one_or_none()
    if fence is None:
        # The very first; two that are first at once must not both have it.
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        connection.execute(dialect.insert(fence_counter).values(id=1, last=0).on_conflict_do_nothing())
        fence = int(connection.execute(raised).scalar_one())
    return fence


def claim(
    connection: Connection, *, stage: Stage, owner: str, limit: int, now: datetime, station: str | None = None
) -> Sequence[JobRef]:
    """Take up to `limit` jobs of a stage: ready ones, due retries, and claims whose lease is over.

    A physical stage is never taken over by lease: a frozen hand may still hold the card, so only the same station
    (by name) takes its own work back. Raises `FencedOut` where the station has another card in hand.
    """
    free = or_(
        and_(job.c.state.in_((JobState.READY, JobState.RETRY)), job.c.run_after <= now),
        and_(job.c.state == JobState.CLAIMED, job.c.owner == owner),
        and_(job.c.state == JobState.CLAIMED, job.c.lease_until < now, job.c.stage.not_in(PHYSICAL)),
    )
    query = select(job.c.id, job.c.record_id, job.c.attempts).where(job.c.stage == stage, free)
    if station is not None:
        query = query.where(or_(job.c.station.is_(None), job.c.station == station))
    query = query.order_by(job.c.priority, job.c.created_at, job.c.id).limit(limit).with_for_update(skip_locked=True)
    ids = _set_apart(connection, connection.execute(query).all(), now)
    if not ids:
        return ()
    taken = update(job).where(job.c.id.in_(ids))
    taken = taken.values(state=JobState.CLAIMED, owner=owner, station=station, fence=next_fence(connection))
    try:
        connection.execute(taken.values(lease_until=now + LEASE, attempts=job.c.attempts + 1))
    except IntegrityError:
        raise FencedOut(f"station {station} has another card in hand") from None
    rows = connection.execute(select(job).where(job.c.id.in_(ids)).order_by(job.c.priority, job.c.created_at, job.c.id))
    return tuple(_ref(row) for row in rows)


def _set_apart(connection: Connection, rows: Sequence[Any], now: datetime) -> list[str]:
    """Which of the free jobs to take: a job whose owners died over it must take neither a batch nor the line along.

    After `SUSPECT_TRIES` it is taken alone; after `MAXIMUM_TRIES` it is for people.
    """
    poison = [row for row in rows if row.attempts >= MAXIMUM_TRIES]
    if poison:
        connection.execute(
            update(job)
            .where(job.c.id.in_([row.id for row in poison]))
            .values(state=JobState.UNCLEAR, owner=None, reason_code=TRIED_TOO_OFTEN)
        )
        detail = (("reason", TRIED_TOO_OFTEN),)
        record_events(
            connection,
            *(Event("job.unclear", now, "engine", row.record_id, row.id, detail=detail) for row in poison),
        )
    suspects = [row.id for row in rows if SUSPECT_TRIES <= row.attempts < MAXIMUM_TRIES]
    return suspects[:1] or [row.id for row in rows if row.attempts < SUSPECT_TRIES]


def _ref(row: Any) -> JobRef:
    return JobRef(
        id=JobId(row.id),
        record_id=row.record_id,
        revision=row.revision,
        attempt=row.attempt,
        profile_id=ProfileId(row.profile_id),
        document_number=row.document_number,
        stage=Stage(row.stage),
        owner=row.owner,
        fence=row.fence,
    )


def held_by_station(connection: Connection, station: str) -> JobRef | None:
    """The job whose card this station has in hand, if any."""
    row = connection.execute(
        select(job).where(
            job.c.station == station,
            job.c.stage.in_(PHYSICAL),
            job.c.state.in_((JobState.CLAIMED, JobState.RETRY)),
        )
    ).first()
    return None if row is None else _ref(row)


def finish_stage(
    connection: Connection,
    ref: JobRef,
    stage: Stage,
    result: Mapping[str, object],
    *,
    now: datetime,
    milliseconds: int,
    to: Stage | None,
    keep: bool,
) -> None:
    """Store a stage's result and move the job on, in the caller's transaction; its end where `to` is None.

    keep: the owner goes on with the next stage at once. Raises `FencedOut` also when the stage was finished before.
    """
    values: dict[str, object] = {"attempts": 0, "reason_code": None, "lease_until": now + LEASE}
    if to is None:
        values |= {"state": JobState.DONE, "owner": None, "finished_at": now}
    else:
        values |= {"stage": to}
        if not keep:
            values |= {"state": JobState.READY, "owner": None, "station": None, "run_after": now}
    _update_held(connection, ref, values)
    try:
        connection.execute(
            insert(job_step).values(
                job_id=ref.id,
                stage=stage,
                result=json.dumps(result, sort_keys=True),
                fence=ref.fence,
                finished_at=now,
                milliseconds=milliseconds,
            )
        )
    except IntegrityError:
        raise FencedOut(f"stage {stage} of job {ref.id} was finished by another owner") from None


def _update_held(connection: Connection, ref: JobRef, values: Mapping[str, object]) -> None:
    changed = connection.execute(
        update(job)
        .where(job.c.id == ref.id, job.c.owner == ref.owner, job.c.fence == ref.fence, job.c.state == JobState.CLAIMED)
        .values(**values)
    ).rowcount
    if changed != 1:
        raise FencedOut(f"job {ref.id} is no longer held under fence {ref.fence}")


def check_fence(connection: Connection, ref: JobRef, now: datetime) -> None:
    """Right before an effect: is the job still ours? Extends the lease. Raises `FencedOut`."""
    _update_held(connection, ref, {"lease_until": now + LEASE})


def store_intent(connection: Connection, ref: JobRef, stage: Stage, effect_key: str, now: datetime) -> str:
    """Store what is going to be done, once; a key stored earlier (before a crash) is kept and returned."""
    check_fence(connection, ref, now)
    stored: str | None = connection.execute(
        select(intent.c.effect_key).where(intent.c.job_id == ref.id, intent.c.stage == stage)
    ).scalar_one_or_none()
    if stored is not None:
        return stored
    connection.execute(
        insert(intent).values(job_id=ref.id, stage=stage, effect_key=effect_key, fence=ref.fence, stored_at=now)
    )
    return effect_key


def results(connection: Connection, job_id: JobId, stages: Iterable[Stage]) -> dict[Stage, Mapping[str, Any]]:
    """Stored results of finished stages."""
    rows = connection.execute(
        select(job_step.c.stage, job_step.c.result).where(job_step.c.job_id == job_id, job_step.c.stage.in_(stages))
    )
    return {Stage(row.stage): json.loads(row.result) for row in rows}


def set_aside(
    connection: Connection, ref: JobRef, state: JobState, reason_code: str, *, now: datetime, after: timedelta
) -> None:
    """Give a claimed job back as retry (due `after` from now), held, failed, cancelled or unclear."""
    values: dict[str, object] = {"state": state, "reason_code": reason_code, "run_after": now + after}
    if state is JobState.RETRY:
        values |= {"attempts": 0}  # it was given back by a living owner: what was away is no fault of the job
    else:
        values |= {"owner": None}
    if state in (JobState.FAILED, JobState.CANCELLED):
        values |= {"finished_at": now}
    _update_held(connection, ref, values)


def retake(connection: Connection, ref: JobRef, owner: str, now: datetime) -> JobRef:
    """The same station takes its own work back under a new fence. Raises `FencedOut` where it is no longer its own."""
    fence = next_fence(connection)
    connection.execute(
        update(job)
        .where(job.c.id == ref.id, job.c.fence == ref.fence, job.c.state.in_((JobState.CLAIMED, JobState.RETRY)))
        .values(state=JobState.CLAIMED, owner=owner, fence=fence, lease_until=now + LEASE)
    )
    row = connection.execute(select(job).where(job.c.id == ref.id)).one()
    if row.owner != owner or row.fence != fence:
        raise FencedOut(f"job {ref.id} was taken by another owner")
    return _ref(row)


def current_stage(connection: Connection, ref: JobRef) -> Stage | None:
    """The stage at which a claimed job stands now; None where it is no longer ours."""
    stage = connection.execute(
        select(job.c.stage).where(
            job.c.id == ref.id, job.c.fence == ref.fence, job.c.owner == ref.owner, job.c.state == JobState.CLAIMED
        )
    ).scalar_one_or_none()
    return None if stage is None else Stage(stage)


def job_ref(connection: Connection, job_id: JobId) -> JobRef:
    """A job as it stands, whoever holds it."""
    return _ref(connection.execute(select(job).where(job.c.id == job_id)).one())

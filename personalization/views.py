"""What may be read of records and jobs: ids, states, reason codes and times, never anything of a holder.

Everything is read in one snapshot per answer. `source` limits the sight of a document system to what is its own: the
records of which it delivered the first accepted revision, and, where none was accepted yet, what it delivered itself.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, or_, select

from personalization.errors import EngineError
from personalization.flow import JobId, JobState, Priority, Stage
from personalization.records import Failure
from personalization.store.database import Database
from personalization.store.tables import blank, certificate, job, job_step, order, received_record

CURSOR_CHARACTERS = 80
CURSOR_PREFIX = "after:"


class CursorInvalid(EngineError):
    """A cursor that this program did not give out."""


@dataclass(frozen=True, slots=True)
class CertificateView:
    """One certificate of a job's pair; state: intent, on-hold, good or revoked."""

    slot: str
    serial: str
    state: str
    revocation_reason: str | None


@dataclass(frozen=True, slots=True)
class StepView:
    """A finished stage and how long it took."""

    stage: Stage
    finished_at: datetime
    milliseconds: int


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it stands; `reason` is a reason code, `chip_serial` is there once a blank is bound."""

    id: JobId
    record_id: str
    revision: int
    attempt: int
    profile_id: str | None
    document_number: str | None
    stage: Stage
    state: JobState
    reason: str | None
    priority: Priority
    station: str | None
    chip_serial: str | None
    blank_state: str | None
    certificates: tuple[CertificateView, ...]
    steps: tuple[StepView, ...]
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReceiptView:
    """What was answered when a revision was delivered; a record delivered twice has two."""

    revision: int | None
    outcome: str
    errors: tuple[Failure, ...]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class RecordView:
    """A record: the revision that is being made (None: none was accepted), its receipts and its jobs, oldest first."""

    record_id: str
    revision: int | None
    document_type: str | None
    urgency: str | None
    withdrawn_at: datetime | None
    receipts: tuple[ReceiptView, ...]
    jobs: tuple[JobView, ...]


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are asked for; None: whatever it is."""

    state: JobState | None = None
    stage: Stage | None = None
    reason: str | None = None
    record_id: str | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs in the order of their ids; `next` is the cursor of the next page, None at the end."""

    jobs: tuple[JobView, ...]
    next: str | None


def read_record(database: Database, record_id: str, source: str | None = None) -> RecordView | None:
    """A record; None where it is unknown, or is not the source's own."""
    with database.reading() as connection:
        if source is not None and not own_records(connection, source, (record_id,)):
            return None
        query = select(received_record).where(received_record.c.record_id == record_id)
        if source is not None:
            query = query.where(received_record.c.source == source)
        received = connection.execute(query.order_by(received_record.c.id)).all()
        if not received:
            return None
        ordered = connection.execute(select(order).where(order.c.record_id == record_id)).first()
        jobs = _views(connection, _jobs().where(job.c.record_id == record_id))
    return RecordView(
        record_id=record_id,
        revision=ordered.revision if ordered else None,
        document_type=ordered.document_type if ordered else None,
        urgency=ordered.urgency if ordered else None,
        withdrawn_at=ordered.withdrawn_at if ordered else None,
        receipts=tuple(
            ReceiptView(
                row.revision,
                row.outcome,
                tuple(Failure(**failure) for failure in json.loads(row.failures)),
                row.received_at,
            )
            for row in received
        ),
        jobs=tuple(sorted(jobs, key=lambda view: (view.revision, view.attempt))),
    )


def read_job(database: Database, job_id: JobId, source: str | None = None) -> JobView | None:
    """A job; None where it is unknown, or its record is not the source's own."""
    with database.reading() as connection:
        views = _views(connection, _jobs().where(job.c.id == job_id))
        if not views or (source is not None and not own_records(connection, source, (views[0].record_id,))):
            return None
    return views[0]


def list_jobs(
    database: Database,
    wanted: JobFilter | None = None,
    *,
    cursor: str | None = None,
    limit: int = 100,
    source: str | None = None,
) -> JobPage:
    """A page of jobs. Raises `CursorInvalid`."""
    wanted = wanted or JobFilter()
    query = _jobs().order_by(job.c.id).limit(limit + 1)
    for column, value in (
        (job.c.state, wanted.state),
        (job.c.stage, wanted.stage),
        (job.c.reason_code, wanted.reason),
        (job.c.record_id, wanted.record_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if cursor is not None:
        query = query.where(job.c.id > _after(cursor))
    if source is not None:
        query = query.where(_owner_of(job.c.record_id) == source)
    with database.reading() as connection:
        views = _views(connection, query)
    more = len(views) > limit
    return JobPage(tuple(views[:limit]), _cursor(views[limit - 1].id) if more else None)


def own_records(connection: Connection, source: str, record_ids: Iterable[str]) -> frozenset[str]:
    """Those of these records that a source may see."""
    owner = _owner_of(received_record.c.record_id)
    rows = connection.execute(
        select(received_record.c.record_id)
        .distinct()
        .where(
            received_record.c.record_id.in_(tuple(record_ids)),
            received_record.c.source == source,
            or_(owner == source, owner.is_(None)),
        )
    )
    return frozenset(rows.scalars())


def _owner_of(record_id: Any) -> Any:
    """Who delivered the first accepted revision of a record."""
    first = received_record.alias("first_accepted")
    return (
        select(first.c.source)
        .where(first.c.record_id == record_id, first.c.outcome == "accepted")
        .order_by(first.c.id)
        .limit(1)
        .scalar_subquery()
    )


def _jobs() -> Select[Any]:
    return select(job, blank.c.chip_serial, blank.c.state.label("blank_state")).outerjoin(
        blank, blank.c.job_id == job.c.id
    )


def _views(connection: Connection, query: Select[Any]) -> Sequence[JobView]:
    rows = connection.execute(query).all()
    ids = [row.id for row in rows]
    pairs = _certificates(connection, ids)
    steps = _steps(connection, ids)
    return [
        JobView(
            id=JobId(row.id),
            record_id=row.record_id,
            revision=row.revision,
            attempt=row.attempt,
            profile_id=row.profile_id,
            document_number=row.document_number,
            stage=Stage(row.stage),
            state=JobState(row.state),
            reason=row.reason_code,
            priority=Priority(row.priority),
            station=row.station,
            chip_serial=row.chip_serial,
            blank_state=row.blank_state,
            certificates=tuple(pairs.get(row.id, ())),
            steps=tuple(steps.get(row.id, ())),
            created_at=row.created_at,
            finished_at=row.finished_at,
        )
        for row in rows
    ]


def _certificates(connection: Connection, ids: Sequence[str]) -> Mapping[str, list[CertificateView]]:
    found: dict[str, list[CertificateView]] = {}
    query = select(certificate).where(certificate.c.job_id.in_(ids)).order_by(certificate.c.slot)
    for row in connection.execute(query):
        view = CertificateView(row.slot, row.serial, row.state, row.revocation_reason)
        found.setdefault(row.job_id, []).append(view)
    return found


def _steps(connection: Connection, ids: Sequence[str]) -> Mapping[str, list[StepView]]:
    found: dict[str, list[StepView]] = {}
    order_of = {stage: number for number, stage in enumerate(Stage)}
    for row in connection.execute(select(job_step).where(job_step.c.job_id.in_(ids))):
        found.setdefault(row.job_id, []).append(StepView(Stage(row.stage), row.finished_at, row.milliseconds))
    for steps in found.values():
        steps.sort(key=lambda step: order_of[step.stage])
    return found


def _cursor(job_id: JobId) -> str:
    return urlsafe_b64encode(f"{CURSOR_PREFIX}{job_id}".encode()).decode().rstrip("=")


def _after(cursor: str) -> str:
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        raise CursorInvalid("the cursor is not one that was given out here") from None
    if len(cursor) > CURSOR_CHARACTERS or not text.startswith(CURSOR_PREFIX) or not text.isprintable():
        raise CursorInvalid("the cursor is not one that was given out here")
    return text.removeprefix(CURSOR_PREFIX)

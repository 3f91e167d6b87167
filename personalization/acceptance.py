"""Accept: a delivered record is checked whole and becomes an order with a job, or is refused with all its failures.

However a record comes, pulled from a source (`personalization.intake`) or pushed by it (the job API), it comes through
here: the same record in the same revision is one order, whoever delivers it how often.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, func, insert, select, update

from card_profiles.model import CardProfile
from personalization.audit import Event, record_events
from personalization.document_numbers import take_number
from personalization.flow import AcceptedJob, JobId, JobRef, Priority
from personalization.outgoing import queue_message
from personalization.records import CheckedRecord, Failure, Places, check_record, record_from_bytes, record_to_bytes
from personalization.store.database import Database
from personalization.store.jobs import NewJob, enqueue
from personalization.store.sealing import RecordRef, Vault
from personalization.store.tables import job, order, received_record, withdrawal
from personalization.withdrawal import withdraw_jobs

NO_PROFILE = "no-profile"
PRIORITIES = {"immediate": Priority.IMMEDIATE, "fast": Priority.FAST, "standard": Priority.STANDARD}
RECORD_ID = re.compile(r"(PADIS|VMIS|MFA)-[0-9]{4}-[0-9]{7}")
"""The schema's pattern: anything else may be personal data, and is not kept."""

BIGGEST_STORED_INTEGER = 2**31 - 1

Outcome = Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """One delivered record: its place at the source, what was delivered, and what the check said."""

    position: int | None
    content: object
    checked: CheckedRecord | tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a delivery came to: the receipt, and the job that makes the document.

    `record_id` is None where it is none of the schema's form; `repeated`: this revision was accepted before.
    """

    record_id: str | None
    revision: int | None
    outcome: Outcome
    failures: tuple[Failure, ...]
    job_id: JobId | None
    repeated: bool


class Acceptance:
    """Takes delivered records in; the concrete parts are handed in by the assembly."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        places: Places,
        profile_for: Callable[[str], CardProfile | None],
    ) -> None:
        self._database = database
        self._vault = vault
        self._places = places
        self._profile_for = profile_for

    def check(self, content: object, now: datetime, position: int | None = None) -> Delivered:
        """Check a record by schema and by every rule; all its images are decoded."""
        return Delivered(position, content, check_record(content, self._places, now=now))

    def create_keys(self, delivered: Sequence[Delivered]) -> None:
        """Data keys of all records that passed, committed before anything is sealed under them."""
        self._vault.create_keys(
            RecordRef(item.checked.record_id, item.checked.revision)
            for item in delivered
            if isinstance(item.checked, CheckedRecord)
        )

    def push(self, source: str, contents: Sequence[object], now: datetime) -> tuple[Answer, ...]:
        """Take pushed records, all in one transaction; the answers are the receipts, in order.

        Raises `StoreUnavailable`, `HsmUnavailable`: then none was taken.
        """
        delivered = tuple(self.check(content, now) for content in contents)
        self.create_keys(delivered)
        try:
            with self._database.begin() as connection:
                return tuple(self.take(connection, source, item, now) for item in delivered)
        finally:
            self._vault.forget()

    def take(self, connection: Connection, source: str, item: Delivered, now: datetime) -> Answer:
        """Take one checked record in the caller's transaction: the order and its job, or the refusal, are stored."""
        job_id, repeated = None, False
        if isinstance(item.checked, CheckedRecord):
            record_id: str | None = item.checked.record_id
            revision: int | None = item.checked.revision
            failures, job_id, repeated = self._accept(connection, source, item.checked, now)
        else:
            record_id, revision = _stored_identity(item.content)
            failures = (*item.checked, *self._superseded(connection, source, record_id, revision))
        answer = Answer(record_id, revision, "rejected" if failures else "accepted", failures, job_id, repeated)
        row = {
            "source": source,
            "record_id": record_id,
            "revision": revision,
            "outcome": answer.outcome,
            "failures": json.dumps([failure_body(failure) for failure in failures]),
        }
        if item.position is None and record_id is not None and _is_stored(connection, row):
            return answer  # it came again, and the answer is the same: a source that never stops must not fill a disk
        connection.execute(insert(received_record).values(**row, position=item.position, received_at=now))
        if failures:
            rules = ",".join(sorted({failure.rule for failure in failures}))
            record_events(connection, Event("record.rejected", now, "intake", record_id, detail=(("rules", rules),)))
        return answer

    def _accept(
        self, connection: Connection, source: str, record: CheckedRecord, now: datetime
    ) -> tuple[tuple[Failure, ...], JobId | None, bool]:
        """Why it is refused; else its job, and whether it was accepted before."""
        _lock_record(connection, record.record_id)
        if is_withdrawn(connection, record.record_id):
            return (Failure("/record_id", "withdrawn", "The order of this record was withdrawn."),), None, False
        known = connection.execute(select(order).where(order.c.record_id == record.record_id)).first()
        if known is not None and _source_of(connection, record.record_id) != source:
            other = Failure("/record_id", "other-source", "Another source has delivered a record of this identifier.")
            return (other,), None, False
        if known is not None and record.revision == known.revision:
            return (), _newest_job(connection, record.record_id), True
        if superseded := self._superseded(connection, source, record.record_id, record.revision):
            return superseded, None, False
        values = {
            "revision": record.revision,
            "document_type": record.document.type,
            "urgency": record.order.urgency,
        }
        if known is None:
            connection.execute(insert(order).values(record_id=record.record_id, **values))
        else:
            withdraw_jobs(connection, record.record_id, "replaced-by-revision", now)
            connection.execute(update(order).where(order.c.record_id == record.record_id).values(**values))
        ref = RecordRef(record.record_id, record.revision)
        self._vault.seal(connection, ref, record_owner(ref), {"record": record_to_bytes(record)})
        profile = self._profile_for(record.document.type)
        new = first_job(record, profile, take_number(connection, profile) if profile else None)
        enqueue(connection, new, now)
        record_events(connection, Event("record.accepted", now, "intake", record.record_id, new.id))
        if profile is None:
            detail = (("reason", NO_PROFILE),)
            record_events(connection, Event("job.held", now, "intake", record.record_id, new.id, detail=detail))
        return (), new.id, False

    def _superseded(
        self, connection: Connection, source: str, record_id: str | None, revision: int | None
    ) -> tuple[Failure, ...]:
        """A revision lower than one already seen, were that one refused, is too old to be made."""
        if record_id is None or revision is None:
            return ()
        seen = connection.execute(
            select(func.max(received_record.c.revision)).where(
                received_record.c.record_id == record_id, received_record.c.source == source
            )
        ).scalar_one()
        if seen is None or revision >= seen:
            return ()
        return (Failure("/revision", "superseded", "A higher revision of this record was delivered before."),)


def withdraw_order(connection: Connection, record_id: str, actor: str, now: datetime) -> None:
    """The order of a record is withdrawn for good by its source, also where the record comes only later."""
    if not RECORD_ID.fullmatch(record_id):
        return
    _lock_record(connection, record_id)
    if is_withdrawn(connection, record_id):
        return
    connection.execute(insert(withdrawal).values(record_id=record_id, withdrawn_at=now))
    known = connection.execute(update(order).where(order.c.record_id == record_id).values(withdrawn_at=now))
    if known.rowcount:
        withdraw_jobs(connection, record_id, "withdrawn-at-source", now, actor=actor)


def is_withdrawn(connection: Connection, record_id: str) -> bool:
    """Whether its source has withdrawn the order of this record."""
    return connection.execute(select(withdrawal).where(withdrawal.c.record_id == record_id)).first() is not None


def queue_receipt(connection: Connection, source: str, answer: Answer, now: datetime) -> None:
    """Queue the receipt of a pulled record; one without a record id of ours has nobody to be told to."""
    if answer.record_id is None:
        return
    body = {
        "record_id": answer.record_id,
        "revision": answer.revision,
        "outcome": answer.outcome,
        "errors": [failure_body(failure) for failure in answer.failures],
    }
    queue_message(connection, source, "receipt", body, now)


def record_owner(ref: RecordRef) -> str:
    """Under which owner id a record's own sealed body lies."""
    return f"{ref.record_id}/{ref.revision}"


def open_job(connection: Connection, vault: Vault, ref: JobRef) -> AcceptedJob:
    """A claimed job with its record opened. Raises `DataErased`, `SealBroken`."""
    (opened,) = open_jobs(connection, vault, (ref,))
    return opened


def open_jobs(connection: Connection, vault: Vault, refs: Sequence[JobRef]) -> tuple[AcceptedJob, ...]:
    """`open_job` of a batch, in this order. Raises `DataErased`, `SealBroken`: for the first in the way."""
    owners = {ref.id: record_owner(RecordRef(ref.record_id, ref.revision)) for ref in refs}
    bodies = vault.open_batch(connection, list(owners.values()), ("record",))
    return tuple(AcceptedJob(ref, record_from_bytes(bodies[owners[ref.id]]["record"])) for ref in refs)


def first_job(record: CheckedRecord, profile: CardProfile | None, document_number: str | None) -> NewJob:
    """The first attempt at a record's document."""
    return NewJob(
        id=JobId(f"{record.record_id}-r{record.revision}-a1"),
        record_id=record.record_id,
        revision=record.revision,
        attempt=1,
        profile_id=profile.id if profile else None,
        document_number=document_number,
        priority=PRIORITIES[record.order.urgency],
        hold_reason=None if profile else NO_PROFILE,
    )


def failure_body(failure: Failure) -> dict[str, str]:
    """A failure as receipts tell it."""
    return {"pointer": failure.pointer, "rule": failure.rule, "message": failure.message}


def raw_identity(content: object) -> tuple[object, int | None]:
    """What a record calls itself, whatever that is, and its revision where it is one that can be stored."""
    if not isinstance(content, dict):
        return None, None
    revision = content.get("revision")
    if isinstance(revision, bool) or not isinstance(revision, int) or not 0 < revision <= BIGGEST_STORED_INTEGER:
        revision = None
    return content.get("record_id"), revision


def _stored_identity(content: object) -> tuple[str | None, int | None]:
    record_id, revision = raw_identity(content)
    if isinstance(record_id, str) and RECORD_ID.fullmatch(record_id):
        return record_id, revision
    return None, None


def _lock_record(connection: Connection, record_id: str) -> None:
    """A new record, or its withdrawal, may come to two processes at once: there is no row yet that could be locked."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(record_id, 0))))


def _is_stored(connection: Connection, row: Mapping[str, object]) -> bool:
    same = [received_record.c[name].is_not_distinct_from(value) for name, value in row.items()]
    return connection.execute(select(received_record.c.id).where(*same).limit(1)).first() is not None


def _source_of(connection: Connection, record_id: str) -> str | None:
    source: str | None = connection.execute(
        select(received_record.c.source)
        .where(received_record.c.record_id == record_id, received_record.c.outcome == "accepted")
        .limit(1)
    ).scalar_one_or_none()
    return source


def _newest_job(connection: Connection, record_id: str) -> JobId | None:
    found = connection.execute(
        select(job.c.id)
        .where(job.c.record_id == record_id)
        .order_by(job.c.revision.desc(), job.c.attempt.desc())
        .limit(1)
    ).scalar_one_or_none()
    return None if found is None else JobId(found)

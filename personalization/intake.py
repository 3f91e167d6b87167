"""Accept: records are pulled, checked whole, and become orders and jobs, or are refused with every failure at once."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from card_profiles.model import CardProfile
from personalization.audit import Event, record_events
from personalization.errors import Halt
from personalization.flow import AcceptedJob, JobId, JobRef, Priority
from personalization.outgoing import queue_message
from personalization.records import CheckedRecord, Failure, Places, check_record, record_from_bytes, record_to_bytes
from personalization.sources.port import DocumentSystem, Page, SourceRefused
from personalization.store.database import Database
from personalization.store.jobs import NewJob, enqueue
from personalization.store.sealing import RecordRef, Vault
from personalization.store.tables import (
    number_range,
    order,
    received_record,
    source_cursor,
    withdrawal,
)
from personalization.withdrawal import withdraw_jobs

PAGE_RECORDS = 50
NO_PROFILE = "no-profile"
PRIORITIES = {"immediate": Priority.IMMEDIATE, "fast": Priority.FAST, "standard": Priority.STANDARD}
RECORD_ID = re.compile(
    r"(PADIS|VMIS|MFA)-[0-9]{4}-[0-9]{7}"
)  # the schema's pattern: anything else may be personal data
LAST_NUMBER = 9_999_999
BIGGEST_STORED_INTEGER = 2**31 - 1


class NumbersExhausted(Halt):
    """A document number range is used up: the centre must be given a new one."""

    def __init__(self, sentence: str) -> None:
        super().__init__("numbers-exhausted", sentence)


@dataclass(frozen=True, slots=True)
class Delivered:
    """One delivered record: its place at the source, what was delivered, and what the check said."""

    position: int | None
    content: object
    checked: CheckedRecord | tuple[Failure, ...]


class Intake:
    """Pulls from one source; each page is one transaction with its cursor, so a page is never half taken."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        source: DocumentSystem,
        source_name: str,
        places: Places,
        profile_for: Callable[[str], CardProfile | None],
    ) -> None:
        self._database = database
        self._vault = vault
        self._source = source
        self._source_name = source_name
        self._places = places
        self._profile_for = profile_for

    def pull(self, now: datetime) -> int:
        """Take the next page; how many records it held. Raises the source's errors: nothing is then taken."""
        with self._database.reading() as connection:
            after = connection.execute(
                select(source_cursor.c.records_after).where(source_cursor.c.source == self._source_name)
            ).scalar_one_or_none()
        page = self._source.approved_records(after, PAGE_RECORDS)
        if not page.records and page.next in (after, ""):
            return 0  # nothing new: nothing is written
        delivered = tuple(self._check(page, now))
        self._vault.create_keys(
            RecordRef(item.checked.record_id, item.checked.revision)
            for item in delivered
            if isinstance(item.checked, CheckedRecord)
        )
        self._answer_nameless(delivered)
        try:
            with self._database.begin() as connection:
                for item in delivered:
                    self._take(connection, item, now)
                self._move_cursor(connection, "records_after", page.next)
        finally:
            self._vault.forget()
        return len(delivered)

    def pull_cancellations(self, now: datetime) -> int:
        """Take newly withdrawn orders; how many."""
        with self._database.reading() as connection:
            after = connection.execute(
                select(source_cursor.c.cancellations_after).where(source_cursor.c.source == self._source_name)
            ).scalar_one_or_none()
        page = self._source.cancellations(after)
        if not page.cancellations and page.next == after:
            return 0
        with self._database.begin() as connection:
            for cancellation in page.cancellations:
                self._withdraw(connection, cancellation.record_id, now)
            self._move_cursor(connection, "cancellations_after", page.next)
        return len(page.cancellations)

    def _withdraw(self, connection: Connection, record_id: str, now: datetime) -> None:
        """The order of a record is withdrawn for good, also where the record comes only later."""
        if not RECORD_ID.fullmatch(record_id) or _is_withdrawn(connection, record_id):
            return
        connection.execute(insert(withdrawal).values(record_id=record_id, withdrawn_at=now))
        known = connection.execute(update(order).where(order.c.record_id == record_id).values(withdrawn_at=now))
        if known.rowcount:
            withdraw_jobs(connection, record_id, "withdrawn-at-source", now)

    def _check(self, page: Page, now: datetime) -> Iterator[Delivered]:
        positions: Sequence[int | None] = page.positions or (None,) * len(page.records)
        for position, content in zip(positions, page.records, strict=True):
            yield Delivered(position, content, check_record(content, self._places, now=now))

    def _answer_nameless(self, delivered: Sequence[Delivered]) -> None:
        """Refusals under an identifier that is not one of ours are answered at once, and that identifier not kept."""
        for item in delivered:
            record_id, revision = _raw_identity(item.content)
            if (
                isinstance(record_id, str)
                and not RECORD_ID.fullmatch(record_id)
                and not isinstance(item.checked, CheckedRecord)
            ):
                with suppress(SourceRefused):  # then nobody is there to be told, and the page goes on
                    self._source.send_receipt(record_id, revision, "rejected", item.checked)

    def _take(self, connection: Connection, item: Delivered, now: datetime) -> None:
        if (
            item.position is not None
            and connection.execute(
                select(received_record.c.id).where(
                    received_record.c.source == self._source_name, received_record.c.position == item.position
                )
            ).first()
        ):
            return  # the same place delivered twice
        if isinstance(item.checked, CheckedRecord):
            failures = self._accept(connection, item.checked, now)
            record_id: str | None = item.checked.record_id
            revision: int | None = item.checked.revision
        else:
            record_id, revision = _stored_identity(item.content)
            failures = (*item.checked, *self._superseded(connection, record_id, revision))
        connection.execute(
            insert(received_record).values(
                source=self._source_name,
                position=item.position,
                record_id=record_id,
                revision=revision,
                outcome="rejected" if failures else "accepted",
                failures=json.dumps([_failure(f) for f in failures]),
                received_at=now,
            )
        )
        if record_id is not None:
            body = {
                "record_id": record_id,
                "revision": revision,
                "outcome": "rejected" if failures else "accepted",
                "errors": [_failure(f) for f in failures],
            }
            queue_message(connection, self._source_name, "receipt", body, now)
        if failures:
            rules = ",".join(sorted({failure.rule for failure in failures}))
            record_events(connection, Event("record.rejected", now, "intake", record_id, detail=(("rules", rules),)))

    def _accept(self, connection: Connection, record: CheckedRecord, now: datetime) -> tuple[Failure, ...]:
        if _is_withdrawn(connection, record.record_id):
            return (Failure("/record_id", "withdrawn", "The order of this record was withdrawn."),)
        known = connection.execute(select(order).where(order.c.record_id == record.record_id)).first()
        if known is not None and record.revision == known.revision:
            return ()  # delivered again: the same order
        if superseded := self._superseded(connection, record.record_id, record.revision):
            return superseded
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
            record_events(
                connection,
                Event("job.held", now, "intake", record.record_id, new.id, detail=(("reason", NO_PROFILE),)),
            )
        return ()

    def _superseded(self, connection: Connection, record_id: str | None, revision: int | None) -> tuple[Failure, ...]:
        """A revision lower than one already seen, were that one refused, is too old to be made."""
        if record_id is None or revision is None:
            return ()
        seen = connection.execute(
            select(func.max(received_record.c.revision)).where(received_record.c.record_id == record_id)
        ).scalar_one()
        if seen is None or revision >= seen:
            return ()
        return (Failure("/revision", "superseded", "A higher revision of this record was delivered before."),)

    def _move_cursor(self, connection: Connection, column: str, value: str) -> None:
        changed = connection.execute(
            update(source_cursor).where(source_cursor.c.source == self._source_name).values({column: value})
        ).rowcount
        if changed == 0:
            connection.execute(insert(source_cursor).values({"source": self._source_name, column: value}))


def _is_withdrawn(connection: Connection, record_id: str) -> bool:
    return connection.execute(select(withdrawal).where(withdrawal.c.record_id == record_id)).first() is not None


def record_owner(ref: RecordRef) -> str:
    """Under which owner id a record's own sealed body lies."""
    return f"{ref.record_id}/{ref.revision}"


def open_job(connection: Connection, vault: Vault, ref: JobRef) -> AcceptedJob:
    """A claimed job with its record opened. Raises `DataErased`, `SealBroken`."""
    owner = record_owner(RecordRef(ref.record_id, ref.revision))
    return AcceptedJob(ref, record_from_bytes(vault.open(connection, owner, ("record",))["record"]))


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


def take_number(connection: Connection, profile: CardProfile) -> str:
    """The next document number of the profile's ranges; a number is never used again. Raises `NumbersExhausted`."""
    for prefix in profile.number_prefixes:
        row = connection.execute(select(number_range).where(number_range.c.prefix == prefix).with_for_update()).first()
        number = row.next_number if row else 1
        if number > LAST_NUMBER:
            continue
        if row is None:
            connection.execute(insert(number_range).values(prefix=prefix, next_number=number + 1))
        else:
            connection.execute(
                update(number_range).where(number_range.c.prefix == prefix).values(next_number=number + 1)
            )
        return f"{prefix}{number:07d}"
    raise NumbersExhausted(f"the document number ranges of profile {profile.id} are used up")


def _failure(failure: Failure) -> dict[str, str]:
    return {"pointer": failure.pointer, "rule": failure.rule, "message": failure.message}


def _raw_identity(content: object) -> tuple[object, int | None]:
    if not isinstance(content, dict):
        return None, None
    revision = content.get("revision")
    if isinstance(revision, bool) or not isinstance(revision, int) or not 0 < revision <= BIGGEST_STORED_INTEGER:
        revision = None
    return content.get("record_id"), revision


def _stored_identity(content: object) -> tuple[str | None, int | None]:
    record_id, revision = _raw_identity(content)
    if isinstance(record_id, str) and RECORD_ID.fullmatch(record_id):
        return record_id, revision
    return None, None

"""The audit log: append-only, numbered without gaps, hash-chained, with checkpoints signed in the HSM.

An event is written unnumbered in the transaction of the state it tells about; the sequencer numbers and chains
committed events, and only numbered ones are served: numbers taken inside transactions would commit out of order.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, func, insert, select, text
from sqlalchemy.exc import DatabaseError

from hsm.ports import KeyLabel, PublicKey, Signer
from personalization.audit_verification import (
    GENESIS,
    NO_ANCHORS,
    AuditBroken,
    Checkpoint,
    Entry,
    Fault,
    LoggedEvent,
    Proven,
    chain_hash,
    checkpoint_digest,
    verify_log,
)
from personalization.errors import StoreUnavailable
from personalization.store.database import Database
from personalization.store.tables import audit_checkpoint, audit_event, event_pending
from personalization.store.wakeups import wake
from pki.authorities import AUDIT_KEY

PAGE = 1000
SEQUENCER_LOCK = 0x65494450  # any constant; names the one sequencer to PostgreSQL's advisory locks


@dataclass(frozen=True, slots=True)
class Event:
    """Who did what when, to which job, blank and key: ids and codes alone, never a name or a value."""

    kind: str
    at: datetime
    actor: str
    record_id: str | None = None
    job_id: str | None = None
    blank: str | None = None
    key: str | None = None
    detail: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, absent members left out."""
        members: dict[str, object] = {"kind": self.kind, "at": self.at.isoformat(), "actor": self.actor}
        for name in ("record_id", "job_id", "blank", "key"):
            if (value := getattr(self, name)) is not None:
                members[name] = value
        if self.detail:
            members["detail"] = dict(self.detail)
        return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """A sequenced event; `hash` = SHA-256(previous hash | number | body)."""

    seq: int
    body: dict[str, Any]
    previous_hash: str
    hash: str


def record_events(connection: Connection, *events: Event) -> None:
    """Write events in the caller's transaction."""
    if events:
        connection.execute(insert(event_pending), [{"body": event.to_json()} for event in events])
        wake(connection)  # whatever is worth an event may be work for somebody


def sequence_events(database: Database, *, limit: int = 500) -> int:
    """Number and chain committed events; how many. One sequencer at a time, whoever calls."""
    with database.begin() as connection:
        if not database.is_sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(SEQUENCER_LOCK)))
        pending = connection.execute(select(event_pending).order_by(event_pending.c.id).limit(limit)).all()
        if not pending:
            return 0
        last = connection.execute(
            select(audit_event.c.seq, audit_event.c.hash).order_by(audit_event.c.seq.desc()).limit(1)
        ).first()
        seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
        rows = []
        for event in pending:
            seq += 1
            current = chain_hash(previous, seq, event.body)
            rows.append({"seq": seq, "body": event.body, "previous_hash": previous, "hash": current})
            previous = current
        connection.execute(insert(audit_event), rows)
        connection.execute(delete(event_pending).where(event_pending.c.id.in_([event.id for event in pending])))
    return len(rows)


def sign_checkpoint(database: Database, signer: Signer, label: KeyLabel, now: datetime) -> int | None:
    """Sign the newest number that has no checkpoint yet; that number, or None where nothing is new."""
    with database.reading() as connection:
        last = connection.execute(
            select(audit_event.c.seq, audit_event.c.hash).order_by(audit_event.c.seq.desc()).limit(1)
        ).first()
        signed = connection.execute(select(func.max(audit_checkpoint.c.seq))).scalar_one()
    if last is None or signed == last.seq:
        return None
    signature = signer.sign(label, checkpoint_digest(last.seq, last.hash))
    with database.begin() as connection:
        connection.execute(
            insert(audit_checkpoint).values(
                seq=last.seq, hash=last.hash, key_label=label, signature=signature, signed_at=now
            )
        )
    seq: int = last.seq
    return seq


def number_and_sign(database: Database, signer: Signer, now: datetime) -> None:
    """Number everything that is committed and sign the newest number."""
    while sequence_events(database):
        continue
    sign_checkpoint(database, signer, AUDIT_KEY, now)


def events_after(database: Database, after: int, limit: int = 1000) -> Sequence[NumberedEvent]:
    """Numbered events with a number over `after`, in order and without gaps."""
    with database.reading() as connection:
        rows = connection.execute(
            select(audit_event).where(audit_event.c.seq > after).order_by(audit_event.c.seq).limit(limit)
        ).all()
    return tuple(NumberedEvent(row.seq, json.loads(row.body), row.previous_hash, row.hash) for row in rows)


def log_entries(connection: Connection, *, through: int | None = None) -> Iterator[Entry]:
    """The numbered events in order, each followed by its checkpoint, as they stand in the tables: proven by nothing.

    `through`: events with a higher number are left out. Raises `AuditBroken` where a row holds what no log holds, and
    `StoreUnavailable` where the tables cannot be read.
    """
    event_columns, point_columns = ("body", "previous_hash", "hash"), ("hash", "key_label", "signature")
    events: Iterator[Entry] = map(_event, _rows(connection, audit_event, event_columns))
    points: Iterator[Entry] = map(_point, _rows(connection, audit_checkpoint, point_columns))
    if through is not None:
        events = takewhile(lambda event: event.seq <= through, events)
    # The same number: the event first.
    return merge(events, points, key=lambda entry: (entry.seq, isinstance(entry, Checkpoint)))


def last_checkpoint(connection: Connection) -> int:
    """The highest number that has a checkpoint; 0 where there is none."""
    return connection.execute(select(func.max(audit_checkpoint.c.seq))).scalar_one() or 0


def _rows(connection: Connection, table: Table, columns: Sequence[str]) -> Iterator[Row[Any]]:
    """Numbers and these columns of all rows, page after page: a log of years does not fit into memory."""
    query = select(table.c.seq, *(table.c[name] for name in columns)).order_by(table.c.seq).limit(PAGE)
    last = None
    while True:
        try:
            page = connection.execute(query if last is None else query.where(table.c.seq > last)).all()
        except DatabaseError:
            raise StoreUnavailable(f"the table {table.name} cannot be read: missing, locked or damaged") from None
        except (TypeError, ValueError):  # SQLite keeps values of any type in a column of another
            sentence = f"a row of {table.name} behind number {last or 0} holds what no log holds"
            raise AuditBroken((last or 0) + 1, Fault.MALFORMED, sentence) from None
        if not page:
            return
        yield from page
        last = page[-1].seq


def _event(row: Row[Any]) -> LoggedEvent:
    return LoggedEvent(row.seq, *(_text(value) for value in (row.body, row.previous_hash, row.hash)))


def _point(row: Row[Any]) -> Checkpoint:
    signature = row.signature if isinstance(row.signature, bytes) else b""
    return Checkpoint(row.seq, _text(row.hash), _text(row.key_label), signature)


def _text(value: object) -> str:
    """A text; nothing in the place of what is none, which no hash and no signature of ours is over."""
    return value if isinstance(value, str) else ""


def verify_database(database: Database, public: PublicKey | None, anchors: Mapping[int, str] = NO_ANCHORS) -> Proven:
    """Prove the log of a database from its first event on, as `verify_log`. Raises `AuditBroken`."""
    with database.reading() as connection:
        return verify_log(log_entries(connection), public, anchors)


def verify_chain(database: Database) -> int:
    """Numbers, hashes and what checkpoints stand over, no signatures; the last number. Raises `AuditBroken`."""
    return verify_database(database, None).last


def verify_checkpoints(database: Database, public: PublicKey) -> int:
    """The same with every checkpoint's signature; the last one's number (0: none). Raises `AuditBroken`."""
    return verify_database(database, public).signed


def pending_count(connection: Connection) -> int:
    """Events that are committed but not numbered yet."""
    count: int = connection.execute(text("SELECT count(*) FROM event_pending")).scalar_one()
    return count

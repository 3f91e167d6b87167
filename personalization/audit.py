"""The audit log: append-only, numbered without gaps, hash-chained, with checkpoints signed in the HSM.

An event is written unnumbered in the transaction of the state it tells about; the sequencer numbers and chains
committed events, and only numbered ones are served: numbers taken inside transactions would commit out of order.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text

from hsm.ports import KeyLabel, PublicKey, Signer
from personalization.errors import EngineError
from personalization.store.database import Database
from personalization.store.tables import audit_checkpoint, audit_event, event_pending
from pki.authorities import AUDIT_KEY
from pki.ecdsa import verify
from pki.errors import SignatureInvalid

GENESIS = "0" * 64
CHECKPOINT_CONTEXT = b"eid-perso audit checkpoint 1\n"
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


class AuditBroken(EngineError):
    """The chain, a number or a checkpoint does not hold; the sentence says at which number."""


def record_events(connection: Connection, *events: Event) -> None:
    """Write events in the caller's transaction."""
    if events:
        connection.execute(insert(event_pending), [{"body": event.to_json()} for event in events])


def chain_hash(previous_hash: str, seq: int, body: str) -> str:
    """SHA-256 over the previous hash, the number and the body, in hex."""
    return hashlib.sha256(f"{previous_hash}\n{seq}\n{body}".encode()).hexdigest()


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


def checkpoint_digest(seq: int, event_hash: str) -> bytes:
    """What a checkpoint signs: SHA-256 over context, number and hash."""
    return hashlib.sha256(CHECKPOINT_CONTEXT + f"{seq}\n{event_hash}\n".encode()).digest()


def events_after(database: Database, after: int, limit: int = 1000) -> Sequence[NumberedEvent]:
    """Numbered events with a number over `after`, in order and without gaps."""
    with database.reading() as connection:
        rows = connection.execute(
            select(audit_event).where(audit_event.c.seq > after).order_by(audit_event.c.seq).limit(limit)
        ).all()
    return tuple(NumberedEvent(row.seq, json.loads(row.body), row.previous_hash, row.hash) for row in rows)


def verify_chain(database: Database) -> int:
    """Recompute numbers and hashes from the first event on; the last number. Raises `AuditBroken`.

    Whoever can write the table can write a whole new chain: `verify_checkpoints` finds that.
    """
    previous, seq = GENESIS, 0
    with database.reading() as connection:
        for row in connection.execute(select(audit_event).order_by(audit_event.c.seq)):
            seq += 1
            if row.seq != seq:
                raise AuditBroken(f"event {seq} is missing: {row.seq} follows {seq - 1}")
            if row.previous_hash != previous or row.hash != chain_hash(previous, seq, row.body):
                raise AuditBroken(f"event {seq} does not follow from the one before it")
            previous = row.hash
    return seq


def verify_checkpoints(database: Database, public: PublicKey) -> int:
    """Every checkpoint is signed by `public` over the event that has its number now; the last one's number (0: none).

    Raises `AuditBroken`, also where the log was cut off behind a checkpoint.
    """
    seq = 0
    with database.reading() as connection:
        for row in connection.execute(
            select(audit_checkpoint, audit_event.c.hash.label("event_hash"))
            .outerjoin(audit_event, audit_event.c.seq == audit_checkpoint.c.seq)
            .order_by(audit_checkpoint.c.seq)
        ):
            seq = row.seq
            if row.hash != row.event_hash:
                raise AuditBroken(f"event {seq} is not the one that checkpoint {seq} was signed over")
            try:
                verify(public, checkpoint_digest(seq, row.hash), row.signature)
            except SignatureInvalid:
                raise AuditBroken(f"the signature of checkpoint {seq} does not verify") from None
    return seq


def pending_count(connection: Connection) -> int:
    """Events that are committed but not numbered yet."""
    count: int = connection.execute(text("SELECT count(*) FROM event_pending")).scalar_one()
    return count

"""Orders, jobs, blanks, records and ports made up for the tests of the engine's stores."""

import copy
import functools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, insert, select

from card_profiles.model import ProfileId
from card_profiles.profile import profile_for
from personalization.acceptance import Acceptance
from personalization.audit import events_after, sequence_events
from personalization.centre import stock
from personalization.flow import PREPARING, Blank, ChipSerial, JobId, JobRef, Priority, Stage
from personalization.intake import Intake
from personalization.records import Failure, load_places
from personalization.sources.port import Cancellation, CancellationPage, Outcome, Page
from personalization.store.database import Database
from personalization.store.jobs import NewJob, claim, enqueue, finish_stage
from personalization.store.sealing import Vault
from personalization.store.tables import card_key, certificate, job, order

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PROFILE = ProfileId("eid-citizen-specimen@1")
SAMPLES = Path(__file__).resolve().parents[3] / "simulators" / "records"
SOURCE = "padis"


# --- jobs ---------------------------------------------------------------------------------------------------------
def record_id(number: int) -> str:
    return f"PADIS-2026-{number:07d}"


def job_id(number: int, attempt: int = 1) -> JobId:
    return JobId(f"{record_id(number)}-r1-a{attempt}")


def new_job(number: int, *, attempt: int = 1, priority: Priority = Priority.STANDARD) -> NewJob:
    return NewJob(
        id=job_id(number, attempt),
        record_id=record_id(number),
        revision=1,
        attempt=attempt,
        profile_id=PROFILE,
        document_number=f"XX{number:05d}{attempt:02d}",
        priority=priority,
    )


def put_order(connection: Connection, number: int) -> None:
    values = {"record_id": record_id(number), "revision": 1, "document_type": "eid-citizen", "urgency": "standard"}
    connection.execute(insert(order).values(**values))


def put_jobs(
    database: Database, *numbers: int, priority: Priority = Priority.STANDARD, at: datetime = NOW
) -> tuple[JobId, ...]:
    """Orders with one fresh job each; the ids."""
    with database.begin() as connection:
        for number in numbers:
            put_order(connection, number)
            enqueue(connection, new_job(number, priority=priority), at)
    return tuple(map(job_id, numbers))


def take(
    database: Database,
    owner: str = "preparing-1",
    *,
    stage: Stage = Stage.KEYS,
    limit: int = 50,
    now: datetime = NOW,
    station: str | None = None,
) -> Sequence[JobRef]:
    """One claim in a transaction of its own."""
    with database.begin() as connection:
        return claim(connection, stage=stage, owner=owner, limit=limit, now=now, station=station)


def finish(
    database: Database, ref: JobRef, stage: Stage, to: Stage | None, *, keep: bool = False, now: datetime = NOW
) -> None:
    """One finished stage in a transaction of its own."""
    with database.begin() as connection:
        finish_stage(connection, ref, stage, {"made": 1}, now=now, milliseconds=7, to=to, keep=keep)


def prepare_all(database: Database, now: datetime = NOW) -> None:
    """Bring every waiting job to the stations."""
    for ref in take(database, "preparing-9", now=now):
        for stage, following in zip(PREPARING, (*PREPARING[1:], Stage.ENCODE), strict=True):
            finish(database, ref, stage, following, keep=following is not Stage.ENCODE, now=now)


def take_at(database: Database, station: str, now: datetime = NOW) -> JobRef:
    """The next job for this station, claimed as its worker does."""
    (ref,) = take(database, station, stage=Stage.ENCODE, limit=1, now=now, station=station)
    return ref


def put_pair(connection: Connection, number: int, state: str = "on-hold") -> None:
    """The wrapped keys and the certificates of a job's two slots."""
    for slot in ("auth", "sign"):
        connection.execute(
            insert(card_key).values(
                job_id=job_id(number),
                slot=slot,
                curve="secp384r1",
                point=b"\x04",
                wrapped=b"wrapped",
                spki_sha256=f"{slot}-{number}",
            )
        )
        connection.execute(
            insert(certificate).values(
                serial=f"{slot}{number}".upper(),
                job_id=job_id(number),
                slot=slot,
                profile_id=f"{slot}-citizen@1",
                issuer_label="issuing-ca",
                state=state,
                state_since=NOW,
            )
        )


def pair_of(database: Database, job_id: str) -> set[tuple[str, str | None, bytes | None]]:
    """Certificate state, revocation reason and wrapped private key, as a set over both slots."""
    query = (
        select(certificate.c.state, certificate.c.revocation_reason, card_key.c.wrapped)
        .join(card_key, (card_key.c.job_id == certificate.c.job_id) & (card_key.c.slot == certificate.c.slot))
        .where(certificate.c.job_id == job_id)
    )
    with database.reading() as connection:
        return {(row.state, row.revocation_reason, row.wrapped) for row in connection.execute(query)}


def kinds_of_events(database: Database) -> list[str]:
    """What was told, in its order; numbered or not."""
    while sequence_events(database):
        continue
    return [str(event.body["kind"]) for event in events_after(database, 0)]


def job_row(database: Database, job_id: str) -> Any:
    with database.reading() as connection:
        return connection.execute(select(job).where(job.c.id == job_id)).one()


# --- blanks -------------------------------------------------------------------------------------------------------
def chip_serial(number: int) -> ChipSerial:
    return ChipSerial(f"{number:020X}")


def blank_in_position(number: int) -> Blank:
    return Blank(chip_serial(number), bytes.fromhex("3B8001"), bytes(42), "LOT-7", "1.4")


def receive_blanks(database: Database, station: str, *numbers: int, delivery: str = "box-1") -> None:
    with database.begin() as connection:
        stock.receive(connection, delivery, station, [chip_serial(number) for number in numbers], NOW)


# --- ports --------------------------------------------------------------------------------------------------------
@dataclass
class SoftwareDataKeys:
    """`hsm.ports.DataKeys` under a key in memory; remembers the clear keys, so that tests can look for them."""

    storage_key: AESGCM = field(default_factory=lambda: AESGCM(bytes(range(32))))
    made: list[bytes] = field(default_factory=list)

    def new_data_key(self) -> tuple[bytes, bytes]:
        clear, nonce = os.urandom(32), os.urandom(12)
        self.made.append(clear)
        return clear, nonce + self.storage_key.encrypt(nonce, clear, None)

    def unwrap_data_key(self, wrapped: bytes) -> bytes:
        return self.storage_key.decrypt(wrapped[:12], wrapped[12:], None)


@dataclass
class MadeUpSource:
    """`DocumentSystem` in memory: cursors are positions; `trouble` is raised by the next sendings."""

    records: list[object] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    page_records: int = 50
    receipts: list[tuple[str, int | None, Outcome, tuple[Failure, ...]]] = field(default_factory=list)
    documents: list[Mapping[str, object]] = field(default_factory=list)
    trouble: list[Exception | None] = field(default_factory=list)

    def approved_records(self, after: str | None, limit: int) -> Page:
        begin = int(after or 0)
        end = min(begin + min(limit, self.page_records), len(self.records))
        return Page(tuple(self.records[begin:end]), tuple(range(begin + 1, end + 1)), str(end))

    def cancellations(self, after: str | None) -> CancellationPage:
        found = tuple(map(Cancellation, self.withdrawn[int(after or 0) :]))
        return CancellationPage(found, str(len(self.withdrawn)))

    def send_receipt(self, record_id: str, revision: int | None, outcome: Outcome, errors: Sequence[Failure]) -> None:
        self._answer()
        self.receipts.append((record_id, revision, outcome, tuple(errors)))

    def send_document(self, body: Mapping[str, object]) -> None:
        self._answer()
        self.documents.append(body)

    def _answer(self) -> None:
        if self.trouble and (error := self.trouble.pop(0)) is not None:
            raise error


def make_intake(database: Database, vault: Vault, source: MadeUpSource) -> Intake:
    """The intake of a specimen line."""
    return Intake(
        database=database,
        vault=vault,
        acceptance=make_acceptance(database, vault),
        source=source,
        source_name=SOURCE,
    )


def make_acceptance(database: Database, vault: Vault) -> Acceptance:
    """What a specimen line takes records in with."""
    return Acceptance(
        database=database,
        vault=vault,
        places=load_places(),
        profile_for=functools.partial(profile_for, specimen=True),
    )


# --- records ------------------------------------------------------------------------------------------------------
@functools.cache
def _sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))


def sample(name: str = "PADIS-2026-0000003", **changes: object) -> dict[str, Any]:
    """A record of the samples; `changes` replace members at the top."""
    record: dict[str, Any] = copy.deepcopy(_sample(name))
    return record | changes

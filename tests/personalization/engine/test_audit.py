"""The audit log: no number missing, nothing changed unseen, nothing personal in it."""

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from hsm.ports import Curve, KeyLabel
from personalization.audit import (
    Event,
    events_after,
    pending_count,
    record_events,
    sequence_events,
    sign_checkpoint,
    verify_chain,
    verify_checkpoints,
)
from personalization.audit_verification import GENESIS, AuditBroken, chain_hash, checkpoint_digest
from personalization.store.database import Database
from personalization.store.tables import audit_checkpoint, audit_event
from tests.personalization.engine.made_up import NOW, SECOND
from tests.pki.software_signer import SoftwareSigner

AUDIT = KeyLabel("audit")


def tell(database: Database, *kinds: str) -> None:
    with database.begin() as connection:
        record_events(connection, *(Event(kind, NOW, "tester") for kind in kinds))


def log_of(database: Database, *kinds: str) -> None:
    tell(database, *kinds)
    while sequence_events(database):
        continue


# --- an event -----------------------------------------------------------------------------------------------------
def test_an_event_is_canonical_json() -> None:
    event = Event(
        "card.spoiled",
        datetime(2026, 12, 1, 9, 0, 0, 250000, UTC),
        "station-1",
        record_id="PADIS-2026-0000001",
        blank="0F" * 10,
        detail=(("reason", "chip-refused"), ("attempt", "2")),
    )
    assert event.to_json() == (
        '{"actor":"station-1","at":"2026-12-01T09:00:00.250000+00:00","blank":"0F0F0F0F0F0F0F0F0F0F",'
        '"detail":{"attempt":"2","reason":"chip-refused"},"kind":"card.spoiled","record_id":"PADIS-2026-0000001"}'
    )


def test_an_event_leaves_out_what_it_has_not() -> None:
    assert set(json.loads(Event("line.started", NOW, "clerk").to_json())) == {"kind", "at", "actor"}


def test_an_event_has_no_place_for_personal_data() -> None:
    """Ids and codes alone: whoever wants to add a field here says why it is neither a name nor a value."""
    assert [field.name for field in fields(Event)] == [
        "kind", "at", "actor", "record_id", "job_id", "blank", "key", "detail",
    ]  # fmt: skip


def test_the_same_event_is_the_same_text_whatever_the_order_of_its_details() -> None:
    one = Event("kind", NOW, "actor", detail=(("a", "1"), ("b", "2")))
    other = Event("kind", NOW, "actor", detail=(("b", "2"), ("a", "1")))
    assert one.to_json() == other.to_json()


def test_an_event_keeps_its_instant_through_other_time_zones() -> None:
    riga = timezone(timedelta(hours=2))
    told = json.loads(Event("kind", NOW.astimezone(riga), "actor").to_json())
    assert datetime.fromisoformat(told["at"]) == NOW


# --- numbers ------------------------------------------------------------------------------------------------------
def test_numbers_begin_at_one_and_have_no_gaps(database: Database) -> None:
    log_of(database, "a", "b", "c")
    log_of(database, "d")
    served = events_after(database, 0)
    assert [(event.seq, event.body["kind"]) for event in served] == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert verify_chain(database) == 4


def test_an_event_of_a_transaction_that_failed_never_happened(database: Database) -> None:
    with pytest.raises(RuntimeError), database.begin() as connection:
        record_events(connection, Event("never", NOW, "tester"))
        raise RuntimeError
    log_of(database, "after")
    assert [(event.seq, event.body["kind"]) for event in events_after(database, 0)] == [(1, "after")]


def test_a_reader_keeps_its_place(database: Database) -> None:
    log_of(database, *"abcdefg")
    read: list[str] = []
    after = 0
    while page := events_after(database, after, limit=3):
        read += [event.body["kind"] for event in page]
        after = page[-1].seq
    assert read == list("abcdefg")


def test_only_numbered_events_are_served(database: Database) -> None:
    tell(database, "committed")
    assert events_after(database, 0) == ()
    with database.reading() as connection:
        assert pending_count(connection) == 1
    assert sequence_events(database) == 1
    assert sequence_events(database) == 0
    with database.reading() as connection:
        assert pending_count(connection) == 0


def test_a_sequencer_takes_no_more_than_its_limit(database: Database) -> None:
    tell(database, *"abcde")
    assert [sequence_events(database, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert [event.body["kind"] for event in events_after(database, 0)] == list("abcde")


def test_an_event_that_is_committed_late_is_numbered_late(database: Database, second_database: Database) -> None:
    """Its row was written first; numbers are for what is committed, so no reader's place is lost."""
    late = threading.Event()
    ready = threading.Event()

    def slow() -> None:
        with second_database.begin() as connection:
            record_events(connection, Event("slow", NOW, "tester"))
            ready.set()
            late.wait(0.3 if second_database.is_sqlite else 10)

    writer = threading.Thread(target=slow)
    writer.start()
    ready.wait()
    log_of(database, "quick")  # SQLite has one writer: it waits for the slow one
    late.set()
    writer.join()
    log_of(database)
    kinds = [event.body["kind"] for event in events_after(database, 0)]
    assert kinds == (["slow", "quick"] if database.is_sqlite else ["quick", "slow"])
    assert verify_chain(database) == 2


def test_several_writers_and_sequencers_leave_one_whole_chain(database: Database, second_database: Database) -> None:
    each, writers = 12, 3

    def write(own: Database, name: int) -> None:
        for number in range(each):
            tell(own, f"{name}/{number}")
            sequence_events(own, limit=2)

    threads = [
        threading.Thread(target=write, args=((database, second_database)[name % 2], name)) for name in range(writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log_of(database)
    served = events_after(database, 0)
    assert [event.seq for event in served] == list(range(1, each * writers + 1))
    assert verify_chain(database) == each * writers
    for name in range(writers):
        own = [event.body["kind"] for event in served if event.body["kind"].startswith(f"{name}/")]
        assert own == [f"{name}/{number}" for number in range(each)]


# --- the chain ----------------------------------------------------------------------------------------------------
def test_the_chain_is_what_its_description_says(database: Database) -> None:
    log_of(database, "a", "b")
    first, second = events_after(database, 0)
    body = Event("a", NOW, "tester").to_json()
    assert first.previous_hash == GENESIS == "0" * 64
    assert first.hash == hashlib.sha256(f"{GENESIS}\n1\n{body}".encode()).hexdigest()
    assert second.previous_hash == first.hash


def test_an_empty_log_is_whole(database: Database) -> None:
    assert verify_chain(database) == 0


def _change(connection: Connection) -> None:
    connection.execute(update(audit_event).where(audit_event.c.seq == 2).values(body='{"kind":"other"}'))


def _unhook(connection: Connection) -> None:
    connection.execute(update(audit_event).where(audit_event.c.seq == 2).values(previous_hash="e" * 64))


def _remove(connection: Connection) -> None:
    connection.execute(delete(audit_event).where(audit_event.c.seq == 2))


def _remove_first(connection: Connection) -> None:
    connection.execute(delete(audit_event).where(audit_event.c.seq == 1))


def _reorder(connection: Connection) -> None:
    for before, after in ((2, 99), (3, 2), (99, 3)):
        connection.execute(update(audit_event).where(audit_event.c.seq == before).values(seq=after))


def _insert(connection: Connection) -> None:
    last = connection.execute(select(audit_event.c.hash).where(audit_event.c.seq == 4)).scalar_one()
    connection.execute(insert(audit_event).values(seq=5, body="{}", previous_hash=last, hash="f" * 64))


def _insert_beyond(connection: Connection) -> None:
    last = connection.execute(select(audit_event.c.hash).where(audit_event.c.seq == 4)).scalar_one()
    connection.execute(insert(audit_event).values(seq=6, body="{}", previous_hash=last, hash=chain_hash(last, 6, "{}")))


@pytest.mark.parametrize("tamper", [_change, _unhook, _remove, _remove_first, _reorder, _insert, _insert_beyond])
def test_a_log_that_was_tampered_with_is_found(database: Database, tamper: Callable[[Connection], None]) -> None:
    log_of(database, "a", "b", "c", "d")
    with database.begin() as connection:
        tamper(connection)
    with pytest.raises(AuditBroken):
        verify_chain(database)


# --- checkpoints --------------------------------------------------------------------------------------------------
@pytest.fixture
def signer() -> SoftwareSigner:
    keys = SoftwareSigner()
    keys.make(AUDIT, Curve.P256)
    return keys


def test_a_checkpoint_signs_context_number_and_hash() -> None:
    expected = hashlib.sha256(b"eid-perso audit checkpoint 1\n7\n" + b"ab" * 32 + b"\n").digest()
    assert checkpoint_digest(7, "ab" * 32) == expected


def test_checkpoints_are_signed_over_the_newest_number_once(database: Database, signer: SoftwareSigner) -> None:
    assert sign_checkpoint(database, signer, AUDIT, NOW) is None
    log_of(database, "a", "b")
    assert sign_checkpoint(database, signer, AUDIT, NOW) == 2
    assert sign_checkpoint(database, signer, AUDIT, NOW + SECOND) is None
    log_of(database, "c")
    assert sign_checkpoint(database, signer, AUDIT, NOW + SECOND) == 3
    assert verify_checkpoints(database, signer.public_key(AUDIT)) == 3


def test_without_checkpoints_there_is_nothing_to_verify(database: Database, signer: SoftwareSigner) -> None:
    log_of(database, "a")
    assert verify_checkpoints(database, signer.public_key(AUDIT)) == 0


def test_a_whole_new_chain_is_found_by_the_checkpoint(database: Database, signer: SoftwareSigner) -> None:
    """Whoever writes the table can compute every hash anew; what he cannot do is sign."""
    log_of(database, "a", "b")
    sign_checkpoint(database, signer, AUDIT, NOW)
    with database.begin() as connection:
        previous = GENESIS
        for seq in (1, 2):
            body = f'{{"kind":"forged-{seq}"}}'
            current = chain_hash(previous, seq, body)
            connection.execute(
                update(audit_event)
                .where(audit_event.c.seq == seq)
                .values(body=body, previous_hash=previous, hash=current)
            )
            previous = current
    with pytest.raises(AuditBroken, match="event 2 is not the one"):
        verify_chain(database)
    with database.begin() as connection:
        connection.execute(update(audit_checkpoint).values(hash=previous))
    assert verify_chain(database) == 2
    with pytest.raises(AuditBroken, match="signature of checkpoint 2 does not verify"):
        verify_checkpoints(database, signer.public_key(AUDIT))


def test_a_checkpoint_by_another_key_is_found(database: Database, signer: SoftwareSigner) -> None:
    log_of(database, "a")
    sign_checkpoint(database, signer, AUDIT, NOW)
    stranger = SoftwareSigner().make(AUDIT, Curve.P256)
    with pytest.raises(AuditBroken, match="signature of checkpoint 1"):
        verify_checkpoints(database, stranger)


def test_a_log_is_not_cut_off_behind_its_checkpoint(database: Database, signer: SoftwareSigner) -> None:
    log_of(database, "a", "b")
    sign_checkpoint(database, signer, AUDIT, NOW)
    # The database refuses by itself; whoever opens the file without that rule is found out.
    with pytest.raises(Exception, match=r"FOREIGN KEY|23503"), database.begin() as connection:
        connection.execute(delete(audit_event).where(audit_event.c.seq == 2))
    with database.begin() as connection:
        connection.execute(update(audit_checkpoint).values(seq=1))
        connection.execute(delete(audit_event).where(audit_event.c.seq == 2))
    with pytest.raises(AuditBroken):
        verify_checkpoints(database, signer.public_key(AUDIT))

"""The source is told everything, in order, at least once; and the clerk goes on whatever the source does."""

import json
from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import select

from hsm.ports import Curve
from personalization.audit import verify_checkpoints
from personalization.clerk import CHECKPOINT_EVERY, Clerk
from personalization.courier import BATCH, send_messages
from personalization.outgoing import queue_message
from personalization.sources.port import SourceError, SourceMalformed, SourceRefused, SourceUnavailable
from personalization.store.database import Database
from personalization.store.sealing import Vault
from personalization.store.tables import source_message
from pki.authorities import AUDIT_KEY
from tests.personalization.engine.made_up import (
    NOW,
    SECOND,
    SOURCE,
    MadeUpSource,
    kinds_of_events,
    make_intake,
    record_id,
    sample,
)
from tests.pki.software_signer import SoftwareSigner


@pytest.fixture
def source() -> MadeUpSource:
    return MadeUpSource()


def queue_documents(database: Database, *numbers: int, name: str = SOURCE) -> None:
    with database.begin() as connection:
        for number in numbers:
            queue_message(connection, name, "document", {"record_id": record_id(number)}, NOW)


def told(source: MadeUpSource) -> list[object]:
    return [body["record_id"] for body in source.documents]


def states(database: Database) -> list[tuple[bool, str | None]]:
    with database.reading() as connection:
        rows = connection.execute(select(source_message).order_by(source_message.c.id)).all()
    return [(row.sent_at is not None, row.refused) for row in rows]


# --- the courier --------------------------------------------------------------------------------------------------
def test_messages_go_in_their_order_and_once(database: Database, source: MadeUpSource) -> None:
    queue_documents(database, 3, 1, 2)
    assert send_messages(database, source, SOURCE, NOW) == 3
    assert send_messages(database, source, SOURCE, NOW) == 0
    assert told(source) == [record_id(n) for n in (3, 1, 2)]


def test_a_receipt_brings_every_failure(database: Database, source: MadeUpSource) -> None:
    errors = [{"pointer": "/holder", "rule": "names", "message": "A sentence."}]
    body = {"record_id": record_id(1), "revision": None, "outcome": "rejected", "errors": errors}
    with database.begin() as connection:
        queue_message(connection, SOURCE, "receipt", body, NOW)
    send_messages(database, source, SOURCE, NOW)
    ((sent_id, revision, outcome, failures),) = source.receipts
    assert (sent_id, revision, outcome) == (record_id(1), None, "rejected")
    assert [(f.pointer, f.rule, f.message) for f in failures] == [("/holder", "names", "A sentence.")]


def test_a_message_of_a_transaction_that_failed_is_never_sent(database: Database, source: MadeUpSource) -> None:
    with pytest.raises(RuntimeError), database.begin() as connection:
        queue_message(connection, SOURCE, "document", {"record_id": record_id(1)}, NOW)
        raise RuntimeError
    assert send_messages(database, source, SOURCE, NOW) == 0


def test_a_message_is_sent_when_it_was_taken_whatever_body_the_answer_has(
    database: Database, source: MadeUpSource
) -> None:
    queue_documents(database, 1, 2)
    source.trouble = [SourceMalformed()]
    assert send_messages(database, source, SOURCE, NOW) == 2
    assert states(database) == [(True, None), (True, None)]


def test_nothing_overtakes_a_message_that_could_not_be_sent(database: Database, source: MadeUpSource) -> None:
    queue_documents(database, 1, 2, 3)
    source.trouble = [None, SourceUnavailable()]
    assert send_messages(database, source, SOURCE, NOW) == 1
    assert states(database) == [(True, None), (False, None), (False, None)]
    assert send_messages(database, source, SOURCE, NOW) == 2
    assert told(source) == [record_id(n) for n in (1, 2, 3)]


def test_a_message_the_source_will_never_take_is_set_aside_and_told_of(
    database: Database, source: MadeUpSource
) -> None:
    queue_documents(database, 1, 2)
    source.trouble = [SourceRefused()]
    assert send_messages(database, source, SOURCE, NOW) == 1
    assert states(database) == [(False, "refused-by-source"), (True, None)]
    assert send_messages(database, source, SOURCE, NOW) == 0
    assert kinds_of_events(database) == ["message.refused"]


def test_a_courier_that_was_killed_sends_again(
    database: Database, source: MadeUpSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent and not noted: the source is told a second time, never not at all."""
    queue_documents(database, 1)

    def killed() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(database, "begin", killed)
        with pytest.raises(KeyboardInterrupt):
            send_messages(database, source, SOURCE, NOW)
    assert send_messages(database, source, SOURCE, NOW) == 1
    assert told(source) == [record_id(1)] * 2


def test_each_source_is_told_its_own(database: Database, source: MadeUpSource) -> None:
    queue_documents(database, 1, name="vmis")
    queue_documents(database, 2)
    send_messages(database, source, SOURCE, NOW)
    assert told(source) == [record_id(2)]


def test_one_round_sends_one_batch(database: Database, source: MadeUpSource) -> None:
    queue_documents(database, *range(1, BATCH + 3))
    assert [send_messages(database, source, SOURCE, NOW) for _ in range(3)] == [BATCH, 2, 0]


# --- the clerk ----------------------------------------------------------------------------------------------------
class Clock:
    """The time, moved by hand."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer() -> SoftwareSigner:
    keys = SoftwareSigner()
    keys.make(AUDIT_KEY, Curve.P256)
    return keys


@pytest.fixture
def clerk(
    database: Database, vault: Vault, source: MadeUpSource, signer: SoftwareSigner, clock: Clock
) -> Iterator[Clerk]:
    yield Clerk(
        database=database,
        intake=make_intake(database, vault, source),
        source=source,
        source_name=SOURCE,
        signer=signer,
        clock=clock,
    )


def test_one_round_takes_records_tells_the_source_and_numbers_events(
    clerk: Clerk, database: Database, source: MadeUpSource
) -> None:
    source.records = [sample()]
    assert clerk.run_once() == 3
    assert [receipt[2] for receipt in source.receipts] == ["accepted"]
    assert kinds_of_events(database) == ["record.accepted"]
    assert clerk.run_once() == 0


@pytest.mark.parametrize("failing", ["approved_records", "cancellations"])
@pytest.mark.parametrize("trouble", [SourceUnavailable, SourceMalformed, SourceRefused])
def test_what_is_queued_goes_on_while_a_source_fails(
    clerk: Clerk,
    database: Database,
    source: MadeUpSource,
    monkeypatch: pytest.MonkeyPatch,
    *,
    failing: str,
    trouble: type[SourceError],
) -> None:
    def fail(*_: object) -> None:
        raise trouble

    queue_documents(database, 1)
    monkeypatch.setattr(source, failing, fail)
    if trouble is SourceUnavailable:
        assert clerk.run_once() == 1
    else:  # more than being away is to be seen in the log
        with pytest.raises(trouble):
            clerk.run_once()
    assert told(source) == [record_id(1)]


def test_checkpoints_are_signed_from_time_to_time(
    clerk: Clerk, database: Database, source: MadeUpSource, signer: SoftwareSigner, clock: Clock
) -> None:
    source.records = [sample()]
    clerk.run_once()
    assert verify_checkpoints(database, signer.public_key(AUDIT_KEY)) == 0
    clock.time += CHECKPOINT_EVERY + SECOND
    clerk.run_once()
    assert verify_checkpoints(database, signer.public_key(AUDIT_KEY)) == 1


def test_what_is_queued_is_canonical_json(database: Database) -> None:
    with database.begin() as connection:
        queue_message(connection, SOURCE, "document", {"b": 1, "a": "ā"}, NOW)
        body = connection.execute(select(source_message.c.body)).scalar_one()
    assert list(json.loads(body)) == ["a", "b"]
    assert body.isascii()

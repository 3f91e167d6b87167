"""A card that failed: its blank is counted, its pair revoked, and the document made again before all others."""

import json

import pytest
from sqlalchemy import insert, select

from personalization.centre import stock
from personalization.centre.stock import BlankCounts
from personalization.errors import FencedOut
from personalization.flow import JobRef, JobState, Priority, Stage
from personalization.spoilage import MAXIMUM_ATTEMPTS, spoil_and_remake
from personalization.store.database import Database
from personalization.store.tables import job, number_range, received_record, source_message
from personalization.withdrawal import withdraw_jobs
from tests.personalization.engine.made_up import (
    NOW,
    SECOND,
    blank_in_position,
    chip_serial,
    job_id,
    job_row,
    kinds_of_events,
    pair_of,
    prepare_all,
    put_jobs,
    put_pair,
    receive_blanks,
    record_id,
    take,
    take_at,
)

STATION = "station-1"


def spoil(database: Database, ref: JobRef, number: int | None) -> None:
    with database.begin() as connection:
        serial = None if number is None else chip_serial(number)
        spoil_and_remake(connection, ref, station=STATION, chip_serial=serial, reason="chip-refused", now=NOW + SECOND)


def card_in_hand(database: Database, number: int) -> JobRef:
    """The next job at the station, with this blank bound to it."""
    prepare_all(database, NOW + 60 * SECOND)
    ref = take_at(database, STATION, NOW + 60 * SECOND)
    with database.begin() as connection:
        stock.bind(connection, blank_in_position(number), ref.id, STATION, NOW)
    return ref


def test_the_blank_is_spoiled_and_the_pair_revoked(database: Database) -> None:
    put_jobs(database, 1)
    receive_blanks(database, STATION, 1)
    ref = card_in_hand(database, 1)
    with database.begin() as connection:
        put_pair(connection, 1)
    spoil(database, ref, 1)
    failed = job_row(database, ref.id)
    assert (failed.state, failed.reason_code) == (JobState.FAILED, "chip-refused")
    assert pair_of(database, ref.id) == {("revoked", "cessationOfOperation", None)}
    with database.reading() as connection:
        assert stock.count(connection) == BlankCounts(received=1, good=0, spoiled=1, left=0)
    assert kinds_of_events(database)[-4:] == [
        "certificates.revoked", "keys.destroyed", "card.spoiled", "job.remade",
    ]  # fmt: skip


def test_the_source_hears_that_the_document_is_dead(database: Database) -> None:
    put_jobs(database, 1)
    receive_blanks(database, STATION, 1)
    ref = card_in_hand(database, 1)
    with database.begin() as connection:
        put_pair(connection, 1)
        connection.execute(
            insert(received_record).values(
                source="padis", record_id=ref.record_id, revision=1, outcome="accepted", received_at=NOW
            )
        )
    spoil(database, ref, 1)
    with database.reading() as connection:
        told = [json.loads(body) for body in connection.execute(select(source_message.c.body)).scalars()]
    assert [(body["state"], body["document_number"]) for body in told] == [("spoiled", ref.document_number)]
    assert {each["state"] for each in told[0]["certificates"]} == {"revoked"}


def test_the_remake_is_first_in_the_queue_with_a_new_number(database: Database) -> None:
    put_jobs(database, 1)
    receive_blanks(database, STATION, 1)
    ref = card_in_hand(database, 1)
    put_jobs(database, 2, at=NOW - SECOND)
    put_jobs(database, 3, priority=Priority.FAST, at=NOW - SECOND)
    spoil(database, ref, 1)
    first, *_ = take(database, now=NOW + SECOND)
    assert (first.id, first.attempt, first.stage) == (job_id(1, attempt=2), 2, Stage.KEYS)
    assert first.profile_id == ref.profile_id
    assert first.document_number != ref.document_number


def test_only_what_is_wanted_the_same_day_goes_before_a_remake(database: Database) -> None:
    put_jobs(database, 1)
    receive_blanks(database, STATION, 1)
    ref = card_in_hand(database, 1)
    put_jobs(database, 2, priority=Priority.IMMEDIATE, at=NOW + SECOND)
    spoil(database, ref, 1)
    assert [taken.record_id for taken in take(database, now=NOW + SECOND)] == [record_id(2), record_id(1)]


def test_the_remake_of_a_same_day_order_stays_one(database: Database) -> None:
    put_jobs(database, 1, priority=Priority.IMMEDIATE)
    receive_blanks(database, STATION, 1)
    spoil(database, card_in_hand(database, 1), 1)
    assert job_row(database, job_id(1, attempt=2)).priority == Priority.IMMEDIATE


def test_a_failure_before_a_blank_was_bound_spoils_none(database: Database) -> None:
    put_jobs(database, 1)
    prepare_all(database)
    receive_blanks(database, STATION, 1)
    spoil(database, take_at(database, STATION), None)
    with database.reading() as connection:
        assert stock.count(connection) == BlankCounts(received=1, good=0, spoiled=0, left=1)


def test_after_the_last_attempt_the_order_is_held_for_people(database: Database) -> None:
    put_jobs(database, 1)
    receive_blanks(database, STATION, *range(1, MAXIMUM_ATTEMPTS + 1))
    numbers = []
    for attempt in range(1, MAXIMUM_ATTEMPTS + 1):
        ref = card_in_hand(database, attempt)
        assert ref.attempt == attempt
        numbers.append(ref.document_number)
        spoil(database, ref, attempt)
    assert len(set(numbers)) == MAXIMUM_ATTEMPTS
    held = job_row(database, job_id(1, attempt=MAXIMUM_ATTEMPTS + 1))
    assert (held.state, held.reason_code) == (JobState.HELD, "spoiled-too-often")
    assert take(database, now=NOW + 60 * SECOND) == ()
    assert kinds_of_events(database)[-1] == "job.held"
    with database.reading() as connection:
        assert stock.count(connection).spoiled == MAXIMUM_ATTEMPTS


def test_a_card_whose_order_was_withdrawn_is_not_made_again(database: Database) -> None:
    put_jobs(database, 1)
    receive_blanks(database, STATION, 1)
    ref = card_in_hand(database, 1)
    with database.begin() as connection:
        withdraw_jobs(connection, record_id(1), "withdrawn-at-source", NOW)
    with pytest.raises(FencedOut):
        spoil(database, ref, 1)
    with database.reading() as connection:
        assert connection.execute(select(job.c.id)).scalars().all() == [ref.id]
        assert connection.execute(select(number_range)).all() == []

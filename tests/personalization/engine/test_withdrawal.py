"""An order taken back: whatever its job has reached, nothing of it is handed out and nothing is left unaccounted."""

from itertools import pairwise

import pytest
from sqlalchemy import select, update

from personalization.centre import stock
from personalization.centre.stock import BlankCounts
from personalization.errors import FencedOut
from personalization.flow import PHYSICAL, JobRef, JobState, Stage
from personalization.store.database import Database
from personalization.store.jobs import check_fence, enqueue, held_by_station, set_aside
from personalization.store.tables import certificate, job
from personalization.withdrawal import destroy_keys, revoke_pair, withdraw_jobs
from tests.personalization.engine.made_up import (
    NOW,
    SECOND,
    blank_in_position,
    chip_serial,
    finish,
    job_id,
    job_row,
    kinds_of_events,
    new_job,
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
REVOKED = {("revoked", "cessationOfOperation", None)}


def withdraw(database: Database, number: int = 1) -> int:
    with database.begin() as connection:
        return withdraw_jobs(connection, record_id(number), "withdrawn-at-source", NOW + SECOND)


def counts(database: Database) -> BlankCounts:
    with database.reading() as connection:
        return stock.count(connection)


@pytest.fixture
def at_station(database: Database) -> JobRef:
    """A prepared job with its pair, in the hands of a station; its blank is not bound yet."""
    put_jobs(database, 1)
    prepare_all(database)
    with database.begin() as connection:
        put_pair(connection, 1)
    receive_blanks(database, STATION, 1)
    return take_at(database, STATION)


def bind(database: Database) -> None:
    with database.begin() as connection:
        stock.bind(connection, blank_in_position(1), job_id(1), STATION, NOW)


# --- before a card is touched -------------------------------------------------------------------------------------
def test_a_job_that_waits_is_cancelled(database: Database) -> None:
    put_jobs(database, 1)
    assert withdraw(database) == 1
    row = job_row(database, job_id(1))
    assert (row.state, row.reason_code, row.finished_at) == (
        JobState.CANCELLED, "withdrawn-at-source", NOW + SECOND,
    )  # fmt: skip
    assert take(database) == ()
    assert kinds_of_events(database) == ["job.cancelled"]


@pytest.mark.parametrize("state", [JobState.RETRY, JobState.HELD, JobState.UNCLEAR])
def test_a_job_that_was_set_aside_is_cancelled(database: Database, state: JobState) -> None:
    put_jobs(database, 1)
    (ref,) = take(database)
    with database.begin() as connection:
        set_aside(connection, ref, state, "some-reason", now=NOW, after=SECOND)
    assert withdraw(database) == 1
    assert job_row(database, job_id(1)).state == JobState.CANCELLED
    assert take(database, now=NOW + 60 * SECOND) == ()


def test_a_worker_that_has_the_job_in_hand_drops_it(database: Database) -> None:
    put_jobs(database, 1)
    (ref,) = take(database)
    withdraw(database)
    with pytest.raises(FencedOut):
        finish(database, ref, Stage.KEYS, Stage.CERTIFY, keep=True)


@pytest.mark.parametrize("state", ["intent", "on-hold", "good"])
def test_a_pair_is_revoked_issued_or_only_intended(database: Database, state: str) -> None:
    """An intended serial may already be signed: it is revoked before it is known whether it was."""
    put_jobs(database, 1)
    with database.begin() as connection:
        put_pair(connection, 1, state)
    withdraw(database)
    assert pair_of(database, job_id(1)) == REVOKED
    assert kinds_of_events(database) == ["certificates.revoked", "keys.destroyed", "job.cancelled"]


def test_a_revocation_is_never_undone_nor_given_another_reason(database: Database) -> None:
    put_jobs(database, 1)
    with database.begin() as connection:
        put_pair(connection, 1)
        assert revoke_pair(connection, job_id(1), "keyCompromise", NOW) == 2
        destroy_keys(connection, job_id(1), NOW)
    withdraw(database)
    with database.reading() as connection:
        assert connection.execute(
            select(certificate.c.revocation_reason, certificate.c.state_since).distinct()
        ).all() == [("keyCompromise", NOW)]
    assert kinds_of_events(database) == ["certificates.revoked", "keys.destroyed", "job.cancelled"]


# --- a card in a station ------------------------------------------------------------------------------------------
def test_a_blank_that_is_not_bound_stays_free(database: Database, at_station: JobRef) -> None:
    withdraw(database)
    assert counts(database) == BlankCounts(received=1, good=0, spoiled=0, left=1)
    with pytest.raises(FencedOut), database.begin() as connection:
        check_fence(connection, at_station, NOW)  # what `encode` does before it binds


@pytest.mark.parametrize("stage", PHYSICAL)
def test_a_touched_card_is_left_to_its_station_to_destroy(database: Database, at_station: JobRef, stage: Stage) -> None:
    bind(database)
    for done, following in pairwise(PHYSICAL):
        if done is stage:
            break
        finish(database, at_station, done, following, keep=True)
    withdraw(database)
    assert pair_of(database, job_id(1)) == REVOKED
    with database.begin() as connection:
        assert held_by_station(connection, STATION) is None
        assert stock.job_was_withdrawn(connection, chip_serial(1))
        assert stock.state_of(connection, chip_serial(1)) == "bound"  # until it has left the machine
        stock.settle(connection, chip_serial(1), STATION, good=False, now=NOW)
    assert counts(database) == BlankCounts(received=1, good=0, spoiled=1, left=0)
    with pytest.raises(FencedOut):
        finish(database, at_station, stage, None)


def test_a_finished_card_counts_as_spoiled(database: Database, at_station: JobRef) -> None:
    bind(database)
    finish(database, at_station, Stage.ENCODE, None)
    with database.begin() as connection:
        stock.settle(connection, chip_serial(1), STATION, good=True, now=NOW)
    assert withdraw(database) == 1
    assert counts(database) == BlankCounts(received=1, good=0, spoiled=1, left=0)
    assert pair_of(database, job_id(1)) == REVOKED
    assert job_row(database, job_id(1)).state == JobState.CANCELLED


# --- again and beside ---------------------------------------------------------------------------------------------
def test_withdrawing_again_changes_nothing(database: Database) -> None:
    put_jobs(database, 1)
    withdraw(database)
    told = kinds_of_events(database)
    assert withdraw(database) == 0
    assert kinds_of_events(database) == told


def test_a_spoiled_attempt_stays_what_it_was(database: Database) -> None:
    """The failed first card and its waiting remake: only the remake is there to be cancelled."""
    put_jobs(database, 1)
    with database.begin() as connection:
        connection.execute(update(job).values(state=JobState.FAILED, reason_code="chip-refused"))
        enqueue(connection, new_job(1, attempt=2), NOW)
    assert withdraw(database) == 1
    assert job_row(database, job_id(1)).state == JobState.FAILED
    assert job_row(database, job_id(1, attempt=2)).state == JobState.CANCELLED


def test_other_orders_go_on(database: Database) -> None:
    put_jobs(database, 1, 2)
    with database.begin() as connection:
        put_pair(connection, 2)
    withdraw(database)
    assert [ref.id for ref in take(database)] == [job_id(2)]
    assert pair_of(database, job_id(2)) == {("on-hold", None, b"wrapped")}

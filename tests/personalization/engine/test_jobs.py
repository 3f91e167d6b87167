"""The queue: who may take a job, and who may write to it. One contract, two databases."""

import threading
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from personalization.errors import FencedOut
from personalization.flow import PHYSICAL, PREPARING, JobRef, JobState, Priority, Stage
from personalization.store.database import Database
from personalization.store.jobs import (
    LEASE,
    MAXIMUM_TRIES,
    SUSPECT_TRIES,
    check_fence,
    claim,
    current_stage,
    enqueue,
    finish_stage,
    held_by_station,
    next_fence,
    results,
    retake,
    set_aside,
    store_intent,
)
from personalization.store.tables import intent, job, job_step
from personalization.withdrawal import withdraw_jobs
from tests.personalization.engine.made_up import (
    NOW,
    SECOND,
    finish,
    job_id,
    job_row,
    kinds_of_events,
    new_job,
    prepare_all,
    put_jobs,
    put_order,
    record_id,
    take,
    take_at,
)


# --- claiming -----------------------------------------------------------------------------------------------------
def test_jobs_go_by_priority_and_then_by_age(database: Database) -> None:
    put_jobs(database, 1, priority=Priority.STANDARD, at=NOW)
    put_jobs(database, 2, priority=Priority.STANDARD, at=NOW - SECOND)
    put_jobs(database, 3, priority=Priority.FAST, at=NOW)
    put_jobs(database, 4, priority=Priority.IMMEDIATE, at=NOW)
    put_jobs(database, 5, priority=Priority.REMAKE, at=NOW)
    first, second = take(database, limit=2), take(database, "preparing-2", limit=50)
    assert [ref.id for ref in (*first, *second)] == [job_id(n) for n in (4, 5, 3, 2, 1)]


def test_a_claim_takes_jobs_of_one_stage_and_no_more_than_asked(database: Database) -> None:
    put_jobs(database, 1, 2, 3)
    assert len(take(database, limit=2)) == 2
    assert take(database, "preparing-2", stage=Stage.CERTIFY) == ()


def test_a_claim_names_all_that_a_stage_needs(database: Database) -> None:
    put_jobs(database, 1)
    (ref,) = take(database)
    assert ref == JobRef(
        id=job_id(1),
        record_id=record_id(1),
        revision=1,
        attempt=1,
        profile_id=ref.profile_id,
        document_number="XX0000101",
        stage=Stage.KEYS,
        owner="preparing-1",
        fence=ref.fence,
    )


def test_two_workers_never_hold_the_same_job(database: Database, second_database: Database) -> None:
    put_jobs(database, *range(1, 41))
    taken: dict[str, list[JobRef]] = {"preparing-1": [], "preparing-2": []}

    def work(own: Database, owner: str) -> None:
        # The name is another one each time: under its own name a worker would take its claims again.
        while refs := take(own, f"{owner}/{len(taken[owner])}", limit=3):
            taken[owner] += refs

    workers = [
        threading.Thread(target=work, args=(own, owner))
        for own, owner in ((database, "preparing-1"), (second_database, "preparing-2"))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    ids = [ref.id for refs in taken.values() for ref in refs]
    assert sorted(ids) == [job_id(n) for n in range(1, 41)]


@pytest.mark.services
@pytest.mark.parametrize("database_pair", ["postgresql"], indirect=True)
def test_a_claim_does_not_wait_for_another(database: Database, second_database: Database) -> None:
    """SQLite has one writer at a time; PostgreSQL's workers go past each other's rows."""
    put_jobs(database, 1, 2, 3)
    with database.begin() as connection:
        connection.execute(select(job).where(job.c.id == job_id(1)).with_for_update()).all()
        assert [ref.id for ref in take(second_database)] == [job_id(2), job_id(3)]


def test_fences_grow_over_all_jobs(database: Database, second_database: Database) -> None:
    put_jobs(database, 1, 2, 3)
    fences = [take(own, f"worker-{n}", limit=1)[0].fence for n, own in enumerate((database, second_database, database))]
    with database.begin() as connection:
        fences.append(next_fence(connection))
    assert fences == sorted(set(fences))


def test_two_workers_that_are_first_at_once_get_two_fences(database: Database, second_database: Database) -> None:
    fences: list[int] = []

    def first(own: Database) -> None:
        with own.begin() as connection:
            fences.append(next_fence(connection))

    threads = [threading.Thread(target=first, args=(own,)) for own in (database, second_database)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fences) == [1, 2]


def test_a_worker_that_starts_again_takes_its_own_claims_at_once(database: Database) -> None:
    put_jobs(database, 1)
    (before,) = take(database, "preparing-1")
    (again,) = take(database, "preparing-1")
    assert again.id == before.id
    assert again.fence > before.fence
    with database.begin() as connection, pytest.raises(FencedOut):
        check_fence(connection, before, NOW)


def test_a_lease_that_is_over_is_taken_over(database: Database) -> None:
    put_jobs(database, 1)
    take(database, "preparing-1", now=NOW)
    assert take(database, "preparing-2", now=NOW + LEASE) == ()
    (ref,) = take(database, "preparing-2", now=NOW + LEASE + SECOND)
    assert (ref.id, ref.owner) == (job_id(1), "preparing-2")


def test_checking_the_fence_extends_the_lease(database: Database) -> None:
    put_jobs(database, 1)
    (ref,) = take(database, "preparing-1", now=NOW)
    with database.begin() as connection:
        check_fence(connection, ref, NOW + LEASE)
    assert take(database, "preparing-2", now=NOW + LEASE + SECOND) == ()


@pytest.mark.parametrize("stage", PHYSICAL)
def test_a_card_in_hand_is_never_taken_over_by_lease(database: Database, stage: Stage) -> None:
    """A frozen hand may still hold the card: only the same station, by name, goes on with it."""
    put_jobs(database, 1)
    prepare_all(database)
    ref = take_at(database, "station-1")
    for done, following in pairwise(PHYSICAL):
        if done is stage:
            break
        finish(database, ref, done, following, keep=True)
    later = NOW + timedelta(days=365)
    assert take(database, "station-2", stage=stage, now=later, station="station-2") == ()
    assert take(database, "preparing-1", stage=stage, now=later) == ()


def test_a_station_has_one_card_in_hand(database: Database) -> None:
    put_jobs(database, 1, 2)
    prepare_all(database)
    take_at(database, "station-1")
    with pytest.raises(FencedOut, match="another card in hand"):
        take(database, "a second worker", stage=Stage.ENCODE, limit=1, station="station-1")
    assert take_at(database, "station-2").id == job_id(2)


def test_a_job_that_a_station_keeps_is_not_offered_to_another(database: Database) -> None:
    put_jobs(database, 1)
    prepare_all(database)
    ref = take_at(database, "station-1")
    with database.begin() as connection:
        set_aside(connection, ref, JobState.RETRY, "printer-busy", now=NOW, after=timedelta(0))
    assert take(database, "station-2", stage=Stage.ENCODE, station="station-2") == ()
    assert take_at(database, "station-1").id == job_id(1)


def test_withdrawing_many_orders_and_claiming_do_not_wait_for_each_other_in_a_ring(
    database: Database, second_database: Database
) -> None:
    put_jobs(database, 1, 2)
    failed: list[BaseException] = []

    def claim_the_rest() -> None:
        try:
            take(second_database)
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    other = threading.Thread(target=claim_the_rest)
    with database.begin() as connection:
        withdraw_jobs(connection, record_id(1), "withdrawn-at-source", NOW)
        other.start()
        other.join(0.3)
        withdraw_jobs(connection, record_id(2), "withdrawn-at-source", NOW)
    other.join()
    assert failed == []
    assert {job_row(database, job_id(n)).state for n in (1, 2)} == {JobState.CANCELLED}


# --- writing under a fence ----------------------------------------------------------------------------------------
def _writes(ref: JobRef) -> dict[str, object]:
    return {
        "check_fence": lambda c: check_fence(c, ref, NOW),
        "store_intent": lambda c: store_intent(c, ref, Stage.KEYS, "effect", NOW),
        "finish_stage": lambda c: finish_stage(
            c, ref, Stage.KEYS, {}, now=NOW, milliseconds=1, to=Stage.CERTIFY, keep=True
        ),
        "set_aside": lambda c: set_aside(c, ref, JobState.FAILED, "reason", now=NOW, after=timedelta(0)),
        "retake": lambda c: retake(c, ref, ref.owner, NOW),
    }


@pytest.mark.parametrize("write", ["check_fence", "store_intent", "finish_stage", "set_aside", "retake"])
@pytest.mark.parametrize("lost", ["taken-over", "withdrawn"])
def test_whoever_is_fenced_out_writes_nothing(database: Database, write: str, lost: str) -> None:
    put_jobs(database, 1)
    (ref,) = take(database, "preparing-1")
    if lost == "taken-over":
        take(database, "preparing-2", now=NOW + LEASE + SECOND)
    else:
        with database.begin() as connection:
            withdraw_jobs(connection, record_id(1), "withdrawn-at-source", NOW)
    before = job_row(database, ref.id)
    with pytest.raises(FencedOut), database.begin() as connection:
        _writes(ref)[write](connection)  # type: ignore[operator]
    assert job_row(database, ref.id) == before
    with database.reading() as connection:
        assert connection.execute(select(intent)).all() == []
        assert connection.execute(select(job_step)).all() == []
        assert current_stage(connection, ref) is None


def test_nobody_writes_under_another_name(database: Database) -> None:
    put_jobs(database, 1)
    (ref,) = take(database, "preparing-1")
    stranger = JobRef(**{name: getattr(ref, name) for name in ref.__slots__} | {"owner": "preparing-2"})
    with pytest.raises(FencedOut), database.begin() as connection:
        check_fence(connection, stranger, NOW)


def test_a_finished_stage_moves_the_job_on_and_keeps_its_result(database: Database) -> None:
    put_jobs(database, 1)
    (ref,) = take(database)
    finish(database, ref, Stage.KEYS, Stage.CERTIFY, keep=True)
    with database.reading() as connection:
        assert current_stage(connection, ref) is Stage.CERTIFY
        assert results(connection, ref.id, PREPARING) == {Stage.KEYS: {"made": 1}}


@pytest.mark.parametrize("keep", [True, False])
def test_a_stage_is_finished_once(database: Database, keep: bool) -> None:
    put_jobs(database, 1)
    (ref,) = take(database)
    finish(database, ref, Stage.KEYS, Stage.CERTIFY, keep=keep)
    before = job_row(database, ref.id)
    with pytest.raises(FencedOut):
        finish(database, ref, Stage.KEYS, Stage.CERTIFY, keep=keep, now=NOW + SECOND)
    assert job_row(database, ref.id) == before


def test_one_batch_is_all_or_nothing(database: Database) -> None:
    """Two results in one transaction: where the second is refused, the first is not stored either."""
    put_jobs(database, 1, 2)
    first, second = take(database)
    take(database, "preparing-2", now=NOW + LEASE + SECOND, limit=1)  # takes the first one over
    with pytest.raises(FencedOut), database.begin() as connection:
        for ref in (second, first):
            finish_stage(connection, ref, Stage.KEYS, {}, now=NOW, milliseconds=1, to=Stage.CERTIFY, keep=True)
    with database.reading() as connection:
        assert connection.execute(select(job_step)).all() == []


def test_a_job_left_at_a_stage_is_free_for_the_next_worker(database: Database) -> None:
    put_jobs(database, 1)
    (ref,) = take(database)
    finish(database, ref, Stage.KEYS, Stage.CERTIFY, keep=False)
    (taken,) = take(database, "preparing-2", stage=Stage.CERTIFY)
    assert taken.id == ref.id


def test_the_last_stage_ends_the_job(database: Database) -> None:
    put_jobs(database, 1)
    prepare_all(database)
    ref = take_at(database, "station-1")
    finish(database, ref, Stage.ENCODE, Stage.PRINT, keep=True)
    finish(database, ref, Stage.PRINT, Stage.INSPECT, keep=True)
    finish(database, ref, Stage.INSPECT, None)
    row = job_row(database, ref.id)
    assert (row.state, row.owner, row.finished_at) == (JobState.DONE, None, NOW)


def test_an_intent_outlives_the_attempt_that_stored_it(database: Database) -> None:
    put_jobs(database, 1)
    (killed,) = take(database, "preparing-1")
    with database.begin() as connection:
        assert store_intent(connection, killed, Stage.KEYS, "serial-1", NOW) == "serial-1"
    (again,) = take(database, "preparing-1")
    with database.begin() as connection:
        assert store_intent(connection, again, Stage.KEYS, "serial-2", NOW) == "serial-1"


# --- the order's one active job -----------------------------------------------------------------------------------
def test_an_order_has_one_active_job(database: Database) -> None:
    put_jobs(database, 1)
    with pytest.raises(IntegrityError), database.begin() as connection:
        enqueue(connection, new_job(1, attempt=2), NOW)


@pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED, JobState.CANCELLED])
def test_an_ended_job_makes_room_for_the_next(database: Database, state: JobState) -> None:
    put_jobs(database, 1)
    with database.begin() as connection:
        connection.execute(update(job).where(job.c.id == job_id(1)).values(state=state))
        enqueue(connection, new_job(1, attempt=2), NOW)
    assert [ref.id for ref in take(database)] == [job_id(1, attempt=2)]


def test_a_job_is_queued_with_its_order_or_not_at_all(database: Database) -> None:
    with pytest.raises(RuntimeError), database.begin() as connection:
        put_order(connection, 1)
        enqueue(connection, new_job(1), NOW)
        raise RuntimeError
    assert take(database) == ()


# --- giving back --------------------------------------------------------------------------------------------------
def test_a_retry_waits_until_it_is_due(database: Database) -> None:
    put_jobs(database, 1)
    (ref,) = take(database)
    with database.begin() as connection:
        set_aside(connection, ref, JobState.RETRY, "hsm-unavailable", now=NOW, after=SECOND)
    assert take(database, "preparing-2", now=NOW) == ()
    assert take(database, "preparing-2", now=NOW + SECOND) != ()


@pytest.mark.parametrize(
    ("state", "offered", "ended"),
    [
        (JobState.READY, True, False),
        (JobState.RETRY, True, False),
        (JobState.HELD, False, False),
        (JobState.UNCLEAR, False, False),
        (JobState.FAILED, False, True),
        (JobState.CANCELLED, False, True),
    ],
)
def test_given_back_in_a_state(database: Database, state: JobState, offered: bool, ended: bool) -> None:
    put_jobs(database, 1)
    (ref,) = take(database)
    with database.begin() as connection:
        set_aside(connection, ref, state, "some-reason", now=NOW, after=timedelta(0))
    row = job_row(database, ref.id)
    assert (row.state, row.reason_code, row.finished_at is not None) == (state, "some-reason", ended)
    assert bool(take(database, "preparing-2")) is offered


# --- a station's own work -----------------------------------------------------------------------------------------
def test_a_station_finds_the_card_it_has_in_hand(database: Database) -> None:
    put_jobs(database, 1, 2)
    prepare_all(database)
    ref = take_at(database, "station-1")
    finish(database, ref, Stage.ENCODE, Stage.PRINT, keep=True)
    with database.reading() as connection:
        held = held_by_station(connection, "station-1")
        assert held is not None
        assert (held.id, held.stage, held.fence) == (ref.id, Stage.PRINT, ref.fence)
        assert held_by_station(connection, "station-2") is None


def test_a_station_that_starts_again_takes_its_work_back_under_a_new_fence(database: Database) -> None:
    put_jobs(database, 1)
    prepare_all(database)
    before = take_at(database, "station-1")
    with database.begin() as connection:
        held = held_by_station(connection, "station-1")
        assert held is not None
        after = retake(connection, held, "station-1", NOW)
    assert (after.id, after.fence > before.fence) == (before.id, True)
    with pytest.raises(FencedOut):
        finish(database, before, Stage.ENCODE, Stage.PRINT, keep=True)
    finish(database, after, Stage.ENCODE, Stage.PRINT, keep=True)


def test_a_station_takes_back_nothing_that_was_withdrawn(database: Database) -> None:
    put_jobs(database, 1)
    prepare_all(database)
    ref = take_at(database, "station-1")
    with database.begin() as connection:
        withdraw_jobs(connection, record_id(1), "withdrawn-at-source", NOW)
        assert held_by_station(connection, "station-1") is None
    with pytest.raises(FencedOut), database.begin() as connection:
        retake(connection, ref, "station-1", NOW)


def test_a_claim_that_is_not_committed_is_no_claim(database: Database) -> None:
    put_jobs(database, 1)
    with pytest.raises(RuntimeError), database.begin() as connection:
        claim(connection, stage=Stage.KEYS, owner="preparing-1", limit=1, now=NOW)
        raise RuntimeError
    assert [ref.owner for ref in take(database, "preparing-2")] == ["preparing-2"]


def test_a_job_whose_owners_die_over_it_is_taken_alone_and_then_left_to_people(database: Database) -> None:
    """A worker that is killed by one job is started again and takes it again: the others must not suffer with it."""
    poison, *others = put_jobs(database, 1, 2, 3)
    for _ in range(SUSPECT_TRIES):
        assert len(take(database)) == 3  # and dies with all of them
    taken = []
    for _ in range(3 * MAXIMUM_TRIES):
        refs = take(database)
        if not refs:
            break
        assert len(refs) == 1, "a suspect is taken alone"
        taken.append(refs[0].id)
        if refs[0].id != poison:
            finish(database, refs[0], Stage.KEYS, Stage.CERTIFY)
    assert set(others) <= set(taken)
    assert taken.count(poison) == MAXIMUM_TRIES - SUSPECT_TRIES
    row = job_row(database, poison)
    assert (row.state, row.reason_code, row.owner) == (JobState.UNCLEAR, "tried-too-often", None)
    assert kinds_of_events(database)[-1] == "job.unclear"


def test_a_job_that_was_given_back_is_no_suspect(database: Database) -> None:
    put_jobs(database, 1)
    for number in range(2 * MAXIMUM_TRIES):
        now = NOW + number * SECOND
        (ref,) = take(database, now=now)
        with database.begin() as connection:
            set_aside(connection, ref, JobState.RETRY, "hsm-unavailable", now=now, after=timedelta(0))
    assert len(take(database, now=NOW + 3 * MAXIMUM_TRIES * SECOND)) == 1

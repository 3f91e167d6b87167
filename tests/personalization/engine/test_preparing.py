"""The preparing worker: one document that cannot be made, or one that was taken back, holds up no other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import pytest

from hsm.errors import HsmUnavailable
from personalization.face import FaceRefused
from personalization.flow import AcceptedJob, CertifiedJob, JobState, KeyedJob, Stage
from personalization.preparing import REFUSALS, Preparation, reason_of
from personalization.store.database import Database
from personalization.store.sealing import RecordRef, Vault
from personalization.store.tables import card_key
from personalization.withdrawal import withdraw_jobs
from tests.personalization.engine.made_up import (
    NOW,
    MadeUpSource,
    finish,
    job_row,
    kinds_of_events,
    make_intake,
    record_id,
    sample,
    take,
)

NUMBERS = (101, 102, 103)
BAD = 102


@dataclass
class MadeUpStages:
    """Stands for the three stages; `before_image` is called with the jobs that reach the last one."""

    database: Database
    before_image: Callable[[Sequence[CertifiedJob]], None] = lambda _: None
    imaged: list[str] = field(default_factory=list)

    def make(self, jobs: Sequence[AcceptedJob], _now: datetime) -> tuple[KeyedJob, ...]:
        for job in jobs:
            finish(self.database, job.ref, Stage.KEYS, Stage.CERTIFY, keep=True)
        return tuple(KeyedJob(job, {}) for job in jobs)

    def certify(self, jobs: Sequence[KeyedJob], _now: datetime) -> tuple[CertifiedJob, ...]:
        for job in jobs:
            finish(self.database, job.accepted.ref, Stage.CERTIFY, Stage.IMAGE, keep=True)
        return tuple(CertifiedJob(job, {}) for job in jobs)

    def build(self, jobs: Sequence[CertifiedJob], _now: datetime) -> None:
        self.before_image(jobs)
        for job in jobs:
            finish(self.database, job.keyed.accepted.ref, Stage.IMAGE, Stage.ENCODE)
            self.imaged.append(job.keyed.accepted.ref.record_id)


@pytest.fixture
def stages(database: Database) -> MadeUpStages:
    return MadeUpStages(database)


@pytest.fixture
def worker(database: Database, vault: Vault, stages: MadeUpStages, monkeypatch: pytest.MonkeyPatch) -> Preparation:
    """A worker with three accepted records before it."""
    monkeypatch.setattr(database, "now", lambda _: NOW)
    make_intake(database, vault, MadeUpSource([sample(record_id=record_id(n)) for n in NUMBERS])).pull(NOW)
    return Preparation(
        database=database,
        vault=vault,
        make=stages.make,
        certification=cast(Any, stages),
        imaging=cast(Any, stages),
        owner="preparing-1",
        clock=lambda: NOW,
    )


def state(database: Database, number: int) -> tuple[str, str, str | None]:
    row = job_row(database, f"{record_id(number)}-r1-a1")
    return row.stage, row.state, row.reason_code


def is_bad(jobs: Sequence[CertifiedJob]) -> bool:
    return record_id(BAD) in {job.keyed.accepted.ref.record_id for job in jobs}


def test_a_batch_is_brought_to_the_stations(worker: Preparation, stages: MadeUpStages, database: Database) -> None:
    assert worker.run_once() == 3
    assert stages.imaged == [record_id(n) for n in NUMBERS]
    assert {state(database, n) for n in NUMBERS} == {(Stage.ENCODE, JobState.READY, None)}
    assert worker.run_once() == 0


def test_a_document_that_cannot_be_made_is_held_alone(
    worker: Preparation, stages: MadeUpStages, database: Database
) -> None:
    def refuse(jobs: Sequence[CertifiedJob]) -> None:
        if is_bad(jobs):
            raise FaceRefused("surname does not fit")

    stages.before_image = refuse
    worker.run_once()
    assert stages.imaged == [record_id(101), record_id(103)]
    assert state(database, BAD) == (Stage.IMAGE, JobState.HELD, "face-does-not-fit")
    assert kinds_of_events(database)[-1] == "job.held"


def test_a_record_that_was_erased_is_held_alone(
    worker: Preparation, stages: MadeUpStages, database: Database, vault: Vault
) -> None:
    vault.erase(RecordRef(record_id(BAD), 1))
    worker.run_once()
    assert stages.imaged == [record_id(101), record_id(103)]
    assert state(database, BAD) == (Stage.KEYS, JobState.HELD, "data-erased")


def test_a_document_that_brings_out_a_fault_of_ours_is_left_to_people_and_the_others_go_on(
    worker: Preparation, stages: MadeUpStages, database: Database
) -> None:
    def stumble(jobs: Sequence[CertifiedJob]) -> None:
        if is_bad(jobs):
            raise ZeroDivisionError

    stages.before_image = stumble
    worker.run_once()
    assert stages.imaged == [record_id(101), record_id(103)]
    assert state(database, BAD) == (Stage.IMAGE, JobState.UNCLEAR, "unexpected-error")
    assert kinds_of_events(database)[-1] == "job.unclear"


def test_every_refusal_has_a_reason_code() -> None:
    for refusal in REFUSALS:
        assert reason_of(refusal.__new__(refusal))


def test_a_job_withdrawn_in_hand_is_dropped_and_the_others_go_on(
    worker: Preparation, stages: MadeUpStages, database: Database
) -> None:
    def withdrawn(jobs: Sequence[CertifiedJob]) -> None:
        if is_bad(jobs):
            with database.begin() as connection:
                withdraw_jobs(connection, record_id(BAD), "withdrawn-at-source", NOW)

    stages.before_image = withdrawn
    while worker.run_once():
        continue
    assert sorted(set(stages.imaged)) == [record_id(101), record_id(103)]
    assert state(database, BAD)[1] == JobState.CANCELLED


def test_a_withdrawal_between_claim_and_keys_does_not_halt_the_line(
    worker: Preparation, stages: MadeUpStages, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrapped keys are destroyed with the withdrawal; the worker finds the job gone, not its keys missing."""
    for ref in take(database, "preparing-9"):
        finish(database, ref, Stage.KEYS, Stage.CERTIFY)
    with database.begin() as connection:
        for number in NUMBERS:
            put_pair_of_record(connection, number)
    opened = worker._open

    def withdrawn_while_opening(refs: Any) -> Any:
        jobs = opened(refs)
        with database.begin() as connection:
            withdraw_jobs(connection, record_id(BAD), "withdrawn-at-source", NOW)
        return jobs

    monkeypatch.setattr(worker, "_open", withdrawn_while_opening)
    while worker.run_once():
        continue
    assert stages.imaged == [record_id(101), record_id(103)]


def put_pair_of_record(connection: Any, number: int) -> None:
    connection.execute(
        card_key.insert().values(
            job_id=f"{record_id(number)}-r1-a1",
            slot="auth",
            curve="secp384r1",
            point=b"\x04",
            wrapped=b"w",
            spki_sha256=str(number),
        )
    )


def test_jobs_wait_for_an_hsm_that_is_away(worker: Preparation, stages: MadeUpStages, database: Database) -> None:
    def away(_: Sequence[CertifiedJob]) -> None:
        raise HsmUnavailable

    stages.before_image = away
    with pytest.raises(HsmUnavailable):
        worker.run_once()
    assert {state(database, n) for n in NUMBERS} == {(Stage.IMAGE, JobState.RETRY, "hsm-unavailable")}

"""Hold, release, cancel: what they do to a job at each of its states, and where they cannot be done."""

import functools
from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from card_profiles.model import CardProfile
from card_profiles.profile import profile_for
from personalization.acceptance import Answer
from personalization.errors import FencedOut
from personalization.flow import PREPARING, JobId, JobState, Stage
from personalization.job_control import JobUnknown, NotPossible, cancel, hold, release
from personalization.outgoing import report_document
from personalization.store.database import Database
from personalization.store.jobs import check_fence, claim, finish_stage
from personalization.store.sealing import Vault
from personalization.store.tables import job, source_message
from tests.personalization.engine.made_up import (
    NOW,
    SECOND,
    job_row,
    kinds_of_events,
    make_acceptance,
    sample,
    take,
)

LATER = NOW + SECOND
specimen = functools.partial(profile_for, specimen=True)


def no_profile(_document_type: str) -> CardProfile | None:
    return None


@pytest.fixture
def push(database: Database, vault: Vault) -> Callable[..., Answer]:
    """Take one sample record in, as a document system would push it."""

    def pushed(name: str = "PADIS-2026-0000003", **changes: object) -> Answer:
        (answer,) = make_acceptance(database, vault).push("padis", [sample(name, **changes)], NOW)
        return answer

    return pushed


def job_of(answer: Answer) -> str:
    assert answer.job_id is not None
    return answer.job_id


def test_a_pushed_record_is_one_order_however_often_it_comes(database: Database, push: Callable[..., Answer]) -> None:
    first, second = push(), push()
    assert (first.outcome, first.repeated, second.outcome, second.repeated) == ("accepted", False, "accepted", True)
    assert first.job_id == second.job_id == "PADIS-2026-0000003-r1-a1"
    assert kinds_of_events(database) == ["record.accepted"]


def test_what_was_refused_and_comes_again_is_answered_again_and_stored_once(
    database: Database, push: Callable[..., Answer]
) -> None:
    answers = [push(delivery={"kind": "branch", "code": "NOWHERE"}) for _ in range(3)]
    assert {answer.outcome for answer in answers} == {"rejected"}
    assert len({answer.failures for answer in answers}) == 1
    assert kinds_of_events(database) == ["record.rejected"]


def test_a_pushed_correction_replaces_and_an_older_revision_is_superseded(
    database: Database, push: Callable[..., Answer]
) -> None:
    first = push()
    second = push(revision=2)
    assert (second.outcome, second.job_id) == ("accepted", "PADIS-2026-0000003-r2-a1")
    assert job_row(database, job_of(first)).state == JobState.CANCELLED
    old = push()
    assert (old.outcome, [failure.rule for failure in old.failures]) == ("rejected", ["superseded"])


def test_another_source_cannot_touch_an_order(database: Database, vault: Vault, push: Callable[..., Answer]) -> None:
    first = push()
    (answer,) = make_acceptance(database, vault).push("other", [sample(revision=2)], NOW)
    assert (answer.outcome, [failure.rule for failure in answer.failures]) == ("rejected", ["other-source"])
    assert job_row(database, job_of(first)).state == JobState.READY
    with database.begin() as connection:
        report_document(connection, JobId(job_of(first)), "certified", LATER)
        assert connection.execute(select(source_message.c.source)).scalars().all() == ["padis"], "nor hear of it"
    assert push(revision=2).outcome == "accepted", "nor make its own source's revisions look old"


def test_a_held_job_is_taken_by_nobody_until_it_is_released(database: Database, push: Callable[..., Answer]) -> None:
    job_id = job_of(push())
    hold(database, job_id, actor="operator-1", now=LATER)
    hold(database, job_id, actor="operator-2", now=LATER)  # held is held
    assert (job_row(database, job_id).state, job_row(database, job_id).reason_code) == ("held", "held-by-operator")
    assert take(database) == ()
    release(database, job_id, actor="operator-1", now=NOW, profile_for=specimen)
    assert [ref.id for ref in take(database)] == [job_id]
    assert kinds_of_events(database) == ["record.accepted", "job.held", "job.released"]


def test_a_worker_that_has_the_job_drops_it_when_it_is_held(database: Database, push: Callable[..., Answer]) -> None:
    job_id = job_of(push())
    (ref,) = take(database)
    hold(database, job_id, actor="operator-1", now=LATER)
    with database.begin() as connection, pytest.raises(FencedOut):
        check_fence(connection, ref, LATER)
    release(database, job_id, actor="operator-1", now=NOW, profile_for=specimen)
    (again,) = take(database)
    assert (again.id, again.stage) == (job_id, Stage.KEYS)
    assert again.fence > ref.fence


def test_a_card_in_hand_is_not_held(database: Database, push: Callable[..., Answer]) -> None:
    job_id = job_of(push())
    (ref,) = take(database)
    with database.begin() as connection:
        for stage, to in zip(PREPARING, (Stage.CERTIFY, Stage.IMAGE, Stage.ENCODE), strict=True):
            finish_stage(connection, ref, stage, {}, now=NOW, milliseconds=1, to=to, keep=to is not Stage.ENCODE)
    with database.begin() as connection:
        claim(connection, stage=Stage.ENCODE, owner="station-1", limit=1, now=LATER, station="station-1")
    with pytest.raises(NotPossible) as refused:
        hold(database, job_id, actor="operator-1", now=LATER)
    assert refused.value.code == "card-in-hand"


def test_a_job_without_a_profile_is_released_once_there_is_one(database: Database, push: Callable[..., Answer]) -> None:
    job_id = job_of(push("VMIS-2026-0000018"))
    with pytest.raises(NotPossible) as refused:
        release(database, job_id, actor="operator-1", now=LATER, profile_for=no_profile)
    assert refused.value.code == "no-profile"
    release(database, job_id, actor="operator-1", now=LATER, profile_for=lambda _: specimen("eid-citizen"))
    row = job_row(database, job_id)
    assert (row.state, row.profile_id, row.document_number) == ("ready", "eid-citizen-specimen@1", "SA0000001")


def test_unclear_is_for_people_and_they_may_release_it(database: Database, push: Callable[..., Answer]) -> None:
    job_id = job_of(push())
    with database.begin() as connection:
        connection.execute(update(job).where(job.c.id == job_id).values(state=JobState.UNCLEAR, reason_code="x"))
    release(database, job_id, actor="operator-1", now=LATER, profile_for=specimen)
    assert job_row(database, job_id).state == JobState.READY


@pytest.mark.parametrize("withdraw", [False, True])
def test_a_cancelled_job_stays_cancelled(database: Database, push: Callable[..., Answer], withdraw: bool) -> None:
    job_id = job_of(push())
    for _ in range(2):
        cancel(database, job_id, actor="operator-1", now=LATER, withdraw=withdraw)
    assert job_row(database, job_id).state == JobState.CANCELLED
    with pytest.raises(NotPossible):
        release(database, job_id, actor="operator-1", now=LATER, profile_for=specimen)
    with pytest.raises(NotPossible):
        hold(database, job_id, actor="operator-1", now=LATER)
    # Only a withdrawal by its source is for good.
    assert push(revision=2).outcome == ("rejected" if withdraw else "accepted")


def test_a_job_that_failed_is_not_cancelled_in_place_of_its_remake(
    database: Database, push: Callable[..., Answer]
) -> None:
    job_id = job_of(push())
    with database.begin() as connection:
        connection.execute(update(job).where(job.c.id == job_id).values(state=JobState.FAILED))
    with pytest.raises(NotPossible) as refused:
        cancel(database, job_id, actor="operator-1", now=LATER, withdraw=False)
    assert refused.value.code == "job-ended"


def test_a_job_that_nobody_knows(database: Database) -> None:
    for act in (hold, functools.partial(release, profile_for=specimen), functools.partial(cancel, withdraw=False)):
        with pytest.raises(JobUnknown):
            act(database, "PADIS-2026-7777777-r1-a1", actor="operator-1", now=NOW)

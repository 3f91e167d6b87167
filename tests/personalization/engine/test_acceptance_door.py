"""The door of the acceptance process: each record its answer, in order; what none was taken for is told, not raised."""

import json
from collections.abc import Callable
from multiprocessing import Pipe
from typing import Any

import pytest

from hsm.errors import HsmUnavailable
from personalization.acceptance import Acceptance
from personalization.acceptance_door import READY, Push, Trouble, answer_push, serve_pushes
from personalization.audit import events_after
from personalization.errors import Halt, StoreUnavailable
from personalization.store.database import Database
from personalization.store.sealing import Vault
from tests.personalization.engine.made_up import NOW, job_row, make_acceptance, sample

CHILD = "PADIS-2026-0000003"
RECORD = json.dumps(sample()).encode()


@pytest.fixture
def acceptance(database: Database, vault: Vault) -> Acceptance:
    return make_acceptance(database, vault)


def push(*contents: bytes) -> Push:
    return Push("padis", contents, NOW)


def test_what_is_no_json_has_its_place_among_the_answers(acceptance: Acceptance, database: Database) -> None:
    reply = answer_push(acceptance, push(b"{", RECORD, b"\xff", b"[]"))
    assert not isinstance(reply, Trouble)
    assert [answer and answer.outcome for answer in reply] == [None, "accepted", None, "rejected"]
    assert job_row(database, f"{CHILD}-r1-a1").state == "ready"


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (StoreUnavailable("locked"), Trouble.STORE),
        (Halt("numbers-exhausted", "used up"), Trouble.HALTED),
        (ValueError("Kalniņš 190422-26041"), Trouble.FAILED),
    ],
)
def test_trouble_is_told(
    acceptance: Acceptance,
    error: Exception,
    trouble: Trouble,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(acceptance, "push", raising(error))
    assert answer_push(acceptance, push(RECORD)) is trouble
    assert "190422" not in caplog.text


def test_without_the_hsm_it_says_so_and_ends(
    acceptance: Acceptance, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptance, "push", raising(HsmUnavailable("session lost")))
    ours, theirs = Pipe()
    ours.send(push(RECORD))
    with ours, theirs:
        with pytest.raises(HsmUnavailable):
            serve_pushes(theirs, acceptance, database, lambda: False)
        assert [ours.recv(), ours.recv()] == [READY, Trouble.HSM]


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_events_are_numbered_after_a_push_and_while_nothing_comes(acceptance: Acceptance, database: Database) -> None:
    ours, theirs = Pipe()
    rounds = iter([False, False, False, True])
    ours.send(push(RECORD))
    with ours, theirs:
        serve_pushes(theirs, acceptance, database, lambda: next(rounds))
        assert ours.recv() == READY
        (answer,) = ours.recv()
    assert answer.job_id == f"{CHILD}-r1-a1"
    assert [event.body["kind"] for event in events_after(database, 0)] == ["record.accepted"]


def test_it_ends_with_the_other_side(acceptance: Acceptance, database: Database) -> None:
    ours, theirs = Pipe()
    ours.send(push(RECORD))

    def stopped() -> bool:
        ours.close()  # before the first look; what was sent is still in the pipe
        return False

    with theirs, pytest.raises(BrokenPipeError):
        serve_pushes(theirs, acceptance, database, stopped)
    assert job_row(database, f"{CHILD}-r1-a1").state == "ready", "taken whole, though nobody hears of it"

"""Corrections and cancellations, wherever the job stands: what the document systems were promised becomes of it.

A higher revision revokes what was issued and starts a first job of its own; a withdrawn order ends for good; a card
already touched is destroyed as spoiled, never handed out; and after each of it no second card or pair is good.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import insert, select

from personalization.acceptance import Answer
from personalization.centre import stock
from personalization.errors import FencedOut
from personalization.flow import PHYSICAL, PREPARING, JobRef, JobState, Stage
from personalization.job_control import cancel, hold
from personalization.spoilage import spoil_and_remake
from personalization.store.database import Database
from personalization.store.jobs import check_fence, set_aside
from personalization.store.sealing import Vault
from personalization.store.tables import card_key, certificate, job, source_message
from tests.personalization.engine.made_up import (
    NOW,
    SECOND,
    MadeUpSource,
    blank_in_position,
    chip_serial,
    finish,
    job_id,
    job_row,
    kinds_of_events,
    make_acceptance,
    make_intake,
    put_pair,
    receive_blanks,
    sample,
    take,
    take_at,
)

NUMBER = 3
RECORD, FIRST = "PADIS-2026-0000003", job_id(NUMBER)
SECOND_REVISION = "PADIS-2026-0000003-r2-a1"
STATION, LATER = "station-1", NOW + SECOND
ENDED = (JobState.FAILED, JobState.CANCELLED)


@dataclass
class Line:
    """One order, brought to where a test wants it, with two blanks at hand."""

    database: Database
    vault: Vault

    def push(self, revision: int = 1) -> Answer:
        (answer,) = make_acceptance(self.database, self.vault).push("padis", [sample(revision=revision)], NOW)
        return answer

    # --- how far a job has come: each returns whoever has it in hand -------------------------------------------------
    def waits(self) -> JobRef | None:
        return None

    def held(self) -> JobRef | None:
        hold(self.database, FIRST, actor="operator-1", now=NOW)
        return None

    def at_keys(self) -> JobRef:
        (ref,) = take(self.database)
        return ref

    def at_certify(self) -> JobRef:
        """The pair is intended; whether it is signed nobody knows."""
        return self._preparing(Stage.CERTIFY, "intent")

    def at_image(self) -> JobRef:
        return self._preparing(Stage.IMAGE, "on-hold")

    def waits_for_a_station(self) -> JobRef | None:
        self._preparing(Stage.ENCODE, "on-hold")
        return None

    def in_a_station_unbound(self) -> JobRef:
        self.waits_for_a_station()
        return take_at(self.database, STATION)

    def at_encode(self) -> JobRef:
        ref = self.in_a_station_unbound()
        self._bind(1, FIRST)
        return ref

    def between_two_tries(self) -> JobRef:
        ref = self.at_encode()
        with self.database.begin() as connection:
            set_aside(connection, ref, JobState.RETRY, "answer-lost", now=NOW, after=timedelta(0))
        return ref

    def at_print(self) -> JobRef:
        return self._physical(Stage.PRINT)

    def at_inspect(self) -> JobRef:
        return self._physical(Stage.INSPECT)

    def verified(self) -> JobRef | None:
        self._finish_card(self.at_inspect(), 1)
        return None

    def spoiled_and_waiting_for_its_remake(self) -> JobRef | None:
        ref = self.at_encode()
        with self.database.begin() as connection:
            spoil_and_remake(
                connection, ref, station=STATION, chip_serial=chip_serial(1), reason="chip-refused", now=NOW
            )
        return None

    def _preparing(self, to: Stage, pair: str) -> JobRef:
        ref = self.at_keys()
        for stage, following in zip(PREPARING, (*PREPARING[1:], Stage.ENCODE), strict=True):
            if stage is to:
                break
            finish(self.database, ref, stage, following, keep=following is not Stage.ENCODE)
        with self.database.begin() as connection:
            put_pair(connection, NUMBER, pair)
        return ref

    def _physical(self, to: Stage) -> JobRef:
        ref = self.at_encode()
        for stage, following in pairwise(PHYSICAL):
            if stage is to:
                break
            finish(self.database, ref, stage, following, keep=True)
        return ref

    def _bind(self, number: int, job: str) -> None:
        with self.database.begin() as connection:
            stock.bind(connection, blank_in_position(number), job, STATION, NOW)  # type: ignore[arg-type]

    def _finish_card(self, ref: JobRef, number: int) -> None:
        finish(self.database, ref, Stage.INSPECT, None)
        with self.database.begin() as connection:
            stock.settle(connection, chip_serial(number), STATION, good=True, now=NOW)

    # --- what happens to it ------------------------------------------------------------------------------------------
    def corrected(self) -> None:
        answer = self.push(2)
        assert (answer.outcome, answer.job_id, answer.repeated) == ("accepted", SECOND_REVISION, False)

    def withdrawn_by_call(self) -> None:
        cancel(self.database, self.newest(), actor="client:padis", now=LATER, withdraw=True)

    def withdrawn_in_the_list(self) -> None:
        source = MadeUpSource(withdrawn=[RECORD])
        assert make_intake(self.database, self.vault, source).pull_cancellations(LATER) == 1

    def cancelled_by_an_operator(self) -> None:
        cancel(self.database, self.newest(), actor="client:operator", now=LATER, withdraw=False)

    # --- what can be asked of it -------------------------------------------------------------------------------------
    def newest(self) -> str:
        return str(self.jobs()[-1].id)

    def jobs(self) -> Sequence[Any]:
        with self.database.reading() as connection:
            return connection.execute(select(job).order_by(job.c.revision, job.c.attempt)).all()

    def station_clears_up(self) -> None:
        """The card in position of a job that was taken back: counted as spoiled and ejected by its station."""
        with self.database.begin() as connection:
            if stock.state_of(connection, chip_serial(1)) == "bound":
                assert stock.job_was_withdrawn(connection, chip_serial(1))
                stock.settle(connection, chip_serial(1), STATION, good=False, now=LATER)

    def counts(self) -> stock.BlankCounts:
        with self.database.reading() as connection:
            return stock.count(connection)

    def messages(self) -> list[dict[str, Any]]:
        with self.database.reading() as connection:
            bodies = connection.execute(select(source_message.c.body).order_by(source_message.c.id)).scalars()
            return [json.loads(body) for body in bodies]

    def make_the_card(self) -> None:
        """The job of the new revision becomes a card, as if nothing had been before it."""
        (ref,) = take(self.database, now=LATER)
        assert ref.id == SECOND_REVISION
        for stage, following in zip(PREPARING, (*PREPARING[1:], Stage.ENCODE), strict=True):
            finish(self.database, ref, stage, following, keep=following is not Stage.ENCODE)
        ref = take_at(self.database, STATION, now=LATER)
        with self.database.begin() as connection:
            for slot in ("auth", "sign"):
                connection.execute(
                    insert(certificate).values(
                        serial=f"{slot}-2", job_id=ref.id, slot=slot, profile_id=f"{slot}-citizen@1",
                        issuer_label="issuing-ca", state="on-hold", state_since=NOW,
                    )
                )  # fmt: skip
        self._bind(2, ref.id)
        for stage, following in pairwise(PHYSICAL):
            finish(self.database, ref, stage, following, keep=True)
        self._finish_card(ref, 2)


@pytest.fixture
def line(database: Database, vault: Vault) -> Iterator[Line]:
    """At the end, whatever was done: one good card and one good pair at most, and every blank accounted for."""
    made = Line(database, vault)
    receive_blanks(database, STATION, 1, 2)
    made.push()
    yield made
    counts = made.counts()
    assert counts.received == counts.good + counts.spoiled + counts.left == 2
    with database.reading() as connection:
        good = connection.execute(
            select(certificate.c.job_id).where(certificate.c.state != "revoked").distinct()
        ).all()  # fmt: skip
    assert len(good) <= 1
    assert counts.good <= 1
    numbers = [row.document_number for row in made.jobs()]
    assert len(set(numbers)) == len(numbers)


WAITING = (Line.waits, Line.held)
PREPARED = (Line.at_keys, Line.at_certify, Line.at_image, Line.waits_for_a_station)
UNTOUCHED = (*WAITING, *PREPARED, Line.in_a_station_unbound)
IN_HAND = (Line.at_encode, Line.between_two_tries, Line.at_print, Line.at_inspect)
STANDING = (*UNTOUCHED, *IN_HAND, Line.verified, Line.spoiled_and_waiting_for_its_remake)
WITHDRAWALS = (Line.withdrawn_by_call, Line.withdrawn_in_the_list)
TAKEN_BACK = (Line.corrected, *WITHDRAWALS, Line.cancelled_by_an_operator)

standing = pytest.mark.parametrize("stand", STANDING, ids=lambda each: each.__name__)
taken_back = pytest.mark.parametrize("take_back", TAKEN_BACK, ids=lambda each: each.__name__)
Stand = Callable[[Line], JobRef | None]
TakeBack = Callable[[Line], None]


@taken_back
@standing
def test_nothing_of_the_old_job_goes_on(line: Line, stand: Stand, take_back: TakeBack) -> None:
    in_hand = stand(line)
    take_back(line)
    old = [row for row in line.jobs() if row.revision == 1]
    assert {row.state for row in old} <= set(ENDED)
    assert old[-1].state == JobState.CANCELLED
    # 1. Its pair is revoked, issued or only intended, and its wrapped keys are destroyed.
    with line.database.reading() as connection:
        pair = connection.execute(select(certificate.c.state).where(certificate.c.job_id == FIRST)).scalars().all()
        wrapped = connection.execute(select(card_key.c.wrapped).where(card_key.c.job_id == FIRST)).scalars().all()
    assert set(pair) <= {"revoked"}
    assert set(wrapped) <= {None}
    # 2. Whoever has it in hand finds the next write refused.
    if in_hand is not None:
        with pytest.raises(FencedOut), line.database.begin() as connection:
            check_fence(connection, in_hand, LATER)
    # 3. Nobody takes it again, at whatever stage.
    for stage in Stage:
        for ref in take(line.database, "preparing-2", stage=stage, now=LATER + timedelta(hours=1)):
            assert ref.revision == 2
    # 4. Its source is told.
    assert line.messages()[-1]["state"] == "cancelled"
    assert "job.cancelled" in kinds_of_events(line.database)
    # 5. Before a card was touched no blank is lost; one that was touched is spoiled and not handed out.
    line.station_clears_up()
    spoiled = 0 if stand in UNTOUCHED else 1
    assert line.counts() == stock.BlankCounts(received=2, good=0, spoiled=spoiled, left=2 - spoiled)


@standing
def test_a_correction_is_made_from_its_beginning_to_its_card(line: Line, stand: Stand) -> None:
    stand(line)
    line.corrected()
    new = job_row(line.database, SECOND_REVISION)
    assert (new.state, new.stage, new.attempt) == (JobState.READY, Stage.KEYS, 1)
    line.station_clears_up()
    line.make_the_card()
    assert line.counts().good == 1
    assert job_row(line.database, SECOND_REVISION).state == JobState.DONE
    again = line.push(2)
    assert (again.outcome, again.repeated) == ("accepted", True)
    assert [failure.rule for failure in line.push(1).failures] == ["superseded"]
    assert job_row(line.database, SECOND_REVISION).state == JobState.DONE, "neither of which touches the card"


@pytest.mark.parametrize("take_back", WITHDRAWALS, ids=lambda each: each.__name__)
@standing
def test_a_withdrawn_order_stays_withdrawn(line: Line, stand: Stand, take_back: TakeBack) -> None:
    stand(line)
    take_back(line)
    for revision in (1, 2):
        assert [failure.rule for failure in line.push(revision).failures] == ["withdrawn"]
    before = kinds_of_events(line.database)
    with line.database.reading() as connection:
        assert connection.execute(select(job.c.id).where(job.c.state.not_in(ENDED))).all() == []
    cancel(line.database, line.newest(), actor="client:padis", now=LATER, withdraw=True)
    assert kinds_of_events(line.database) == before, "again changes nothing"


@standing
def test_what_an_operator_cancelled_may_be_corrected(line: Line, stand: Stand) -> None:
    stand(line)
    line.cancelled_by_an_operator()
    assert line.newest() == line.jobs()[-1].id
    same = line.push(1)
    assert (same.outcome, same.repeated) == ("accepted", True), "known, and not made again for being sent again"
    assert [row.state for row in line.jobs() if row.state not in ENDED] == []
    line.corrected()
    line.station_clears_up()
    line.make_the_card()
    assert line.counts().good == 1


@taken_back
def test_a_correction_of_a_correction(line: Line, take_back: TakeBack) -> None:
    """Taken back in the second revision as in the first."""
    line.at_print()
    line.corrected()
    line.station_clears_up()
    line.make_the_card()
    if take_back is Line.corrected:
        assert line.push(3).outcome == "accepted"
    else:
        take_back(line)
    assert job_row(line.database, SECOND_REVISION).state == JobState.CANCELLED
    assert line.counts() == stock.BlankCounts(received=2, good=0, spoiled=2, left=0)

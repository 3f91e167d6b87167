"""What a station does when a card goes wrong: taken anew, spoiled only after that, and with a trace of why."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from card_profiles.profile import load_profile
from personalization import station_worker
from personalization.centre import stock
from personalization.errors import Halt
from personalization.flow import JobRef, JobState, Priority, Stage
from personalization.spoilage import FailedInspection
from personalization.stages.inspect import CardFailed
from personalization.station.contact import Contact
from personalization.station.errors import AnswerUnreadable, CardAbsent, CardLost, ChannelBroken, ChipRefused, WrongChip
from personalization.station.ports import FeederState
from personalization.station_worker import StationWorker
from personalization.store.database import Database
from personalization.store.jobs import check_fence, finish_stage
from personalization.store.sealing import RecordRef, Vault
from personalization.store.tables import blank, job, job_step
from personalization.withdrawal import withdraw_jobs
from tests.personalization.engine.made_up import (
    NOW,
    PROFILE,
    blank_in_position,
    chip_serial,
    job_id,
    job_row,
    prepare_all,
    put_jobs,
    receive_blanks,
    record_id,
)

STATION = "station-1"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
"""Jobs are due by the database's own clock."""
REFUSED = ChipRefused("STORE DATA", 0x6982)
LOST = CardLost("STORE DATA: the card is gone")
KEPT = FailedInspection({"verdicts": {"own": "failed"}, "card_milliseconds": 900}, {"report": b"why"}, 400)


@dataclass
class Station:
    """Feeder, encoding, printing and inspecting in one double: what is done in which order, and what goes wrong."""

    database: Database
    troubles: list[Exception | None] = field(default_factory=list)
    contacts: list[Exception | int] = field(default_factory=list)
    positioned: int | None = None
    next_blank: int = 1
    hopper: int = 9
    done: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)

    def state(self) -> FeederState:
        return FeederState(self.hopper, self.positioned is not None, 0, 0)

    def load(self) -> None:
        if self.positioned is None:
            self.positioned, self.next_blank = self.next_blank, self.next_blank + 1

    def eject(self, *, good: bool) -> None:
        assert self.done[-1] == "release", "a card is let go before it is moved"
        self.done.append("good" if good else "reject")
        self.positioned = None

    def release(self) -> None:
        self.done.append("release")

    def first_contact(self, _profile: object, script_prefix: str, _fence: int) -> Contact:
        assert script_prefix not in self.prefixes, "a later attempt has a prefix of its own"
        self.prefixes.append(script_prefix)
        told = self.contacts.pop(0) if self.contacts else self.positioned
        if isinstance(told, Exception):
            raise told
        assert told is not None
        card = blank_in_position(told)
        return Contact(card.atr, card.chip_serial, card.cplc, card.lot, card.os_version, 0x07, {})

    def encode(self, ref: JobRef, contact: Contact, _clock: Callable[[], Any]) -> JobRef:
        with self.database.begin() as connection:
            check_fence(connection, ref, NOW)
            stock.bind(connection, blank_in_position(int(contact.chip_serial, 16)), ref.id, STATION, NOW)
        self.done.append("encode")
        if self.troubles and (trouble := self.troubles.pop(0)) is not None:
            raise trouble
        return ref

    def print(self, ref: JobRef, _clock: Callable[[], Any]) -> JobRef:
        return ref

    def inspect(self, ref: JobRef, contact: Contact, _clock: Callable[[], Any], _claimed: float) -> None:
        with self.database.begin() as connection:
            finish_stage(connection, ref, Stage.INSPECT, {}, now=NOW, milliseconds=1, to=None, keep=False)
            serial = chip_serial(int(contact.chip_serial, 16))
            stock.settle(connection, serial, STATION, good=True, now=NOW)


@pytest.fixture
def station(database: Database) -> Station:
    put_jobs(database, 1, at=LONG_AGO)
    prepare_all(database, LONG_AGO)
    receive_blanks(database, STATION, 1, 2, 3)
    return Station(database)


@pytest.fixture
def worker(station: Station, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> StationWorker:
    monkeypatch.setattr(station_worker, "CONTACT_SECONDS", 0.05)
    monkeypatch.setattr(station_worker, "CONTACT_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(StationWorker, "_open", lambda _, ref: ref)
    vault.create_keys([RecordRef(record_id(1), 1)])
    double: Any = station
    return StationWorker(
        database=station.database,
        vault=vault,
        feeder=double,
        encoding=double,
        printing=double,
        inspecting=double,
        station=STATION,
        owner=STATION,
        blank_profile=load_profile(PROFILE),
        clock=lambda: NOW,
    )


def blanks(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.execute(select(blank.c.state).order_by(blank.c.chip_serial)).scalars())


@pytest.mark.parametrize(
    "troubles",
    [[LOST], [LOST, LOST], [AnswerUnreadable("x"), CardAbsent("x")], [ChannelBroken("x")], [REFUSED]],
    ids=str,
)
def test_a_card_that_recovers_is_made(station: Station, worker: StationWorker, troubles: list[Exception]) -> None:
    station.troubles[:] = troubles
    assert worker.run_once()
    assert job_row(station.database, job_id(1)).state == JobState.DONE
    assert blanks(station.database) == ["good", "received", "received"]
    assert station.done == ["encode"] * (len(troubles) + 1) + ["release", "good"]


@pytest.mark.parametrize(
    ("troubles", "reason"),
    [
        ([LOST] * 3, "card-lost"),
        ([REFUSED] * 2, "chip-refused"),
        ([LOST, ChannelBroken("x"), LOST], "card-lost"),
        ([LOST, LOST, REFUSED], "chip-refused"),
    ],
)
def test_a_card_that_does_not_is_spoiled_and_made_again_first(
    station: Station, worker: StationWorker, troubles: list[Exception], reason: str
) -> None:
    station.troubles[:] = troubles
    assert worker.run_once()
    failed, again = job_row(station.database, job_id(1)), job_row(station.database, job_id(1, 2))
    assert (failed.state, failed.reason_code) == (JobState.FAILED, reason)
    assert (again.state, again.priority) == (JobState.READY, Priority.REMAKE)
    assert blanks(station.database) == ["spoiled", "received", "received"]
    assert station.done[-2:] == ["release", "reject"]


def test_a_failed_inspection_is_kept_and_told(
    station: Station, worker: StationWorker, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise CardFailed("inspection-own", KEPT)

    monkeypatch.setattr(station, "inspect", fail)
    assert worker.run_once()
    with station.database.reading() as connection:
        step = connection.execute(select(job_step).where(job_step.c.job_id == job_id(1), job_step.c.stage == "inspect"))
        row = step.one()
        assert vault.open(connection, job_id(1), ["report", "report-page"]) == {"report": b"why"}
        state = connection.execute(select(job.c.state).where(job.c.id == job_id(1))).scalar_one()
    assert (json.loads(row.result), row.milliseconds, state) == (KEPT.result, 400, JobState.FAILED)


def test_a_blank_that_is_not_heard_or_not_known_at_once_is_asked_again(station: Station, worker: StationWorker) -> None:
    station.contacts[:] = [CardAbsent("x"), LOST, 99, 1]
    assert worker.run_once()
    assert blanks(station.database) == ["good", "received", "received"]


def test_a_mute_blank_halts_the_station(station: Station, worker: StationWorker) -> None:
    station.contacts[:] = [CardAbsent("x")] * 50
    with pytest.raises(Halt) as halted:
        worker.run_once()
    assert halted.value.code == "card-mute"
    assert "reject" not in station.done


def test_a_blank_that_stays_unknown_halts_the_station(station: Station, worker: StationWorker) -> None:
    station.positioned = 99
    with pytest.raises(Halt) as halted:
        worker.run_once()
    assert halted.value.code == "blank-unknown"


def test_with_an_empty_hopper_nothing_is_claimed(station: Station, worker: StationWorker) -> None:
    station.hopper = 0
    assert not worker.run_once()
    assert job_row(station.database, job_id(1)).state == JobState.READY
    station.hopper = 1
    assert worker.run_once()


def test_a_free_blank_in_position_is_asked_once_and_taken_by_the_next_job(
    station: Station, worker: StationWorker, database: Database
) -> None:
    """Its job was withdrawn before they met: nothing is wrong with it, and it need not be powered all the time."""
    with database.begin() as connection:
        withdraw_jobs(connection, record_id(1), "withdrawn-at-source", NOW)
    station.load()
    assert [worker.run_once() for _ in range(5)] == [False] * 5
    assert len(station.prefixes) == 1
    put_jobs(database, 2, at=LONG_AGO)
    prepare_all(database, LONG_AGO)
    assert worker.run_once()
    assert blanks(database) == ["good", "received", "received"]


def test_a_chip_of_another_kind_halts_the_station(station: Station, worker: StationWorker) -> None:
    station.troubles[:] = [WrongChip("x")]
    with pytest.raises(Halt) as halted:
        worker.run_once()
    assert halted.value.code == "wrong-chip"


def test_every_try_is_told_without_data(
    station: Station, worker: StationWorker, caplog: pytest.LogCaptureFixture
) -> None:
    station.troubles[:] = [LOST]
    with caplog.at_level(logging.WARNING, "perso"):
        worker.run_once()
    assert [record.getMessage() for record in caplog.records] == [
        f"job {job_id(1)}, try 1: card-lost (STORE DATA: the card is gone)"
    ]

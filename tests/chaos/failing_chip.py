"""Trials of the product's own worker at a station whose chip fails as a scenario file says, without third-party judges,
printer or wire (`hand_station`).

One job is prepared up to its image once; every trial gets a copy of both databases and of the cards. The token is
shared: nothing of a card's keys is a token object.
"""

import json
import os
import shutil
import sqlite3
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from api import simulated
from api.line import CEREMONIES
from api.state_directory import StateDirectory
from api.supply import supply
from api.token import ensure_token, hold_ceremony_apart, token_settings
from card_profiles.profile import profile_for
from personalization import assembly, station_worker
from personalization.assembly import Parts
from personalization.centre import stock
from personalization.errors import Halt
from personalization.settings import Settings, StationSettings
from personalization.stages import inspect
from personalization.store.database import Database, create_key_store, upgrade
from personalization.store.tables import blank, card_key, certificate, job
from simulators.chip.store import Memory
from simulators.scenario import MEMORY_FILE, Scenario
from simulators.station import CardStation
from tests.chaos.hand_station import HandFeeder, Hands, HandTerminal, QuickPrinter, WorkerGone, judge_alone
from tests.chaos.killed_worker import ListedSource

SAMPLES = Path(__file__).resolve().parents[2] / "simulators" / "records"
CITIZEN = SAMPLES / "PADIS-2026-0000002.json"
STATION = "station-1"
BLANKS = 4
MOST_ROUNDS = 12
COPIED = {"database_url": "engine.sqlite", "key_store_url": "data-keys.sqlite"}


# --- what a trial is and what came of it --------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Trial:
    """A name, the text of the scenario file, and whether the worker's process ends when an answer is lost."""

    name: str
    scenario: str
    ends_worker: bool = False

    @classmethod
    def of(cls, fault: str, apdu: int, *, ends_worker: bool = False, **more: object) -> "Trial":
        """One fault of the first card."""
        keys = {"fault": fault, "card": 1, "apdu": apdu} | more
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        return cls(f"{fault} at {apdu}", f"[{fault}]\n{text}", ends_worker)


@dataclass(slots=True)
class Result:
    """What stands in the databases and on the trays when the worker finds nothing more to do, or has halted."""

    name: str
    commands: list[str] = field(default_factory=list)
    """What every command was for, in the order in which they were sent."""
    struck: dict[str, list[str]] = field(default_factory=dict)
    halt: str | None = None
    error: str | None = None
    jobs: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[list[str]] = field(default_factory=list)
    key_blobs: dict[str, int] = field(default_factory=dict)
    blanks: dict[str, list[str | None]] = field(default_factory=dict)
    received: int = 0
    good: int = 0
    spoiled: int = 0
    left: int = 0
    places: dict[str, list[str]] = field(default_factory=dict)
    contents: dict[str, int] = field(default_factory=dict)
    """Chip serial -> how many files, keys, PINs and life cycles were written to the chip."""
    printed: list[str] = field(default_factory=list)


# --- the worker's process -------------------------------------------------------------------------------------------
class TrialParts(Parts):
    """The parts of a line on a copy of the prepared databases, which `renew` makes anew; the token stays the same."""

    def __init__(self, settings: Settings, prepared: Path, copy: Path) -> None:
        urls = {name: f"sqlite:///{copy / file}" for name, file in COPIED.items()}
        super().__init__(replace(settings, database_url=urls["database_url"], key_store_url=urls["key_store_url"]))
        self._prepared, self._copy = prepared, copy
        for opened in (self.database, self.key_store):  # nobody pulls this plug: none need wait for the disk
            event.listen(opened.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))

    def renew(self) -> None:
        """Forget the last trial. The engines stay, for they know all statements by now, which takes longest."""
        for opened in (self.database, self.key_store):
            opened.close()
        shutil.rmtree(self._copy, ignore_errors=True)
        self._copy.mkdir()
        for name in COPIED.values():
            shutil.copy(self._prepared / name, self._copy / name)


def settings_of(state: StateDirectory) -> Settings:
    return Settings(
        database_url=state.database_url,
        key_store_url=state.key_store_url,
        token=token_settings(state),
        softhsm_conf=state.softhsm_conf,
        authorities=state.authorities(specimen=False),
        lock_directory=state.locks,
        log_file=state.log_file,
        source_name="padis",
        source_url="",
        specimen=False,
        pcsc_socket=None,
    )


def prepare(root: Path, record: Path) -> None:
    """One record becomes a job that waits for a station."""
    state = StateDirectory(root)
    os.environ["SOFTHSM2_CONF"] = str(state.softhsm_conf)
    source = ListedSource([record], root / "told.jsonl")
    with pytest.MonkeyPatch.context() as patch, Parts(settings_of(state)) as parts:
        patch.setattr(assembly, "HttpDocumentSystem", lambda _: source)
        clerk, preparing = assembly.clerk(parts), assembly.preparation(parts, "worker-1")
        while clerk.run_once() or preparing.run_once():
            continue
        parts.database.sweep()
        parts.key_store.sweep()


def run_trials(root: Path, trials: Sequence[Trial], results: Path) -> None:
    """One trial after the other; what came of them, as a list of JSON objects."""
    state = StateDirectory(root)
    os.environ["SOFTHSM2_CONF"] = str(state.softhsm_conf)
    told = []
    copy = root / f"trial-{results.name}"
    with pytest.MonkeyPatch.context() as patch, TrialParts(settings_of(state), root, copy) as parts:
        patch.setattr(inspect, "judge_card", judge_alone)
        patch.setattr(station_worker, "CONTACT_SECONDS", 0.01)
        patch.setattr(station_worker, "CONTACT_PAUSE_SECONDS", 0.001)
        for trial in trials:
            result = Result(trial.name)
            parts.renew()
            try:
                _run_trial(parts, state, copy, trial, result)
            except Exception:  # noqa: BLE001 - the trial's end is told to the test
                result.error = traceback.format_exc()
            told.append(asdict(result))
    results.write_text(json.dumps(told))


def _run_trial(parts: Parts, state: StateDirectory, copy: Path, trial: Trial, result: Result) -> None:
    cards = copy / "station"
    shutil.copytree(state.station(1), cards)
    (copy / "scenario.toml").write_text(trial.scenario)
    hands, printer = Hands(), QuickPrinter()
    machine = CardStation(cards, hands, scenario=Scenario(copy / "scenario.toml", cards / MEMORY_FILE))
    working = True
    while working:
        terminal = HandTerminal(hands, ends_worker=trial.ends_worker)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(assembly, "open_terminal", lambda _, terminal=terminal: terminal)
            patch.setattr(assembly, "FeederClient", lambda *_: HandFeeder(machine))
            patch.setattr(assembly, "IppPrinter", lambda *_: printer)
            making = assembly.station_worker(parts, StationSettings(STATION, copy, None, copy, ""))
        preparing = assembly.preparation(parts, "worker-1")
        working = False
        try:
            _run_on(making.run_once, preparing.run_once)
        except WorkerGone:
            working = True  # it is started again, and knows nothing
        except Halt as halt:
            result.halt = halt.code
        result.commands += terminal.purposes
    hands.detach()
    _look(parts.database, result)
    _look_at_cards(cards, result)
    result.printed = printer.printed


def _run_on(*workers: Callable[[], object]) -> None:
    for _ in range(MOST_ROUNDS):
        moved = [run_once() for run_once in workers]
        if not any(moved):
            return
    raise AssertionError("the workers never come to an end")


def _look(database: Database, result: Result) -> None:
    with database.reading() as connection:
        jobs = connection.execute(select(job).order_by(job.c.attempt)).all()
        result.jobs = [
            {
                "id": row.id,
                "attempt": row.attempt,
                "state": row.state,
                "reason": row.reason_code,
                "number": row.document_number,
                "stage": row.stage,
            }
            for row in jobs
        ]
        result.pairs = [
            [row.job_id, row.slot, row.state]
            for row in connection.execute(select(certificate).order_by(certificate.c.job_id, certificate.c.slot))
        ]
        for row in connection.execute(select(card_key)):
            result.key_blobs[row.job_id] = result.key_blobs.get(row.job_id, 0) + (row.wrapped is not None)
        result.blanks = {row.chip_serial: [row.state, row.job_id] for row in connection.execute(select(blank))}
        counts = stock.count(connection)
    result.received, result.good, result.spoiled, result.left = (
        counts.received,
        counts.good,
        counts.spoiled,
        counts.left,
    )


def _look_at_cards(cards: Path, result: Result) -> None:
    remembered = cards / MEMORY_FILE
    result.struck = json.loads(remembered.read_text()) if remembered.exists() else {}
    places = {"hopper": "boxes/*/*/", "position": "position/*/", "good": "good/*/", "reject": "reject/*/"}
    for place, names in places.items():
        found = sorted(cards.glob(names))
        result.places[place] = [path.name for path in found]
        for path in found:
            cells = Memory(path).cells
            result.contents[path.name] = sum(name.startswith(("file.", "key.", "pin.", "state.")) for name in cells)


# --- the test's side --------------------------------------------------------------------------------------------------
class FailingLine:
    """A line whose one job waits for its card; trials run in processes of their own."""

    def __init__(self, root: Path, record: Path = CITIZEN) -> None:
        self._processes = get_context("forkserver")
        self._processes.set_forkserver_preload(["tests.chaos.failing_chip"])
        self._state = StateDirectory(root)
        self._state.create()
        self._runs = 0
        ensure_token(self._state)
        directory = self._state.authorities(specimen=False)
        letter = partial(simulated.key_letter, self._state)
        hold_ceremony_apart(self._state, CEREMONIES / "production-demo.toml", directory, letter)
        upgrade(self._state.database_url)
        create_key_store(self._state.key_store_url)
        profile = profile_for("eid-citizen", specimen=False)
        assert profile is not None
        database = Database(self._state.database_url)
        supply(self._state, database, station=1, count=BLANKS, atr=profile.chip.atr)
        database.close()
        self._apart(prepare, root, record)
        with closing(sqlite3.connect(root / "engine.sqlite")) as connection:
            assert connection.execute("SELECT stage FROM job").fetchall() == [("encode",)]

    def run(self, trials: Sequence[Trial]) -> list[Result]:
        """All trials, shared among as many processes as the machine has cores."""
        share = max(1, min(len(trials), os.cpu_count() or 1))
        self._runs += 1
        parts = [(trials[start::share], self._state.root / f"{self._runs}-{start}") for start in range(share)]
        started = [self._start(run_trials, self._state.root, part, results) for part, results in parts]
        for process in started:
            process.join()
            assert process.exitcode == 0
        results = [Result(**told) for _, path in parts for told in json.loads(path.read_text())]
        by_name = {result.name: result for result in results}
        return [by_name[trial.name] for trial in trials]

    def run_one(self, scenario: str = "") -> Result:
        """One trial."""
        return self.run([Trial("one", scenario)])[0]

    def _apart(self, work: Callable[..., None], *arguments: Any) -> None:
        process = self._start(work, *arguments)
        process.join()
        assert process.exitcode == 0

    def _start(self, work: Callable[..., None], *arguments: Any) -> Any:
        process = self._processes.Process(target=work, args=arguments)
        process.start()
        return process

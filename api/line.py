"""The demo line: everything that `perso run` brings up, watches, and ends again."""

import json
import math
import os
import shutil
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from sqlalchemy import func, select

from api import simulated
from api.failure import CommandFailed
from api.progress import SOURCE, Progress, look, received_positions
from api.state_directory import StateDirectory
from api.supply import stock_point, supply, take_in
from api.token import ensure_token, hold_ceremony_apart, token_settings
from personalization.assembly import blank_profile, now
from personalization.centre import stock
from personalization.flow import PHYSICAL, STAGES, ChipSerial, Stage
from personalization.processes import EXIT_HALT, clerk_process, preparing_process, station_process
from personalization.settings import Settings, StationSettings
from personalization.store.database import Database, create_key_store, upgrade
from personalization.store.tables import job_step
from pki.ceremony import masters_taken

LOOK_SECONDS = 0.1
STALLED_SECONDS = 180.0
RESTARTS = 20
BOX_BLANKS = 10
JUDGING_PROGRAMS = ("openssl", "pkcs11-tool")
"""Asked for before anything is made: a judge that is not there must not cost a card."""
CEREMONIES = Path(__file__).resolve().parents[1] / "pki" / "ceremonies"


class ProgramMissing(CommandFailed):
    """A program that the line needs is not installed; the sentence names it."""


class LineStopped(CommandFailed):
    """The line cannot go on; the sentence says what happened and what to do."""


@dataclass(frozen=True, slots=True)
class LineOptions:
    """What the caller of `perso run` asked for."""

    records: Path
    state: StateDirectory
    database_url: str | None
    stations: int
    workers: int
    specimen: bool
    direct: bool
    trace: Path | None = None


@dataclass(frozen=True, slots=True)
class LineResult:
    """What a run leaves behind for its report."""

    database_url: str
    files: dict[int, str]
    not_proven: str | None
    working_seconds: float
    verified_now: int
    limit: str
    trouble: str | None


def prepare(options: LineOptions, say: Callable[[str], None]) -> None:
    """Token, ceremony and tables where they are missing; all of it can be killed and done again."""
    state = options.state
    missing = [name for name in JUDGING_PROGRAMS if shutil.which(name, path=os.defpath) is None]
    if missing:
        raise ProgramMissing(f"not installed: {', '.join(missing)} (apt-get install opensc openssl, or `make setup`)")
    state.bind(specimen=options.specimen)
    ensure_token(state)
    directory = state.authorities(specimen=options.specimen)
    if not masters_taken(directory):  # never held, broken off, or held before there was a key letter
        say("key ceremony: root, issuing CA, CSCA, document signer, card masters")
        plan = CEREMONIES / ("specimen.toml" if options.specimen else "production-demo.toml")
        hold_ceremony_apart(state, plan, directory, partial(simulated.key_letter, state))
    upgrade(options.database_url or state.database_url)
    create_key_store(state.key_store_url)


def run(options: LineOptions, say: Callable[[str], None], show: Callable[[Progress, int], None]) -> LineResult:
    """The main job: bring up the line, make every card there is to make, end the line."""
    database_url = options.database_url or options.state.database_url
    database = Database(database_url)
    try:
        with ExitStack() as stack:
            line = _Line(options, database, database_url, stack)
            say("starting the document system, readers, printers and workers")
            files = line.start()
            if line.not_proven:
                say(f"WITHOUT PC/SC: {line.not_proven}; pcscd, the reader driver and OpenSC are not proven by this run")
            before = look(database).verified
            started, started_at = time.monotonic(), now()
            trouble = None
            try:
                line.watch(files, show)
            except LineStopped as stopped:
                trouble = str(stopped)  # what was made before is reported all the same
            return LineResult(
                database_url=database_url,
                files=files,
                not_proven=line.not_proven,
                working_seconds=time.monotonic() - started,
                verified_now=look(database).verified - before,
                limit=what_limited(database, options.stations, time.monotonic() - started, started_at),
                trouble=trouble,
            )
    finally:
        database.close()


def what_limited(database: Database, stations: int, seconds: float, started_at: datetime) -> str:
    """One sentence on where this run's time went, from the stored milliseconds of each stage it finished."""
    with database.reading() as connection:
        rows = connection.execute(
            select(job_step.c.stage, func.avg(job_step.c.milliseconds), func.sum(job_step.c.milliseconds))
            .where(job_step.c.finished_at >= started_at)
            .group_by(job_step.c.stage)
        ).all()
    mean = {Stage(stage): float(average) for stage, average, _ in rows}
    busy = sum(float(total) for stage, _, total in rows if Stage(stage) in PHYSICAL) / 1000
    share = min(1.0, busy / (seconds * stations)) if seconds else 0.0
    stages = ", ".join(f"{stage} {mean[stage]:.0f} ms" for stage in STAGES if stage in mean)
    limit = "the stations" if share > 0.6 else "starting up and preparing, not the stations"
    return f"limited by {limit} ({share:.0%} busy); mean per card: {stages}"


class _Line:
    """Simulators and workers of one run."""

    def __init__(self, options: LineOptions, database: Database, database_url: str, stack: ExitStack) -> None:
        self._options = options
        self._state = options.state
        self._database = database
        self._database_url = database_url
        self._stack = stack
        self._simulators: list[simulated.Simulator] = []
        self._workers: dict[str, tuple[BaseProcess, Callable[[], BaseProcess]]] = {}
        self._restarts = 0
        self.not_proven: str | None = None
        self._profile = blank_profile(specimen=options.specimen)

    def start(self) -> dict[int, str]:
        """Bring everything up; the folder's files by their position at the source."""
        numbers = self._station_numbers()
        for number in numbers:
            self._state.station(number).mkdir(mode=0o700, parents=True, exist_ok=True)
            take_in(self._state, self._database, number)
        hall = simulated.start_hall(
            self._stack,
            *(f"--station={self._state.station(number)}" for number in numbers),
            direct=self._options.direct,
        )
        self.not_proven = hall.no_pcsc
        source, url = simulated.start_document_system(self._stack, self._options.records, self._state)
        self._simulators += [hall.simulator, source]
        stations = tuple(self._station(number, slot) for number, slot in zip(numbers, hall.slots, strict=True))
        settings = self._settings(url, hall)
        self._stack.callback(self._stop_workers)
        spawn = get_context("spawn").Process
        for station in stations:
            self._start(station.name, partial(spawn, target=station_process, args=(settings, station)))
        for number in range(1, self._options.workers + 1):
            name = f"worker-{number}"
            self._start(name, partial(spawn, target=preparing_process, args=(settings, name)))
        self._start("clerk", partial(spawn, target=clerk_process, args=(settings,)))
        return _files(url)

    def watch(self, files: dict[int, str], show: Callable[[Progress, int], None]) -> None:
        """Until every record was received and no job wants work; restarts what dies. Raises `LineStopped`."""
        last, moved_at = None, time.monotonic()
        missing = set(files)
        while True:
            progress = look(self._database)
            show(progress, len(files))
            if progress != last:
                last, moved_at = progress, time.monotonic()
                missing -= received_positions(self._database, SOURCE)
            if not missing and progress.waiting == 0 and progress.untold == 0 and self._all_clear():
                return
            if time.monotonic() - moved_at > STALLED_SECONDS:
                raise LineStopped(f"nothing moved for {STALLED_SECONDS:.0f} s; see {self._state.log_file}")
            self._tend()
            self._supply(progress)
            time.sleep(LOOK_SECONDS)

    def _all_clear(self) -> bool:
        """No finished card stands in a station any more, which its worker has to eject; a free blank may wait there."""
        lying = [path.name for n in self._station_numbers() for path in (self._state.station(n) / "position").glob("*")]
        with self._database.reading() as connection:
            return all(stock.state_of(connection, ChipSerial(serial)) == stock.RECEIVED for serial in lying)

    def _station_numbers(self) -> list[int]:
        """The stations asked for, and any of an earlier run that still holds cards."""
        wanted = set(range(1, self._options.stations + 1))
        for directory in self._state.simulated.glob("station-*"):
            if any((directory / "position").glob("*")):
                wanted.add(int(directory.name.removeprefix("station-")))
        return sorted(wanted)

    def _station(self, number: int, slot: simulated.ReaderSlot) -> StationSettings:
        printer, uri = simulated.start_printer(self._stack, self._state.simulated / f"printer-{number}")
        self._simulators.append(printer)
        return StationSettings(
            name=stock_point(number),
            feeder_socket=slot.control,
            reader=slot.reader,
            chip_socket=slot.chip_socket,
            printer_uri=uri,
            trace_directory=self._options.trace,
        )

    def _settings(self, url: str, hall: simulated.Hall) -> Settings:
        state = self._state
        return Settings(
            database_url=self._database_url,
            key_store_url=state.key_store_url,
            token=token_settings(state),
            softhsm_conf=state.softhsm_conf,
            authorities=state.authorities(specimen=self._options.specimen),
            lock_directory=state.locks,
            log_file=state.log_file,
            source_name=SOURCE,
            source_url=url,
            specimen=self._options.specimen,
            pcsc_socket=hall.pcsc_socket,
        )

    def _start(self, name: str, make: Callable[[], BaseProcess]) -> None:
        process = make()
        process.start()
        self._workers[name] = (process, make)

    def _tend(self) -> None:
        for simulator in self._simulators:
            if not simulator.alive:
                raise LineStopped(f"{simulator.name} ended; run the same command again, it goes on where it stands")
        for name, (process, make) in list(self._workers.items()):
            if process.exitcode is None:
                continue
            if process.exitcode == EXIT_HALT:
                raise LineStopped(f"{name} halted the line: {self._last_words(name)}")
            self._restarts += 1
            if self._restarts > RESTARTS:
                raise LineStopped(f"workers ended {RESTARTS} times; see {self._state.log_file}")
            self._start(name, make)

    def _last_words(self, name: str) -> str:
        """What a worker wrote before it ended."""
        lines = [line for line in self._state.log_file.read_text().splitlines() if f" {name} ERROR " in line]
        return lines[-1].split(" ERROR ", 1)[1] if lines else f"see {self._state.log_file}"

    def _supply(self, progress: Progress) -> None:
        """Order a box of blanks where the hoppers hold fewer than the jobs that wait for one."""
        numbers = range(1, self._options.stations + 1)
        with self._database.reading() as connection:
            short = progress.waiting - stock.left_at(connection, map(stock_point, numbers))
        if short <= 0:
            return
        each = math.ceil(short / len(numbers))
        boxes = math.ceil(each / BOX_BLANKS) * BOX_BLANKS
        for number in numbers:
            supply(self._state, self._database, station=number, count=boxes, atr=self._profile.chip.atr)

    def _stop_workers(self) -> None:
        for process, _ in self._workers.values():
            process.terminate()
        for process, _ in self._workers.values():
            process.join(20)
            if process.exitcode is None:
                process.kill()
                process.join()


def _files(url: str) -> dict[int, str]:
    """Which file of the folder stands at which position of the simulated source."""
    with urllib.request.urlopen(f"{url}/files", timeout=30) as answer:  # noqa: S310 - our own child on loopback
        listed = json.load(answer)["files"]
    return {entry["position"]: entry["file"] for entry in listed}

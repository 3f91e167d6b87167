"""A whole line whose parts are killed, frozen, restarted and jammed while it works; a supervisor starts them again."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from sqlalchemy import func, select

from api import simulated
from api.line import CEREMONIES
from api.progress import look
from api.state_directory import StateDirectory
from api.supply import stock_point, supply
from api.token import ensure_token, hold_ceremony_apart, token_settings
from card_profiles.profile import profile_for
from personalization.centre import stock
from personalization.errors import StoreUnavailable
from personalization.flow import ChipSerial
from personalization.processes import EXIT_HALT
from personalization.settings import Settings, StationSettings
from personalization.store.database import Database, create_key_store, upgrade
from personalization.store.tables import received_record, withdrawal
from tests.chaos.shaken_worker import shaken_clerk, shaken_preparing, shaken_station
from tests.chaos.twice_answering_source import TwiceAnsweringSource

STATIONS = (1, 2)
PREPARERS = ("worker-1", "worker-2")
ROUND_SECONDS = 150.0
"""Far more than a round needs: a lease of a frozen worker (30 s) may have to run out."""

LOOK_SECONDS = 0.05
HOPPER_BLANKS = 25


class RoundBroken(AssertionError):
    """The line did not get through, or what it left behind is wrong."""


class Restartable(Protocol):
    """A database server."""

    def start(self) -> None: ...

    def stop(self, how: signal.Signals = ...) -> None: ...


class ShakenLine:
    """Two stations, two preparing workers and the clerk, all real processes, on one state directory."""

    def __init__(
        self, root: Path, stack: ExitStack, source: TwiceAnsweringSource, database_url: str | None, *, direct: bool
    ) -> None:
        self.state = StateDirectory(root)
        self.state.create()
        self.state.bind(specimen=False)
        ensure_token(self.state)
        directory = self.state.authorities(specimen=False)
        key_letter = partial(simulated.key_letter, self.state)
        hold_ceremony_apart(self.state, CEREMONIES / "production-demo.toml", directory, key_letter)
        self.database_url = database_url or self.state.database_url
        upgrade(self.database_url)
        create_key_store(self.state.key_store_url)
        self.database = Database(self.database_url)
        stack.callback(self.database.close)
        self._supply_blanks()
        self._scenario = root / "scenario.toml"
        self._scenario.write_text("")
        self._hall = simulated.start_hall(
            stack,
            *(f"--station={self.state.station(number)}" for number in STATIONS),
            f"--scenario={self._scenario}",
            direct=direct,
        )
        printers = [simulated.start_printer(stack, self.state.simulated / f"printer-{n}")[1] for n in STATIONS]
        self._settings = Settings(
            database_url=self.database_url,
            key_store_url=self.state.key_store_url,
            token=token_settings(self.state),
            softhsm_conf=self.state.softhsm_conf,
            authorities=directory,
            lock_directory=self.state.locks,
            log_file=self.state.log_file,
            source_name="padis",
            source_url=source.url,
            specimen=False,
            pcsc_socket=self._hall.pcsc_socket,
        )
        self._source = source
        self._processes: dict[str, BaseProcess] = {}
        self._makers: dict[str, Callable[[], BaseProcess]] = {}
        spawn = get_context("spawn").Process
        for number, slot, uri in zip(STATIONS, self._hall.slots, printers, strict=True):
            station = StationSettings(stock_point(number), slot.control, slot.reader, slot.chip_socket, uri)
            self._makers[station.name] = partial(spawn, target=shaken_station, args=(self._settings, station))
        for name in PREPARERS:
            self._makers[name] = partial(spawn, target=shaken_preparing, args=(self._settings, name))
        self._makers["clerk"] = partial(spawn, target=shaken_clerk, args=(self._settings,))
        stack.callback(self.end)
        for name in self._makers:
            self._start(name)

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of all workers."""
        return tuple(self._makers)

    @property
    def has_pcsc(self) -> bool:
        """Whether the chips are reached through a pcscd."""
        return self._hall.pcsc_socket is not None

    # --- what is done to it ------------------------------------------------------------------------------------------
    def signal(self, name: str, number: int) -> None:
        """Send a worker a signal, if it lives."""
        process = self._processes[name]
        if process.pid is not None and process.exitcode is None:
            os.kill(process.pid, number)

    def kill_pcscd(self) -> None:
        """SIGKILL the hall's pcscd."""
        for pid in _descendants(self._hall.simulator.pid):
            if _program(pid) == "pcscd":
                os.kill(pid, signal.SIGKILL)

    def kill_station_machine(self, number: int) -> None:
        """SIGKILL the simulated machine of a station: its card loses power and stands in position when it is back."""
        wanted = str(self.state.station(number))
        for pid in _descendants(self._hall.simulator.pid):
            line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"simulators.station" in line and wanted.encode() in line:
                os.kill(pid, signal.SIGKILL)

    def jam_printer(self, number: int) -> None:
        """The next card of this station jams in its printer."""
        (self.state.simulated / f"printer-{number}" / "jam").touch()

    def spoil_chips(self, faults: str) -> None:
        """From now on chips fail as this scenario says (docs/simulators.md)."""
        new = self._scenario.with_suffix(".new")
        new.write_text(faults)
        new.rename(self._scenario)

    def next_card(self, number: int) -> int:
        """Which card of this station is loaded next, as scenarios count them."""
        trays = self.state.station(number)
        return 1 + sum(1 for tray in ("good", "reject") for _ in (trays / tray).glob("*"))

    # --- how it goes on ----------------------------------------------------------------------------------------------
    def work(self, acts: list[tuple[float, Callable[[], None]]]) -> None:
        """Until nothing is left to do; each act is done at its second. Raises `RoundBroken`."""
        started = time.monotonic()
        acts = sorted(acts, key=lambda act: act[0])
        while True:
            passed = time.monotonic() - started
            while acts and acts[0][0] <= passed:
                acts.pop(0)[1]()
            self.tend()
            if not acts:
                self._source.trouble = 0  # it has had its say; from here on the line must find its way
            unfinished = self._unfinished()
            if not acts and not unfinished:
                return
            if passed > ROUND_SECONDS:
                raise RoundBroken(f"not done after {ROUND_SECONDS:.0f} s: {unfinished}; {self.log_tail()}")
            time.sleep(LOOK_SECONDS)

    def log_tail(self) -> str:
        """The last lines of the workers' log."""
        return " | ".join(self.state.log_file.read_text().splitlines()[-8:])

    def supply(self) -> None:
        """See that no hopper runs empty in the next round."""
        self._supply_blanks()

    def _supply_blanks(self) -> None:
        profile = profile_for("eid-citizen", specimen=False)
        if profile is None:
            raise RoundBroken("there is no profile of a citizen's card")
        for number in STATIONS:
            with self.database.reading() as connection:
                left = stock.left_at(connection, [stock_point(number)])
            if left < HOPPER_BLANKS:
                supply(self.state, self.database, station=number, count=HOPPER_BLANKS, atr=profile.chip.atr)

    def _unfinished(self) -> str:
        """What is still to be done; nothing when all is."""
        try:
            with self.database.reading() as connection:  # first what has come, then whether all of that is done
                known = connection.execute(
                    select(func.count()).select_from(
                        select(received_record.c.record_id, received_record.c.revision).distinct().subquery()
                    )
                ).scalar_one()
                lying = [
                    path.name
                    for number in STATIONS
                    for path in (self.state.station(number) / "position").glob("*")
                    # A blank may wait there whose job was withdrawn before they met.
                    if stock.state_of(connection, ChipSerial(path.name)) != stock.RECEIVED
                ]
                withdrawn = connection.execute(select(func.count()).select_from(withdrawal)).scalar_one()
            progress = look(self.database)
        except StoreUnavailable:
            return "the database is away"
        missing = len({(record["record_id"], record["revision"]) for record in self._source.records}) - known
        unheard = len(set(self._source.cancelled)) - withdrawn
        if missing or unheard:
            return f"{missing} records and {unheard} withdrawals have not been taken"
        if progress.waiting or progress.untold:
            return str(progress)
        return f"{lying[0]} lies in position" if lying else ""

    def tend(self) -> None:
        """Start again what has ended. Raises `RoundBroken` where the line halted."""
        if not self._hall.simulator.alive:
            raise RoundBroken("the hall ended")
        for name, process in self._processes.items():
            if process.exitcode is None:
                continue
            if process.exitcode == EXIT_HALT:
                raise RoundBroken(f"{name} halted the line: {self.log_tail()}")
            self._start(name)

    def _start(self, name: str) -> None:
        process = self._makers[name]()
        process.start()
        self._processes[name] = process

    def end(self) -> None:
        """Ask all workers to end, and see that they do."""
        for process in self._processes.values():
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, signal.SIGCONT)
            process.terminate()
        for process in self._processes.values():
            process.join(20)
            if process.exitcode is None:
                process.kill()
                process.join()


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""

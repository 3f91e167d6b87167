"""A card station: hopper, chip position and two trays on disk, and the contacts that join the chip to a reader.

    python -m simulators.station --directory DIR --control SOCKET --connect tcp:HOST:PORT|unix:PATH
        [--scenario FILE] [--latency MODEL]
    python -m simulators.station --hold CHIP_DIR --control SOCKET --connect ... [--latency MODEL]

DIR holds boxes/<delivery>/<serial>/ (blanks, taken in sorted order), position/<serial>/, good/<serial>/ and
reject/<serial>/. A card moves by one rename, so it is in exactly one place whenever the process is killed; a card that
is found in position at the start is attached at once. With --hold one chip stays in the reader and is never moved.

Control protocol, JSON objects, one a line, over the UNIX socket: {"op": "state"}, {"op": "load"} and {"op": "eject",
"tray": "good"|"reject"} answer {"ok": true, "hopper": n, "positioned": bool, "good": n, "rejected": n} or {"ok": false,
"error": "hopper-empty"|"jammed"|"bad-request"}. Prints {"control": SOCKET} when it listens.

--scenario makes chips fail and --latency makes them as slow as real ones: docs/simulators.md. Exit status 2: wrong
arguments, or a file that is no scenario or no latency model (the sentence on stderr says why).
"""

import argparse
import contextlib
import fcntl
import json
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from simulators.chip.card import Chip
from simulators.chip.latency import LatencyError, LatencyModel, PacedCard, load_latency
from simulators.chip.wire import Card
from simulators.contacts import Contacts, StationFaultError, WiredContacts
from simulators.faulty_chip import FaultyChip
from simulators.lifetime import end_with_parent
from simulators.scenario import MEMORY_FILE, Scenario, ScenarioError

ATTACH_SECONDS = 5.0
"""How long a load waits for the reader to take the connection before the card counts as jammed."""

LOCK_SECONDS = 3.0
LONGEST_LINE_BYTES = 4096
TRAYS = {"good": "good", "reject": "reject"}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many cards are where."""

    hopper: int
    positioned: bool
    good: int
    rejected: int


class Machine(Protocol):
    """What the control protocol moves."""

    def counts(self) -> Counts:
        """Where the cards are now."""

    def load(self) -> None:
        """Take the next blank into position and attach it. Raises `StationFaultError`."""

    def eject(self, tray: str) -> None:
        """Detach the card and put it into a tray. Raises `StationFaultError`."""


class CardStation:
    """The machine: one card at a time goes hopper -> position -> tray."""

    def __init__(
        self,
        directory: Path,
        contacts: Contacts,
        *,
        scenario: Scenario | None = None,
        latency: LatencyModel | None = None,
    ) -> None:
        self._directory = directory
        self._contacts = contacts
        self._scenario = scenario
        self._latency = latency
        self._moving = threading.Lock()
        for name in ("boxes", "position", *TRAYS.values()):
            (directory / name).mkdir(parents=True, exist_ok=True)
        if self._positioned() is not None:
            with contextlib.suppress(StationFaultError):  # a broken chip: the next load says so
                contacts.attach(self._open, self._exchange)

    def counts(self) -> Counts:
        """Where the cards are now, as the directories tell."""
        with self._moving:
            return Counts(
                hopper=sum(1 for _ in self._blanks()),
                positioned=self._positioned() is not None,
                good=self._lying("good"),
                rejected=self._lying("reject"),
            )

    def load(self) -> None:
        """Take the first blank of the first box into position; a card that is there already stays."""
        with self._moving:
            if self._positioned() is None:
                blank = next(self._blanks(), None)
                if blank is None:
                    raise StationFaultError("hopper-empty")
                self._move(blank, "position")
        self._contacts.attach(self._open, self._exchange)
        self._contacts.wait(ATTACH_SECONDS)

    def eject(self, tray: str) -> None:
        """Detach the card, then rename it into the tray; nothing happens when none is in position."""
        self._contacts.detach()
        with self._moving:
            card = self._positioned()
            if card is not None:
                self._move(card, TRAYS[tray])

    def _exchange(self) -> Card:
        """A fault: the card in position and the first blank change places; with an empty hopper it stays."""
        with self._moving:
            card, blank = self._positioned(), next(self._blanks(), None)
            if card is not None and blank is not None:
                card.rename(blank.parent / card.name)
                self._move(blank, "position")
        return self._open()

    def _open(self) -> Card:
        card = self._positioned()
        if card is None:
            raise StationFaultError("jammed")
        opened: Card = _paced(Chip(card), self._latency)
        if self._scenario is None:
            return opened
        # The n-th card of this station: the others lie in its trays.
        return FaultyChip(opened, self._lying("good") + self._lying("reject") + 1, self._scenario)

    def _positioned(self) -> Path | None:
        return next(_cards(self._directory / "position"), None)

    def _blanks(self) -> Iterator[Path]:
        for box in _cards(self._directory / "boxes"):
            yield from _cards(box)

    def _lying(self, tray: str) -> int:
        return sum(1 for _ in _cards(self._directory / TRAYS[tray]))

    def _move(self, card: Path, place: str) -> Path:
        target = self._directory / place / card.name
        try:
            return card.rename(target)
        except OSError:  # a card of the same serial lies there
            raise StationFaultError("jammed") from None


def _paced(card: Card, latency: LatencyModel | None) -> Card:
    return card if latency is None else PacedCard(card, latency)


def _cards(directory: Path) -> Iterator[Path]:
    """The directories in a directory, sorted; a name with a leading dot is still being staged."""
    return (path for path in sorted(directory.iterdir()) if path.is_dir() and not path.name.startswith("."))


class HeldCard:
    """A reader whose one card is never moved."""

    def __init__(self, chip_directory: Path, contacts: Contacts, *, latency: LatencyModel | None = None) -> None:
        self._contacts = contacts

        def held() -> Card:
            return _paced(Chip(chip_directory), latency)

        contacts.attach(held, held)

    def counts(self) -> Counts:
        """One card in position, always."""
        return Counts(hopper=0, positioned=True, good=0, rejected=0)

    def load(self) -> None:
        """Only waits until the card is attached."""
        self._contacts.wait(ATTACH_SECONDS)

    def eject(self, tray: str) -> None:  # noqa: ARG002 (there is no tray)
        """Refused: the card belongs to somebody else."""
        raise StationFaultError("bad-request")


class _Control(socketserver.StreamRequestHandler):
    """One client of the control protocol; clients wait for one another at each request."""

    server: "_ControlServer"

    def handle(self) -> None:
        while line := self.rfile.readline(LONGEST_LINE_BYTES):
            self.wfile.write(json.dumps(self.server.answer(line)).encode() + b"\n")


class _ControlServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 16

    def __init__(self, path: Path, machine: Machine) -> None:
        path.unlink(missing_ok=True)  # a killed station leaves its socket
        super().__init__(str(path), _Control)
        self._machine = machine
        self._turn = threading.Lock()

    def answer(self, line: bytes) -> Mapping[str, object]:
        """The answer to one line of the control protocol."""
        with self._turn:
            try:
                _operation(self._machine, line)()
                return {"ok": True, **asdict(self._machine.counts())}
            except StationFaultError as fault:
                return {"ok": False, "error": str(fault)}

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away in the middle is no news."""


def _operation(machine: Machine, line: bytes) -> Callable[[], object]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        request = None
    match request:
        case {"op": "state"}:
            return machine.counts
        case {"op": "load"}:
            return machine.load
        case {"op": "eject", "tray": ("good" | "reject") as tray}:
            return lambda: machine.eject(tray)
        case _:
            raise StationFaultError("bad-request")


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Hold the station for this process; a killed predecessor may take a moment to vanish. Raises SystemExit."""
    directory.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_SECONDS
    with (directory / ".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SystemExit(f"another process runs the station {directory}") from None
                time.sleep(0.02)
        yield


def main() -> None:
    """Start a station and serve its control socket."""
    parser = argparse.ArgumentParser(prog="python -m simulators.station", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--directory", type=Path, metavar="DIR")
    place.add_argument("--hold", type=Path, metavar="CHIP_DIR")
    parser.add_argument("--control", type=Path, required=True, metavar="SOCKET")
    parser.add_argument("--connect", required=True, metavar="ADDRESS")
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="how the chips of this station fail")
    parser.add_argument("--latency", type=Path, metavar="MODEL", help="how long the chips take")
    options = parser.parse_args()
    if options.hold and options.scenario:
        parser.error("a held card has no scenario: faults are for cards that a station loads")
    contacts = WiredContacts(options.connect)
    try:
        latency = load_latency(options.latency) if options.latency else None
        if options.hold:
            _run(options.control, HeldCard(options.hold, contacts, latency=latency))
            return
        with _only_one(options.directory):
            scenario = Scenario(options.scenario, options.directory / MEMORY_FILE) if options.scenario else None
            _run(options.control, CardStation(options.directory, contacts, scenario=scenario, latency=latency))
    except (ScenarioError, LatencyError) as error:
        parser.error(str(error))


def _run(control: Path, machine: Machine) -> None:
    server = _ControlServer(control, machine)
    end_with_parent(server.shutdown)
    sys.stdout.write(json.dumps({"control": str(control)}) + "\n")
    sys.stdout.flush()
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()

"""A card station: hopper, chip position and two trays on disk, and the contacts that join the chip to a reader.

    python -m simulators.station --directory DIR --control SOCKET --connect tcp:HOST:PORT|unix:PATH
    python -m simulators.station --hold CHIP_DIR --control SOCKET --connect ...

DIR holds boxes/<delivery>/<serial>/ (blanks, taken in sorted order), position/<serial>/, good/<serial>/ and
reject/<serial>/. A card moves by one rename, so it is in exactly one place whenever the process is killed; a card that
is found in position at the start is attached at once. With --hold one chip stays in the reader and is never moved.

Control protocol, JSON objects, one a line, over the UNIX socket: {"op": "state"}, {"op": "load"} and {"op": "eject",
"tray": "good"|"reject"} answer {"ok": true, "hopper": n, "positioned": bool, "good": n, "rejected": n} or {"ok": false,
"error": "hopper-empty"|"jammed"|"bad-request"}. Prints {"control": SOCKET} when it listens.
"""

import argparse
import contextlib
import fcntl
import json
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from simulators.chip.card import Chip
from simulators.chip.errors import ChipError
from simulators.chip.wire import CardWire
from simulators.lifetime import end_with_parent

ATTACH_SECONDS = 5.0
"""How long a load waits for the reader to take the connection before the card counts as jammed."""

RECONNECT_SECONDS = 0.01
LOCK_SECONDS = 3.0
LONGEST_LINE_BYTES = 4096
TRAYS = {"good": "good", "reject": "reject"}


class StationFaultError(Exception):
    """A move that failed; its text is the error word of the control protocol."""


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


class _Wire(CardWire):
    """A wire that tells when the reader took the connection."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.connected = threading.Event()

    def _connect(self, stop: threading.Event, connect_seconds: float) -> socket.socket | None:
        connection = super()._connect(stop, connect_seconds)
        if connection is not None:
            self.connected.set()
        return connection


class Contacts:
    """Joins one chip at a time to the reader; the wire runs in a thread of its own."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self._wire = _Wire(address)
        self._thread: threading.Thread | None = None

    def attach(self, chip_directory: Path) -> None:
        """Join this chip if none is joined; returns at once. Raises `StationFaultError` for a chip that is broken."""
        if self._thread is not None:
            return
        try:
            chip = Chip(chip_directory)
        except ChipError:
            raise StationFaultError("jammed") from None
        self._stop, self._wire = threading.Event(), _Wire(self._address)
        arguments = (self._wire, chip, self._stop)
        self._thread = threading.Thread(target=_keep_joined, args=arguments, name="contacts", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait until the reader took the connection. Raises `StationFaultError`."""
        if not self._wire.connected.wait(seconds):
            raise StationFaultError("jammed")

    def detach(self) -> None:
        """Part the chip from the reader; afterwards nobody touches its directory. Raises `StationFaultError`."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(ATTACH_SECONDS)
            if self._thread.is_alive():
                raise StationFaultError("jammed")
        self._thread = None


def _keep_joined(wire: _Wire, chip: Chip, stop: threading.Event) -> None:
    """Serve the chip, and join it again whenever the reader hangs up: the card still lies in the slot."""
    while not stop.is_set():
        with contextlib.suppress(ChipError):  # no reader listens yet, or somebody else has the chip powered
            wire.serve(chip, stop)
        stop.wait(RECONNECT_SECONDS)


class CardStation:
    """The machine: one card at a time goes hopper -> position -> tray."""

    def __init__(self, directory: Path, contacts: Contacts) -> None:
        self._directory = directory
        self._contacts = contacts
        for name in ("boxes", "position", *TRAYS.values()):
            (directory / name).mkdir(parents=True, exist_ok=True)
        if (card := self._positioned()) is not None:
            with contextlib.suppress(StationFaultError):  # a broken chip: the next load says so
                contacts.attach(card)

    def counts(self) -> Counts:
        """Where the cards are now, as the directories tell."""
        return Counts(
            hopper=sum(1 for _ in self._blanks()),
            positioned=self._positioned() is not None,
            good=sum(1 for _ in _cards(self._directory / "good")),
            rejected=sum(1 for _ in _cards(self._directory / "reject")),
        )

    def load(self) -> None:
        """Take the first blank of the first box into position; a card that is there already stays."""
        card = self._positioned()
        if card is None:
            blank = next(self._blanks(), None)
            if blank is None:
                raise StationFaultError("hopper-empty")
            card = self._move(blank, "position")
        self._contacts.attach(card)
        self._contacts.wait(ATTACH_SECONDS)

    def eject(self, tray: str) -> None:
        """Detach the card, then rename it into the tray; nothing happens when none is in position."""
        card = self._positioned()
        if card is not None:
            self._contacts.detach()
            self._move(card, TRAYS[tray])

    def _positioned(self) -> Path | None:
        return next(_cards(self._directory / "position"), None)

    def _blanks(self) -> Iterator[Path]:
        for box in _cards(self._directory / "boxes"):
            yield from _cards(box)

    def _move(self, card: Path, place: str) -> Path:
        target = self._directory / place / card.name
        try:
            return card.rename(target)
        except OSError:  # a card of the same serial lies there
            raise StationFaultError("jammed") from None


def _cards(directory: Path) -> Iterator[Path]:
    """The directories in a directory, sorted; a name with a leading dot is still being staged."""
    return (path for path in sorted(directory.iterdir()) if path.is_dir() and not path.name.startswith("."))


class HeldCard:
    """A reader whose one card is never moved."""

    def __init__(self, chip_directory: Path, contacts: Contacts) -> None:
        self._contacts = contacts
        contacts.attach(chip_directory)

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
    options = parser.parse_args()
    contacts = Contacts(options.connect)
    if options.hold:
        _run(options.control, HeldCard(options.hold, contacts))
    else:
        with _only_one(options.directory):
            _run(options.control, CardStation(options.directory, contacts))


def _run(control: Path, machine: Machine) -> None:
    server = _ControlServer(control, machine)
    end_with_parent(server.shutdown)
    sys.stdout.write(json.dumps({"control": str(control)}) + "\n")
    sys.stdout.flush()
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()

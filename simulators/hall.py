"""The hall of a personalization centre: card stations, and the PC/SC readers in which they put their chips.

    python -m simulators.hall --directory RUN --station DIR [--station DIR ...] [--hold CHIP_DIR] [--direct]
        [--scenario FILE] [--latency MODEL]

A pcscd of our own runs in fresh namespaces (mount, network, PID), beside any other pcscd and unseen by it, with one
virtual reader per station; see `simulators.reader_room`. --hold adds a reader in which one chip lies and is never moved
(for inspection). With --direct there is no PC/SC: each station connects its chip to the UNIX socket RUN/<n>.chip, where
the centre listens. --scenario tells the chips of all stations to fail, --latency makes all chips as slow as real ones
(docs/simulators.md).

When all readers are there it prints one line of JSON:
    {"socket": PCSCLITE_CSOCK_NAME or null,
     "stations": [{"directory", "reader": name or null, "control": socket, "chip": "unix:PATH" or null}]}
(held chips come after the stations). It ends everything and removes RUN when its stdin ends, its parent dies, or on
SIGTERM. Exit status 2: wrong arguments; 3: PC/SC cannot be had here (why is on stderr; --direct still works); 4: pcscd
died on the way.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from simulators.chip.latency import LatencyError, load_latency
from simulators.lifetime import end_with_parent
from simulators.pcsc_readers import PcscReaders, ReadersMissingError
from simulators.reader_room import Plan, Reader, lay_out
from simulators.scenario import ScenarioError, read_scenario

FIRST_PORT = 0x8CA0
MOST_READERS = 8  # pcsc-lite has 16 slots and vpcd offers two for each reader
LONGEST_SOCKET_PATH = 107  # unix(7): sun_path without its end
START_SECONDS = 8.0
END_SECONDS = 3.0
NO_PCSC = 3
PROGRAMS = ("pcscd", "unshare", "setpriv", "mount", "sh")
FRESH_NAMESPACES = ("--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--net")


class NoPcscError(Exception):
    """pcscd, vpcd or the namespaces cannot be had on this machine."""


@dataclass(frozen=True, slots=True)
class Place:
    """One reader of the hall and the directory of its station, or of the one chip that it holds."""

    number: int
    directory: Path
    held: bool
    run: Path
    direct: bool
    scenario: Path | None = None
    latency: Path | None = None

    @property
    def reader(self) -> Reader:
        """Its virtual reader; each takes two ports, one per slot."""
        kind = "Inspection reader" if self.held else "Card station"
        return Reader(f"{kind} {self.number}", FIRST_PORT + 2 * self.number)

    @property
    def control(self) -> str:
        """Path of the control socket."""
        return str(self.run / f"{self.number}.control")

    @property
    def chip(self) -> str | None:
        """Where the chip connects to in direct mode."""
        return f"unix:{self.run / f'{self.number}.chip'}" if self.direct else None

    @property
    def command(self) -> tuple[str, ...]:
        """The command line of the station process."""
        what = "--hold" if self.held else "--directory"
        connect = self.chip or f"tcp:127.0.0.1:{self.reader.port}"
        module = (sys.executable, "-m", "simulators.station")
        command = [*module, what, str(self.directory), "--control", self.control, "--connect", connect]
        if self.scenario is not None and not self.held:
            command += ["--scenario", str(self.scenario)]
        if self.latency is not None:
            command += ["--latency", str(self.latency)]
        return tuple(command)

    def told(self) -> dict[str, str | None]:
        """This place in the line that the hall prints."""
        return {
            "directory": str(self.directory),
            "reader": None if self.direct else self.reader.name,
            "control": self.control,
            "chip": self.chip,
        }


class Hall:
    """Starts the room and ends it; `end` may come at any moment, from another thread."""

    def __init__(self, run: Path, places: tuple[Place, ...]) -> None:
        self._run = run
        self._places = places
        self._room: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()

    def open(self, *, direct: bool) -> Path | None:
        """Start everything and wait until it is there; the socket of pcscd. Raises `NoPcscError`."""
        socket = None if direct else self._lay_out_pcsc()
        plan = Plan(tuple(place.command for place in self._places), None if direct else str(self._run / "pcsc"))
        command = [sys.executable, "-m", "simulators.reader_room", plan.to_json()]
        if not direct:
            as_root = () if os.geteuid() == 0 else ("--map-root-user",)
            command = ["setpriv", "--pdeathsig", "KILL", "unshare", *as_root, *FRESH_NAMESPACES, *command]
        self._room = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), bufsize=0
        )
        if self._ending.is_set():
            self.end()
        self._wait_until_ready(self._room)
        if socket is not None:
            self._wait_for_readers(socket)
        return socket

    def wait(self) -> int:
        """Wait for the end; the hall's exit status."""
        status = 0 if self._room is None else self._room.wait()
        return 0 if self._ending.is_set() else status

    def end(self) -> None:
        """End everything that was started."""
        self._ending.set()
        room = self._room
        if room is None or room.stdin is None:
            return
        room.stdin.close()
        try:
            room.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            room.kill()

    def _lay_out_pcsc(self) -> Path:
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            raise NoPcscError(f"not installed: {', '.join(missing)}")
        try:
            return lay_out(self._run / "pcsc", tuple(place.reader for place in self._places))
        except FileNotFoundError as error:
            raise NoPcscError(str(error)) from error

    def _wait_until_ready(self, room: subprocess.Popen[bytes]) -> None:
        late = threading.Timer(START_SECONDS, room.kill)
        late.daemon = True
        late.start()
        ready = room.stdout.readline() if room.stdout is not None else b""
        late.cancel()
        if not ready:
            raise NoPcscError(f"the readers' namespaces did not start{self._last_words()}")

    def _wait_for_readers(self, socket: Path) -> None:
        names = [place.reader.name for place in self._places]
        held = [place.reader.name for place in self._places if place.held]
        try:
            PcscReaders(socket).wait_for(names, with_card=held, seconds=START_SECONDS)
        except ReadersMissingError as error:
            raise NoPcscError(f"{error}{self._last_words()}") from error

    def _last_words(self) -> str:
        try:
            lines = (self._run / "pcsc" / "pcscd.log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return f"; pcscd says: {lines[-1]}" if lines else ""


def _environment() -> dict[str, str]:
    """Ours, with the place this package was loaded from first, so that the children run the same code."""
    root = str(Path(__file__).parent.parent)
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}


def _places(parser: argparse.ArgumentParser, options: argparse.Namespace) -> tuple[Place, ...]:
    run = options.directory.absolute()
    wanted = [(path, False) for path in options.station] + [(path, True) for path in options.hold]
    if not wanted:
        parser.error("a hall has at least one --station or --hold")
    if len(wanted) > MOST_READERS and not options.direct:
        parser.error(f"pcscd takes at most {MOST_READERS} of these readers")
    if len(str(run / "pcsc/pcscd/pcscd.comm")) > LONGEST_SOCKET_PATH:
        parser.error("the path of RUN is too long for sockets")
    if run.exists() and any(run.iterdir()):
        parser.error("RUN must be a new directory: it is removed at the end")
    scenario, latency = (None if path is None else path.absolute() for path in (options.scenario, options.latency))
    try:  # wrong files are told of here, before anything starts
        if scenario is not None:
            read_scenario(scenario)
        if latency is not None:
            load_latency(latency)
    except (ScenarioError, LatencyError) as error:
        parser.error(str(error))
    return tuple(
        Place(number, path.absolute(), held, run, options.direct, scenario, latency)
        for number, (path, held) in enumerate(wanted)
    )


def main() -> int:
    """Open the hall, say what is there, and stay until the end."""
    parser = argparse.ArgumentParser(prog="python -m simulators.hall", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--directory", type=Path, required=True, metavar="RUN")
    parser.add_argument("--station", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--hold", type=Path, action="append", default=[], metavar="CHIP_DIR")
    parser.add_argument("--direct", action="store_true", help="no PC/SC: chips connect to UNIX sockets")
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="how the chips of the stations fail")
    parser.add_argument("--latency", type=Path, metavar="MODEL", help="how long the chips take")
    options = parser.parse_args()
    places = _places(parser, options)
    run = options.directory.absolute()
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    hall = Hall(run, places)
    end_with_parent(hall.end)
    try:
        socket = hall.open(direct=options.direct)
        told = {"socket": None if socket is None else str(socket), "stations": [place.told() for place in places]}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        return hall.wait()
    except NoPcscError as error:
        sys.stderr.write(f"{error}\n")
        return NO_PCSC
    finally:
        hall.end()
        hall.wait()
        shutil.rmtree(run, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

"""The other side of the wires on the demo line: simulators as child processes, started by their command lines.

The product never imports them; what they say on their first line of output is all that is known of them.
"""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.failure import CommandFailed
from api.state_directory import StateDirectory

READY_SECONDS = 30.0
MAKER_SECONDS = 120.0
NO_PCSC_EXIT = 3


class SimulatorFailed(CommandFailed):
    """A simulator did not start; the sentence says which and why."""


class NoPcsc(SimulatorFailed):
    """pcscd, vpcd or network namespaces cannot be had here."""


class Simulator:
    """One simulator process; it ends when its standard input is closed."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.name = module
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by stop(); a pipe nobody reads would fill
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            # pcscd lies in /usr/sbin, which is not on the PATH of an ordinary Debian user.
            env={**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"},
        )

    def ready(self) -> dict[str, Any]:
        """What it says when it is ready, within `READY_SECONDS`. Raises `SimulatorFailed`, `NoPcsc`."""
        deadline = time.monotonic() + READY_SECONDS
        line = self._first_line(deadline)
        if not line.endswith(b"\n"):
            try:
                self._process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise SimulatorFailed(f"{self.name}: it was not ready within {READY_SECONDS:.0f} s") from None
            self._said.seek(0)
            said = self._said.read().strip().splitlines()[-1:] or ["it said nothing"]
            failure = NoPcsc if self._process.returncode == NO_PCSC_EXIT else SimulatorFailed
            raise failure(f"{self.name}: {said[0]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _first_line(self, deadline: float) -> bytes:
        """The line, or what there is of it when the output ends or the time is up."""
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        descriptor, said = self._process.stdout.fileno(), b""
        while not said.endswith(b"\n"):
            readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(descriptor, 65536) if readable else b""
            if not more:
                break
            said += more
        return said

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Close its input and wait; kill it where it does not go."""
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()


@dataclass(frozen=True, slots=True)
class ReaderSlot:
    """One reader of the hall: PC/SC name or direct socket, and the feeder's control socket."""

    reader: str | None
    chip_socket: Path | None
    control: Path


@dataclass(frozen=True, slots=True)
class Hall:
    """Readers and feeders that run; `no_pcsc` says why PC/SC could not be had."""

    simulator: Simulator
    directory: Path
    pcsc_socket: Path | None
    slots: tuple[ReaderSlot, ...]
    no_pcsc: str | None


def start_hall(stack: ExitStack, *arguments: str, direct: bool = False) -> Hall:
    """Start readers (own pcscd where it can be had, else directly reached chips); stopped with the stack."""
    reason = None
    if not direct:
        try:
            return _hall(stack, arguments, None)
        except NoPcsc as error:
            reason = str(error)
    return _hall(stack, (*arguments, "--direct"), reason or "the chips were reached directly, as asked")


def _hall(stack: ExitStack, arguments: tuple[str, ...], no_pcsc: str | None) -> Hall:
    # Short on purpose: the path of a Unix socket has at most 107 bytes.
    run = Path(tempfile.mkdtemp(prefix="perso-", dir="/tmp"))
    stack.callback(shutil.rmtree, run, ignore_errors=True)  # the hall removes it itself, unless it was killed
    simulator = Simulator("simulators.hall", "--directory", str(run), *arguments)
    stack.callback(simulator.stop)
    told = simulator.ready()
    slots = tuple(
        ReaderSlot(
            reader=slot["reader"],
            chip_socket=Path(slot["chip"].removeprefix("unix:")) if slot["chip"] else None,
            control=Path(slot["control"]),
        )
        for slot in told["stations"]
    )
    return Hall(simulator, run, Path(told["socket"]) if told["socket"] else None, slots, no_pcsc)


def start_printer(stack: ExitStack, directory: Path) -> tuple[Simulator, str]:
    """Start a card printer; its IPP URI."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    simulator = Simulator("simulators.printer", "--directory", str(directory))
    stack.callback(simulator.stop)
    return simulator, simulator.ready()["uri"]


def start_document_system(stack: ExitStack, records: Path, state: StateDirectory) -> tuple[Simulator, str]:
    """Start the document information system on a folder of records; its URL."""
    directory = state.simulated / "document-system"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    simulator = Simulator("simulators.document_system", "--records", str(records), "--directory", str(directory))
    stack.callback(simulator.stop)
    return simulator, simulator.ready()["url"]


def maker(*arguments: str, given: bytes | None = None) -> Any:
    """Ask the chip maker (`make`, `notes`, `key-letter`); its JSON answer. Raises `SimulatorFailed`."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "simulators.chip", *arguments],
            input=given, capture_output=True, check=False, timeout=MAKER_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SimulatorFailed(f"simulators.chip {arguments[0]}: it did not end") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise SimulatorFailed(f"simulators.chip {arguments[0]}: {said[0]}")
    return json.loads(done.stdout)


def key_letter(state: StateDirectory, exchange_key: bytes) -> bytes:
    """The chip maker's answer to the centre's exchange key."""
    public = state.simulated / "exchange-key.der"
    public.write_bytes(exchange_key)
    letter = maker("key-letter", "--maker-keys", str(maker_keys(state)), "--public-key", str(public))
    return json.dumps(letter).encode()


def maker_keys(state: StateDirectory) -> Path:
    """Where the simulated chip maker keeps its masters."""
    return state.simulated / "maker-keys.json"


def make_blanks(state: StateDirectory, *, station: int, delivery: str, count: int, atr: bytes) -> None:
    """Have the maker bring a box of blanks, with its delivery note, into a station's vault."""
    directory = state.vault(station)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    maker(
        "make", "--station", str(directory), "--delivery", delivery, "--count", str(count),
        "--lot", "LOT-2026-0001", "--maker-keys", str(maker_keys(state)), "--atr", atr.hex(),
    )  # fmt: skip


def vault_notes(state: StateDirectory, station: int) -> list[dict[str, Any]]:
    """Notes of the boxes that stand in a station's vault, not yet in its hopper."""
    if not state.vault(station).exists():
        return []
    notes: list[dict[str, Any]] = maker("notes", "--station", str(state.vault(station)))
    return notes


def fill_hopper(state: StateDirectory, station: int, delivery: str) -> None:
    """Put a box from the vault into the hopper."""
    vault, directory = state.vault(station), state.station(station)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    maker("hand-over", "--vault", str(vault), "--delivery", delivery, "--station", str(directory))

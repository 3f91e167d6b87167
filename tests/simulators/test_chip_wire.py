"""The wire to a virtual reader, over both kinds of socket."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.chip.card import Chip
from simulators.chip.errors import WireUnreachable
from simulators.chip.wire import CardWire
from tests.simulators import chip_host as host

POWER_OFF, POWER_ON, RESET, GET_ATR = b"\x00", b"\x01", b"\x02", b"\x04"


class Reader:
    """vpcd's side: listens, sends length and body apart as vpcd does."""

    def __init__(self, kind: str, directory: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
        self._listener.bind(str(directory / "reader") if kind == "unix" else ("127.0.0.1", 0))
        self._listener.listen()
        self._listener.settimeout(5)
        name = self._listener.getsockname()
        self.address = f"unix:{name}" if kind == "unix" else f"tcp:127.0.0.1:{name[1]}"
        self.card: socket.socket | None = None

    def accept(self) -> None:
        self.card, _ = self._listener.accept()
        self.card.settimeout(5)

    def tell(self, message: bytes) -> None:
        assert self.card is not None
        self.card.sendall(len(message).to_bytes(2))
        self.card.sendall(message)

    def ask(self, message: bytes) -> bytes:
        self.tell(message)
        assert self.card is not None
        with self.card.makefile("rb") as stream:
            return stream.read(int.from_bytes(stream.read(2)))

    def close(self) -> None:
        self._listener.close()
        if self.card is not None:
            self.card.close()


@pytest.fixture(params=["unix", "tcp"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(request.param, tmp_path)
    yield reader
    reader.close()


@pytest.fixture
def chip(tmp_path: Path) -> Chip:
    chip = host.blank(tmp_path / "chip")
    chip.power_off()
    return chip


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def serving(reader: Reader, chip: Chip, stop: threading.Event) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=CardWire(reader.address).serve, args=(chip, stop))
    thread.start()
    reader.accept()
    yield thread
    stop.set()
    thread.join(5)


def test_power_reset_atr_and_commands(reader: Reader, chip: Chip, serving: threading.Thread) -> None:
    assert reader.ask(GET_ATR) == chip.atr
    assert reader.ask(b"\x80\xca\x9f\x7f\x00") == b"\x69\x85"  # no power yet
    reader.tell(POWER_ON)
    assert reader.ask(b"\x80\xca\x9f\x7f\x00")[:3] == b"\x9f\x7f\x2a"
    assert reader.ask(bytes.fromhex("00A4040C07A0000002471001")) == b"\x90\x00"
    reader.tell(RESET)
    assert reader.ask(b"\x80\xca\x9f\x7f\x00")[:3] == b"\x9f\x7f\x2a"
    reader.tell(POWER_OFF)
    assert reader.ask(GET_ATR) == chip.atr
    assert not chip.powered


def test_a_command_costs_no_delayed_acknowledgement(reader: Reader, chip: Chip, serving: threading.Thread) -> None:
    reader.tell(POWER_ON)
    started = time.monotonic()
    for _ in range(50):
        reader.ask(b"\x80\xca\x9f\x7f\x00")
    assert time.monotonic() - started < 0.5  # 50 delayed acknowledgements are 2 s


def test_the_card_is_pulled_within_50_milliseconds(
    reader: Reader, chip: Chip, stop: threading.Event, serving: threading.Thread
) -> None:
    reader.tell(POWER_ON)
    reader.ask(GET_ATR)
    started = time.monotonic()
    stop.set()
    serving.join(5)
    assert time.monotonic() - started < 0.1  # 50 ms, and as much for a busy machine
    assert not chip.powered


def test_the_card_has_no_power_once_the_reader_hung_up(reader: Reader, chip: Chip, serving: threading.Thread) -> None:
    reader.tell(POWER_ON)
    reader.ask(GET_ATR)
    reader.close()
    serving.join(5)
    assert not serving.is_alive()
    assert not chip.powered


def test_a_reader_that_is_not_there(chip: Chip, tmp_path: Path, stop: threading.Event) -> None:
    with pytest.raises(WireUnreachable):
        CardWire(f"unix:{tmp_path / 'nobody'}").serve(chip, stop, connect_seconds=0.05)
    for address in ("tcp:localhost", "unix:", "serial:/dev/ttyS0", "tcp:h:x"):
        with pytest.raises(ValueError, match="address"):
            CardWire(address)


def test_the_program_ends_with_its_standard_input(reader: Reader, chip: Chip, tmp_path: Path) -> None:
    card = ["--card", str(tmp_path / "chip"), "--connect", reader.address]
    command = [sys.executable, "-m", "simulators.chip", "serve", *card]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    reader.accept()
    assert reader.ask(GET_ATR) == chip.atr
    process.communicate(timeout=5)
    assert process.returncode == 0

"""A station moves one card at a time and never loses one."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

import simulators.station
from simulators.chip.maker import DEFAULT_ATR, make_chip
from simulators.chip.personalization import Function
from simulators.contacts import StationFaultError, WiredContacts
from simulators.station import CardStation
from tests.simulators.started import PATIENCE_SECONDS, ask, move, processes_naming, started, wait_until

SERIALS = ("534D6501B7C200000001", "534D6501B7C200000002")
CPLC = bytes.fromhex("80CA9F7F00")


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="perso-") as name:
        yield Path(name)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A station with two blanks in two boxes."""
    masters = {function: bytes((function,)) * 32 for function in Function}
    for box, serial in zip("AB", SERIALS, strict=True):
        chip = tmp_path / "station" / "boxes" / box / serial
        make_chip(
            chip,
            serial=bytes.fromhex(serial),
            lot="LOT-2026-0001",
            atr=DEFAULT_ATR,
            masters=masters,
            today=date(2026, 1, 15),
        )
    return tmp_path / "station"


class SlotReader:
    """The reader's side of the vpcd wire: one slot at a UNIX socket."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(PATIENCE_SECONDS)

    def close(self) -> None:
        self._listener.close()

    @contextlib.contextmanager
    def card(self) -> Iterator["SlotCard"]:
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE_SECONDS)
        with connection:
            yield SlotCard(connection)


class SlotCard:
    """The card in the slot."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def atr(self) -> bytes:
        return self.exchange(b"\x04")

    def serial(self) -> str:
        """The chip serial from CPLC: fabricator, type, batch, serial number (data sheet §1)."""
        self._send(b"\x01")
        cplc = self.exchange(CPLC)[3:]
        return (cplc[0:4] + cplc[16:18] + cplc[12:16]).hex().upper()

    def is_gone(self) -> bool:
        """The station closed the connection."""
        return self._connection.recv(1) == b""

    def exchange(self, message: bytes) -> bytes:
        self._send(message)
        return self._exactly(int.from_bytes(self._exactly(2)))

    def _send(self, message: bytes) -> None:
        self._connection.sendall(len(message).to_bytes(2) + message)

    def _exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            chunk = self._connection.recv(size - len(received))
            assert chunk, "the card is gone"
            received += chunk
        return received


@pytest.fixture
def reader(short: Path) -> Iterator[SlotReader]:
    slot = SlotReader(short / "chip")
    yield slot
    slot.close()


def arguments(directory: Path, short: Path) -> tuple[str | Path, ...]:
    return "--directory", directory, "--control", short / "control", "--connect", f"unix:{short / 'chip'}"


def test_cards_go_from_the_hopper_through_the_reader_into_a_tray(
    directory: Path, short: Path, reader: SlotReader
) -> None:
    with started("station", *arguments(directory, short)) as station:
        control = station.told["control"]
        assert move(control, "state") == {"ok": True, "hopper": 2, "positioned": False, "good": 0, "rejected": 0}
        assert move(control, "load") == {"ok": True, "hopper": 1, "positioned": True, "good": 0, "rejected": 0}
        with reader.card() as card:
            assert card.atr() == DEFAULT_ATR
            assert card.serial() == SERIALS[0]
            assert (directory / "position" / SERIALS[0]).is_dir()
            assert move(control, "eject", tray="good")["good"] == 1
            assert card.is_gone()
        assert move(control, "load")["ok"]
        with reader.card() as card:
            assert card.serial() == SERIALS[1]
            assert move(control, "eject", tray="reject") == {
                "ok": True,
                "hopper": 0,
                "positioned": False,
                "good": 1,
                "rejected": 1,
            }
        assert move(control, "load") == {"ok": False, "error": "hopper-empty"}
    assert (directory / "good" / SERIALS[0]).is_dir()
    assert (directory / "reject" / SERIALS[1]).is_dir()


def test_load_with_a_card_in_position_and_eject_without_one_do_nothing(
    directory: Path, short: Path, reader: SlotReader
) -> None:
    with started("station", *arguments(directory, short)) as station:
        control = station.told["control"]
        assert move(control, "eject", tray="good") == {
            "ok": True,
            "hopper": 2,
            "positioned": False,
            "good": 0,
            "rejected": 0,
        }
        assert move(control, "load") == move(control, "load")
        with reader.card() as card:
            assert card.serial() == SERIALS[0]


def test_a_reader_that_hangs_up_finds_the_card_again(directory: Path, short: Path, reader: SlotReader) -> None:
    with started("station", *arguments(directory, short)) as station:
        move(station.told["control"], "load")
        for _ in range(2):
            with reader.card() as card:
                assert card.serial() == SERIALS[0]


def test_a_killed_station_finds_its_card_in_position(directory: Path, short: Path, reader: SlotReader) -> None:
    with started("station", *arguments(directory, short)) as station:
        move(station.told["control"], "load")
        with reader.card() as card:
            station.kill()
            assert card.is_gone()
    with started("station", *arguments(directory, short)) as station, reader.card() as card:
        assert card.serial() == SERIALS[0]
        assert move(station.told["control"], "state")["positioned"]


def test_a_card_that_no_reader_takes_is_jammed_until_one_does(
    directory: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulators.station, "ATTACH_SECONDS", 0.1)
    contacts = WiredContacts(f"unix:{short / 'chip'}")
    machine = CardStation(directory, contacts)
    with pytest.raises(StationFaultError, match="jammed"):
        machine.load()
    assert machine.counts().positioned
    slot = SlotReader(short / "chip")
    monkeypatch.setattr(simulators.station, "ATTACH_SECONDS", PATIENCE_SECONDS)
    machine.load()
    contacts.detach()
    slot.close()


def test_a_broken_chip_is_jammed_and_can_be_rejected(directory: Path, short: Path, reader: SlotReader) -> None:
    (directory / "boxes" / "A" / SERIALS[0] / "memory.jsonl").unlink()
    with started("station", *arguments(directory, short)) as station:
        control = station.told["control"]
        assert move(control, "load") == {"ok": False, "error": "jammed"}
        assert move(control, "eject", tray="reject")["rejected"] == 1
        assert move(control, "load")["ok"]


@pytest.mark.parametrize(
    "line",
    [b"", b"load", b"[]", b"\xff", b'{"op":"print"}', b'{"op":"eject"}', b'{"op":"eject","tray":"../x"}', b"[" * 4000],
)
def test_a_request_that_means_nothing_is_answered(directory: Path, short: Path, line: bytes) -> None:
    contacts = WiredContacts(f"unix:{short / 'chip'}")
    server = simulators.station._ControlServer(short / "control", CardStation(directory, contacts))
    with server:
        assert server.answer(line) == {"ok": False, "error": "bad-request"}


def test_clients_at_once_are_served_one_after_the_other(directory: Path, short: Path, reader: SlotReader) -> None:
    with started("station", *arguments(directory, short)) as station, ThreadPoolExecutor(8) as clients:
        requests = [b'{"op":"load"}', b'{"op":"state"}'] * 5
        told = list(clients.map(lambda _: ask(station.told["control"], *requests), range(8)))
    assert {answer["hopper"] for answers in told for answer in answers} == {1}


def test_a_held_card_is_never_moved(directory: Path, short: Path, reader: SlotReader) -> None:
    chip = directory / "boxes" / "B" / SERIALS[1]
    place = ("--control", short / "control", "--connect", f"unix:{short / 'chip'}")
    with started("station", "--hold", chip, *place) as station, reader.card() as card:
        control = station.told["control"]
        assert card.serial() == SERIALS[1]
        assert move(control, "load") == {"ok": True, "hopper": 0, "positioned": True, "good": 0, "rejected": 0}
        assert move(control, "eject", tray="good") == {"ok": False, "error": "bad-request"}
    assert chip.is_dir()


def test_one_station_has_one_process(directory: Path, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with started("station", *arguments(directory, short)):
        monkeypatch.setattr(simulators.station, "LOCK_SECONDS", 0.05)
        with pytest.raises(SystemExit, match="another process"), simulators.station._only_one(directory):
            pass


def test_a_station_ends_with_its_parent_even_when_its_stdin_stays_open(directory: Path, short: Path) -> None:
    read, write = os.pipe()
    command = [sys.executable, "-m", "simulators.station", *map(str, arguments(directory, short))]
    code = f"import subprocess, time; subprocess.Popen({command!r}); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=read, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert b"control" in parent.stdout.readline()
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not processes_naming(str(short)))
    os.close(read)
    os.close(write)

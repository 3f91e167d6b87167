"""A hall gives every station a real PC/SC reader of its own, and leaves nothing behind."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.reader_room import MOST_SHORT_LIVES, SHORT_LIFE_SECONDS
from tests.simulators.started import Started, move, processes_naming, started, wait_until
from tests.simulators.test_station import SlotReader

pytestmark = pytest.mark.services
needs_pcsc = pytest.mark.skipif(
    shutil.which("pcscd") is None or shutil.which("opensc-tool") is None, reason="pcscd or opensc is not installed"
)
ATR_BEGINS = "3b:d"  # the default ATR of the data sheet §1, as opensc-tool writes it

# What a centre does to reach a card that was put in a moment ago: pcscd looks for cards every 0.4 s, but a direct
# connection may reset the reader at once. Prints the seconds until the card answered and its CPLC.
REACH_AT_ONCE = """
import sys, time
from smartcard.scard import *
began = time.monotonic()
_, context = SCardEstablishContext(SCARD_SCOPE_SYSTEM)
failed = 1
while failed and time.monotonic() < began + 5:
    failed, card, protocol = SCardConnect(context, sys.argv[1], SCARD_SHARE_DIRECT, 0)
    if not failed:
        protocols = SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1
        failed, protocol = SCardReconnect(card, SCARD_SHARE_EXCLUSIVE, protocols, SCARD_RESET_CARD)
        if failed:
            SCardDisconnect(card, SCARD_LEAVE_CARD)
failed, answer = SCardTransmit(card, protocol, list(bytes.fromhex("80CA9F7F00")))
print(time.monotonic() - began, bytes(answer).hex().upper())
SCardDisconnect(card, SCARD_UNPOWER_CARD)
"""


@pytest.fixture
def run() -> Iterator[Path]:
    """The name of a directory that is not there yet, short enough for sockets."""
    parent = Path(tempfile.mkdtemp(prefix="perso-"))
    yield parent / "run"
    shutil.rmtree(parent)


@pytest.fixture
def stations(tmp_path: Path) -> tuple[Path, Path]:
    """Two stations with two blanks each, from the chip maker's program."""
    for name in ("left", "right"):
        command = [sys.executable, "-m", "simulators.chip", "make", "--station", str(tmp_path / name)]
        command += ["--delivery", "D1", "--count", "2", "--lot", "LOT-1", "--maker-keys", str(tmp_path / "keys")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return tmp_path / "left", tmp_path / "right"


def hall_of(run: Path, *stations: Path) -> tuple[str | Path, ...]:
    return "--directory", run, *(argument for station in stations for argument in ("--station", station))


def client(hall: Started, *command: str) -> str:
    """Output of a PC/SC client outside the hall's namespaces."""
    environment = os.environ | {"PCSCLITE_CSOCK_NAME": hall.told["socket"]}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def reader_of(hall: Started, number: int) -> str:
    return str(hall.told["stations"][number]["reader"])


@needs_pcsc
def test_every_station_has_its_reader(run: Path, stations: tuple[Path, Path]) -> None:
    with started("hall", *hall_of(run, *stations)) as hall:
        told = hall.told["stations"]
        assert [place["directory"] for place in told] == [str(station) for station in stations]
        assert [place["chip"] for place in told] == [None, None]
        listed = client(hall, "opensc-tool", "--list-readers")
        for place in told:
            assert f"  {place['reader']}\n" in listed
            move(place["control"], "load")
        wait_until(lambda: client(hall, "opensc-tool", "--list-readers").count("Yes") == 2)
        for number in (0, 1):
            assert client(hall, "opensc-tool", "--reader", reader_of(hall, number), "--atr").startswith(ATR_BEGINS)


@needs_pcsc
def test_the_card_in_the_reader_is_the_card_in_position(run: Path, stations: tuple[Path, Path]) -> None:
    with started("hall", *hall_of(run, stations[0])) as hall:
        control = hall.told["stations"][0]["control"]
        for _ in range(2):
            move(control, "load")
            seconds, cplc = client(hall, sys.executable, "-c", REACH_AT_ONCE, reader_of(hall, 0)).split()
            (card,) = (stations[0] / "position").iterdir()
            assert cplc[6:][24:32] in card.name  # the IC serial number
            assert float(seconds) < 0.3, "much slower than 10 ms: a swap waits for pcscd's polling"
            move(control, "eject", tray="good")


@needs_pcsc
def test_two_halls_never_meet(run: Path, stations: tuple[Path, Path]) -> None:
    with (
        started("hall", *hall_of(run, stations[0])) as left,
        started("hall", *hall_of(run.with_name("run2"), stations[1])) as right,
    ):
        move(left.told["stations"][0]["control"], "load")
        wait_until(lambda: "Yes" in client(left, "opensc-tool", "--list-readers"))
        assert "Yes" not in client(right, "opensc-tool", "--list-readers")


@needs_pcsc
def test_a_held_chip_lies_in_its_reader_from_the_start(run: Path, stations: tuple[Path, Path]) -> None:
    chip = next(path for path in (stations[0] / "boxes" / "D1").iterdir() if path.is_dir())
    with started("hall", "--directory", run, "--hold", chip) as hall:
        assert hall.told["stations"][0]["directory"] == str(chip)
        assert client(hall, "opensc-tool", "--reader", reader_of(hall, 0), "--atr").startswith(ATR_BEGINS)
    assert chip.is_dir()


@needs_pcsc
def test_a_killed_station_process_comes_again_with_its_card(run: Path, stations: tuple[Path, Path]) -> None:
    with started("hall", *hall_of(run, stations[0])) as hall:
        control = hall.told["stations"][0]["control"]
        move(control, "load")
        (process,) = (pid for pid in processes_naming(control) if b"reader_room" not in _command_line(pid))
        os.kill(process, 9)
        wait_until(lambda: _answers(control))
        assert move(control, "state")["positioned"]
        wait_until(lambda: "Yes" in client(hall, "opensc-tool", "--list-readers"))


@needs_pcsc
def test_the_end_of_stdin_and_a_signal_end_the_hall_and_remove_its_directory(
    run: Path, stations: tuple[Path, Path]
) -> None:
    for end in (Started.close, Started.terminate):
        with started("hall", *hall_of(run, *stations)) as hall:
            assert run.exists()
            assert end(hall) == 0
            assert not processes_naming(str(run))
            assert not run.exists()


@needs_pcsc
def test_a_killed_hall_leaves_no_process(run: Path, stations: tuple[Path, Path]) -> None:
    with started("hall", *hall_of(run, *stations)) as hall:
        assert processes_naming(str(run))
        hall.kill()
        wait_until(lambda: not processes_naming(str(run)))


def daemon_of(run: Path) -> int:
    """Process id of the hall's pcscd."""
    (room,) = (
        pid
        for pid in processes_naming(str(run))
        if _command_line(pid).startswith(sys.executable.encode()) and b"reader_room" in _command_line(pid)
    )
    (daemon,) = (pid for pid in processes_naming("/run/readers") if _parent(pid) == room)
    return daemon


@needs_pcsc
def test_a_pcscd_that_died_is_started_again_and_one_that_cannot_live_ends_the_hall(
    run: Path, stations: tuple[Path, Path]
) -> None:
    with started("hall", *hall_of(run, stations[0])) as hall:
        move(hall.told["stations"][0]["control"], "load")
        wait_until(lambda: "Yes" in client(hall, "opensc-tool", "--list-readers"))
        time.sleep(SHORT_LIFE_SECONDS)
        first = daemon_of(run)
        os.kill(first, 9)
        wait_until(lambda: "Yes" in client(hall, "opensc-tool", "--list-readers"))
        for _ in range(20 * MOST_SHORT_LIVES):
            if hall.process.poll() is None:
                with contextlib.suppress(ValueError, ProcessLookupError):  # it is being started again just now
                    os.kill(daemon_of(run), 9)
                time.sleep(0.1)
        assert hall.process.wait(5) == 4
    assert not run.exists()


@needs_pcsc
@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests show it")
def test_no_root_is_needed(run: Path, stations: tuple[Path, Path]) -> None:
    nobody = 65534
    # A user namespace of its own: no privilege over anything here, and this Python may lie where only root can read.
    as_nobody = ["unshare", "--user", f"--map-user={nobody}", f"--map-group={nobody}"]
    allowed = [*as_nobody, "unshare", "--map-root-user", "--mount", "--net", sys.executable, "-c", ""]
    if subprocess.run(allowed, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine gives user namespaces, or this Python, to root alone")
    station = run.parent / "station"
    shutil.copytree(stations[0], station)
    command = [*as_nobody, sys.executable, "-m", "simulators.hall", *map(str, hall_of(run, station))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        hall = Started(process, json.loads(process.stdout.readline()))
        move(hall.told["stations"][0]["control"], "load")
        wait_until(lambda: "Yes" in client(hall, "opensc-tool", "--list-readers"))
        assert hall.close() == 0


def test_without_pcsc_the_hall_says_why(run: Path, stations: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "simulators.hall", *map(str, hall_of(run, stations[0]))]
    environment = os.environ | {"PATH": "/nonexistent"}
    ended = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.PIPE, text=True, env=environment)
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert "not installed: pcscd" in ended.stderr
    assert not run.exists()


def test_in_direct_mode_chips_come_to_a_socket(run: Path, stations: tuple[Path, Path]) -> None:
    with started("hall", *hall_of(run, *stations), "--direct") as hall:
        assert hall.told["socket"] is None
        place = hall.told["stations"][1]
        assert place["reader"] is None
        assert place["chip"] == f"unix:{run}/1.chip"
        slot = SlotReader(run / "1.chip")
        assert move(place["control"], "load")["positioned"]
        with slot.card() as card:
            assert (stations[1] / "position" / card.serial()).is_dir()
        slot.close()
    assert not run.exists()


@pytest.mark.parametrize("arguments", [[], ["--station", "x"] * 9])
def test_wrong_arguments_are_refused(run: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "simulators.hall", "--directory", str(run), *arguments]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 2


def test_a_directory_that_holds_something_is_refused(run: Path) -> None:
    run.mkdir()
    (run / "diary").touch()
    command = [sys.executable, "-m", "simulators.hall", "--directory", str(run), "--station", "x", "--direct"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 2
    assert (run / "diary").exists()


def _command_line(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def _answers(control: str) -> bool:
    try:
        return bool(move(control, "state")["ok"])
    except (ConnectionError, FileNotFoundError, ValueError):
        time.sleep(0.02)
        return False

"""The wire of the direct terminal, byte by byte, against a card that a thread of the test plays."""

import contextlib
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from personalization.station.direct import DirectTerminal
from personalization.station.errors import CardAbsent, StationUnavailable
from personalization.station.ports import Command, Lost, Played, Script, ScriptId

ATR = bytes.fromhex("3B80800101")


class WireCard:
    """Connects, keeps what it is sent, answers APDUs with `answer` (None: pulls itself out)."""

    def __init__(self, path: Path, answer: Callable[[bytes], bytes | None], atr: bytes = ATR) -> None:
        self.received: list[bytes] = []
        self._answer, self._atr = answer, atr
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def pull(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _serve(self) -> None:
        with self._socket, self._socket.makefile("rb") as stream, contextlib.suppress(OSError):
            while len(size := stream.read(2)) == 2:
                body = stream.read(int.from_bytes(size, "big"))
                self.received.append(body)
                reply = self._atr if body == b"\x04" else b"" if len(body) == 1 else self._answer(body)
                if reply is None:
                    break
                if len(body) > 1 or body == b"\x04":
                    self._socket.sendall(len(reply).to_bytes(2, "big") + reply)


def script(name: str, *apdus: bytes) -> Script:
    return Script(ScriptId(name), 1, tuple(Command(apdu, "test") for apdu in apdus))


def echo(apdu: bytes) -> bytes:
    return apdu + b"\x90\x00"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[DirectTerminal]:
    terminal = DirectTerminal(tmp_path / "chip", card_wait=timedelta(seconds=0.3), answer_wait=timedelta(seconds=0.5))
    yield terminal
    terminal.close()


def test_power_and_script(terminal: DirectTerminal, tmp_path: Path) -> None:
    card = WireCard(tmp_path / "chip", echo)
    long = bytes(3000)
    assert terminal.reader_name is None
    assert terminal.power_on() == ATR
    outcome = terminal.play(script("a", b"\x00\xa4\x00\x00", long))
    assert isinstance(outcome, Played)
    assert [response.data for response in outcome.responses] == [b"\x00\xa4\x00\x00", long]
    terminal.release()
    card.pull()
    assert card.received == [b"\x00", b"\x01", b"\x04", b"\x00\xa4\x00\x00", long, b"\x00"]


def test_no_card(terminal: DirectTerminal) -> None:
    with pytest.raises(CardAbsent):
        terminal.power_on()
    assert isinstance(terminal.play(script("a", b"\x00\xa4\x00\x00")), Lost)


def test_a_pulled_card_loses_the_answer_and_the_next_card_is_taken(terminal: DirectTerminal, tmp_path: Path) -> None:
    first = WireCard(tmp_path / "chip", lambda _: None)
    assert terminal.power_on() == ATR
    outcome = terminal.play(script("a", b"\x00\xa4\x00\x00"))
    assert isinstance(outcome, Lost)
    assert outcome.index == 0
    assert first.received[-1] == b"\x00\xa4\x00\x00"
    WireCard(tmp_path / "chip", echo, atr=b"\x3b\x00")
    assert terminal.power_on() == b"\x3b\x00"


def test_cards_that_went_before_they_were_asked_are_passed_over(terminal: DirectTerminal, tmp_path: Path) -> None:
    for _ in range(3):
        WireCard(tmp_path / "chip", echo).pull()
    WireCard(tmp_path / "chip", echo, atr=b"\x3b\x00")
    assert terminal.power_on() == b"\x3b\x00"


def test_a_card_exchanged_between_two_jobs_is_the_new_one(terminal: DirectTerminal, tmp_path: Path) -> None:
    first = WireCard(tmp_path / "chip", echo)
    assert terminal.power_on() == ATR
    terminal.release()
    first.pull()
    WireCard(tmp_path / "chip", echo, atr=b"\x3b\x00")
    assert terminal.power_on() == b"\x3b\x00"


def test_after_release_nothing_is_sent(terminal: DirectTerminal, tmp_path: Path) -> None:
    WireCard(tmp_path / "chip", echo)
    terminal.power_on()
    terminal.release()
    assert isinstance(terminal.play(script("a", b"\x00\xa4\x00\x00")), Lost)


def test_a_silent_card_loses_the_answer(terminal: DirectTerminal, tmp_path: Path) -> None:
    done = threading.Event()
    WireCard(tmp_path / "chip", lambda _: b"" if done.wait(5) else None)
    terminal.power_on()
    assert isinstance(terminal.play(script("a", b"\x00\xa4\x00\x00")), Lost)
    done.set()


def test_one_holder_at_a_time_and_a_dead_ones_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "chip"
    path.write_bytes(b"")
    terminal = DirectTerminal(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(StationUnavailable):
        DirectTerminal(path)
    terminal.close()
    DirectTerminal(path).close()


def test_a_place_that_cannot_be_listened_on(tmp_path: Path) -> None:
    with pytest.raises(StationUnavailable):
        DirectTerminal(tmp_path / ("x" * 150))

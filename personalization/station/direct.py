"""A terminal without PC/SC: the card's wire ends at a Unix socket on which this process listens.

The wire is that of the virtual smart card reader (vpcd): every message is a 2-byte big-endian length and a body; one
byte to the card is control (00 power off, 01 power on, 02 reset, 04 tell the ATR), everything else is a command APDU
whose response comes back in the same form. A card connects when it comes into position and disconnects when it goes.
"""

import contextlib
import fcntl
import os
import socket
import time
from datetime import timedelta
from pathlib import Path

from personalization.station.errors import CardAbsent, StationUnavailable
from personalization.station.journal import AnswerMissing, ScriptPlayer
from personalization.station.ports import Outcome, Script

_POWER_OFF = b"\x00"
_POWER_ON = b"\x01"
_TELL_ATR = b"\x04"
_LARGEST_BODY_BYTES = 0xFFFF


class DirectTerminal:
    """Implements `Terminal` on a Unix socket; one process holds it at a time (a lock file stands beside the socket).

    `card_wait`: how long `power_on` waits for a card to come; `answer_wait`: how long a card may take for an answer.
    """

    def __init__(
        self,
        socket_path: Path,
        *,
        card_wait: timedelta = timedelta(seconds=5),
        answer_wait: timedelta = timedelta(seconds=60),
    ) -> None:
        """Raises `StationUnavailable` when another process holds the terminal or the socket cannot be made."""
        self._path = socket_path
        self._card_wait = card_wait
        self._answer_wait = answer_wait
        self._lock = _hold(socket_path.with_name(socket_path.name + ".lock"))
        self._listener = _listen(socket_path, self._lock)
        self._card: socket.socket | None = None
        self._powered = False
        self._player = ScriptPlayer(self._transmit)

    @property
    def reader_name(self) -> str | None:
        """None: there is no PC/SC reader here."""
        return None

    def other_readers(self) -> tuple[str, ...]:
        """None: there is no PC/SC reader here."""
        return ()

    def power_on(self) -> bytes:
        """Waits for a card, powers it off and on, and returns its ATR. Raises `CardAbsent`."""
        deadline = time.monotonic() + self._card_wait.total_seconds()
        while True:
            self._accept(deadline)
            try:
                # A card that has gone shows only when it is asked: then the next one in the line is taken.
                self._write(_POWER_OFF)
                self._write(_POWER_ON)
                self._write(_TELL_ATR)
                atr = self._read()
            except OSError:
                self._drop()
                continue
            if not atr:
                self._drop()
                continue
            self._powered = True
            return atr

    def play(self, script: Script) -> Outcome:
        """As `Terminal.play`. A card that was never powered, or is gone, answers nothing: `Lost` at 0."""
        return self._player.play(script)

    def release(self) -> None:
        """Power off; the card stays where it is."""
        self._powered = False
        if self._card is not None:
            try:
                self._write(_POWER_OFF)
            except OSError:
                self._drop()

    def close(self) -> None:
        """Let the socket and its lock go."""
        self.release()
        self._drop()
        self._listener.close()
        self._path.unlink(missing_ok=True)
        os.close(self._lock)

    def _accept(self, deadline: float) -> None:
        while self._card is None:
            self._listener.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                self._card, _ = self._listener.accept()
            except TimeoutError:
                raise CardAbsent("no card came into position") from None
            self._card.settimeout(self._answer_wait.total_seconds())

    def _transmit(self, apdu: bytes) -> bytes:
        if not self._powered:
            raise AnswerMissing("the card is not powered")
        try:
            self._write(apdu)
            return self._read()
        except TimeoutError:
            self._drop()
            raise AnswerMissing("the card does not answer") from None
        except OSError:
            self._drop()
            raise AnswerMissing("the card is gone") from None

    def _write(self, body: bytes) -> None:
        if len(body) > _LARGEST_BODY_BYTES:
            raise ValueError("a message of more than 65,535 bytes does not fit this wire")
        if self._card is None:
            raise ConnectionResetError
        self._card.sendall(len(body).to_bytes(2, "big") + body)

    def _read(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(2), "big"))

    def _exactly(self, count: int) -> bytes:
        if self._card is None:
            raise ConnectionResetError
        received = bytearray()
        while len(received) < count:
            part = self._card.recv(count - len(received))
            if not part:
                raise ConnectionResetError
            received += part
        return bytes(received)

    def _drop(self) -> None:
        self._powered = False
        if self._card is not None:
            with contextlib.suppress(OSError):
                self._card.close()
            self._card = None


def _hold(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StationUnavailable("another process holds this terminal") from None
    return lock


def _listen(path: Path, lock: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The lock says that nobody listens: what lies there was left by a process that was killed.
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(16)
    except OSError:
        listener.close()
        os.close(lock)
        raise StationUnavailable("the terminal's socket cannot be made") from None
    return listener

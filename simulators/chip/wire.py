"""The wire between a card and a virtual reader: the card's side of vpcd (vsmartcard's virtual smart card reader).

Each message is a 16-bit big-endian length and a body. A body of one byte is a control: 00 power off, 01 power on,
02 reset, 04 ask for the ATR, which alone is answered. Any other body is a command APDU.
"""

import select
import socket
import threading
import time
from typing import Protocol

from simulators.chip.apdu import Status
from simulators.chip.errors import WireUnreachable

CONNECT_SECONDS = 5.0
_POLL_SECONDS = 0.02
_RETRY_SECONDS = 0.01


class Card(Protocol):
    """What a wire serves: a chip (`simulators.chip.card.Chip`), or one with faults or delays."""

    @property
    def serial(self) -> str:
        """The chip serial."""

    @property
    def atr(self) -> bytes:
        """The answer to reset."""

    @property
    def powered(self) -> bool:
        """Whether it has power."""

    @property
    def mute(self) -> bool:
        """Whether it has fallen silent for ever, so that a reader finds nothing that answers."""

    @property
    def written_bytes(self) -> int:
        """Bytes that commands have written so far."""

    def power_on(self) -> bytes:
        """Give power, or reset; the ATR."""

    def power_off(self) -> None:
        """Take the power away."""

    def reset(self) -> bytes:
        """Warm reset; the ATR."""

    def transmit(self, apdu: bytes) -> bytes:
        """Response APDU of a command APDU. Raises `ChipError` where there is none: the wire is cut."""


class CardWire:
    """Serves chips to the reader at `address`, `tcp:HOST:PORT` or `unix:PATH`, one after the other."""

    def __init__(self, address: str) -> None:
        """Raises `ValueError` for an address of another form."""
        self._family, self._target = _parse_address(address)
        self._address = address

    def serve(self, chip: Card, stop: threading.Event, *, connect_seconds: float = CONNECT_SECONDS) -> None:
        """Put the chip into the reader and serve it until `stop` is set or the reader hangs up; then it has no power.

        Returns at the latest 50 ms after `stop` is set. Raises `WireUnreachable`, `ChipInUse`, and what a chip with
        faults raises instead of an answer.
        """
        connection = self._connect(stop, connect_seconds)
        if connection is None:
            return
        try:
            with connection:
                self._answer(connection, chip, stop)
        except ConnectionError:
            pass  # the reader hung up in the middle of a message: a card cannot tell this from being pulled
        finally:
            chip.power_off()

    def _connect(self, stop: threading.Event, connect_seconds: float) -> socket.socket | None:
        deadline = time.monotonic() + connect_seconds
        while not stop.is_set():
            connection = socket.socket(self._family, socket.SOCK_STREAM)
            try:
                connection.connect(self._target)
            except OSError as error:
                connection.close()
                if time.monotonic() > deadline:
                    raise WireUnreachable(self._address) from error
                stop.wait(_RETRY_SECONDS)
            else:
                if self._family == socket.AF_INET:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
        return None

    def _answer(self, connection: socket.socket, chip: Card, stop: threading.Event) -> None:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        received = bytearray()
        while not stop.is_set():
            if not poll.poll(_POLL_SECONDS * 1000):
                continue
            self._hurry(connection)
            chunk = connection.recv(65_536)
            if not chunk:
                return
            received += chunk
            while (message := _take_message(received)) is not None:
                answer = _act(chip, message)
                if answer is not None:
                    connection.sendall(len(answer).to_bytes(2) + answer)

    def _hurry(self, connection: socket.socket) -> None:
        # vpcd sends length and body in two segments; a delayed acknowledgement costs 40 ms an APDU. The option does
        # not stick (tcp(7)), so it is set before every read.
        if self._family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _parse_address(address: str) -> tuple[socket.AddressFamily, str | tuple[str, int]]:
    kind, _, rest = address.partition(":")
    if kind == "unix" and rest:
        return socket.AF_UNIX, rest
    host, _, port = rest.rpartition(":")
    if kind == "tcp" and host and port.isdecimal():
        return socket.AF_INET, (host, int(port))
    raise ValueError("an address is tcp:HOST:PORT or unix:PATH")


def _take_message(received: bytearray) -> bytes | None:
    if len(received) < 2:
        return None
    end = 2 + int.from_bytes(received[:2])
    if len(received) < end:
        return None
    message = bytes(received[2:end])
    del received[:end]
    return message


def _act(chip: Card, message: bytes) -> bytes | None:
    if len(message) != 1:
        return chip.transmit(message) if chip.powered else Status.CONDITIONS_NOT_SATISFIED.to_bytes(2)
    match message[0]:
        case 0x00:
            chip.power_off()
        case 0x01:
            chip.power_on()
        case 0x02:
            chip.reset()
        case 0x04:
            return chip.atr
    return None

"""The contacts of a card station: they join the card in position to the reader, and again whenever it was torn off."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Protocol

from simulators.chip.errors import ChipError
from simulators.chip.wire import Card, CardWire
from simulators.faulty_chip import CardSwapped

PART_SECONDS = 5.0
RECONNECT_SECONDS = 0.01

OpenCard = Callable[[], Card]
"""Opens the card that stands in position. Raises `ChipError` for one that is broken."""


class StationFaultError(Exception):
    """A move that failed; its text is the error word of the control protocol."""


class Contacts(Protocol):
    """What a station presses onto the card in position."""

    def attach(self, card: OpenCard, exchanged: OpenCard) -> None:
        """Join this card if none is joined; returns at once. Raises `StationFaultError` for a card that is broken.

        `exchanged` puts another card into position and opens it, when a fault says that the card is swapped.
        """

    def wait(self, seconds: float) -> None:
        """Wait until the reader took the card. Raises `StationFaultError`."""

    def detach(self) -> None:
        """Part the card from the reader; afterwards nobody touches its directory. Raises `StationFaultError`."""


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


class WiredContacts:
    """Joins one card at a time to the reader at an address; the wire runs in a thread of its own."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self._wire = _Wire(address)
        self._thread: threading.Thread | None = None

    def attach(self, card: OpenCard, exchanged: OpenCard) -> None:
        """As `Contacts.attach`."""
        if self._thread is not None:
            return
        try:
            opened = card()
        except ChipError:
            raise StationFaultError("jammed") from None
        self._stop, self._wire = threading.Event(), _Wire(self._address)
        arguments = (self._wire, opened, exchanged, self._stop)
        self._thread = threading.Thread(target=_keep_joined, args=arguments, name="contacts", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """As `Contacts.wait`."""
        if not self._wire.connected.wait(seconds):
            raise StationFaultError("jammed")

    def detach(self) -> None:
        """As `Contacts.detach`."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(PART_SECONDS)
            if self._thread.is_alive():
                raise StationFaultError("jammed")
        self._thread = None


def _keep_joined(wire: _Wire, card: Card, exchanged: OpenCard, stop: threading.Event) -> None:
    """Serve the card, and join it again whenever the reader hangs up: it still lies in the slot."""
    while not stop.is_set():
        if card.mute:
            # No reader can tell a chip that never answers from none; and the feeder does not care.
            wire.connected.set()
            stop.wait()
            return
        try:
            wire.serve(card, stop)
        except CardSwapped:
            with contextlib.suppress(ChipError, StationFaultError):  # a broken one came: nothing answers now
                card = exchanged()
        except ChipError:
            pass  # torn off; or no reader listens yet, or somebody else has the chip powered
        stop.wait(RECONNECT_SECONDS)

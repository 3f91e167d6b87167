"""A terminal over PC/SC: the system's smart card service and a reader, held exclusively.

pyscard is imported when the first card is asked for: PC/SC-Lite reads the path of its socket once in a process, and
whoever starts the process sets it before.

How a card is changed. pcscd's watcher looks at a reader without interrupts every 0.4 s, and powers up what it takes for
a new card, whoever is talking to it then; it counts what it noticed (PC/SC's event counter). So:
1. The card is released before it is moved: then pcscd remembers a present, unpowered card.
2. A watcher that noticed nothing takes the next card for the same one and leaves it alone: it is connected at once, and
   power off and on brings the new ATR.
3. A watcher that saw the reader empty has to see the new card too, and is waited for: never is a card powered behind
   its back. When its counter moved while a connection was made, that connection is given up, and it is waited for.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from types import ModuleType
from typing import Any

from personalization.station.errors import CardAbsent, ReaderGone
from personalization.station.journal import AnswerMissing, ScriptPlayer
from personalization.station.pcsc_readers import list_readers, reader_named
from personalization.station.ports import Outcome, Script

_POLL_SECONDS = 0.02
_WATCHER_SECONDS = 0.5
"""Longer than pcscd's watcher sleeps (PCSCLITE_STATUS_POLL_RATE, 0.4 s)."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """What pcscd believes of the reader: a card is there; how many comings and goings its watcher noticed."""

    state: int
    present: bool

    @property
    def noticed(self) -> int:
        return self.state >> 16


class PcscTerminal:
    """Implements `Terminal` on the reader of this name.

    PC/SC-Lite adds two counters to a reader's name (`Station 1 00 00`); the name without them is taken too.
    `card_wait`: how long `power_on` waits for a card, and for another program to let the reader go.
    """

    def __init__(self, reader: str, *, card_wait: timedelta = timedelta(seconds=5)) -> None:
        self._wanted = reader
        self._card_wait = card_wait
        self._found: str | None = None
        self._context: Any = None
        self._noticed: int | None = None
        self._card: Any = None
        self._protocol = 0
        self._player = ScriptPlayer(self._transmit)

    @property
    def reader_name(self) -> str | None:
        """The reader's name as PC/SC tells it; the name that was asked for while it has not been seen yet."""
        return self._found or self._wanted

    def other_readers(self) -> tuple[str, ...]:
        """As `Terminal.other_readers`; the readers are listed, none is touched. Raises `StationUnavailable`."""
        listed = list_readers()
        own = reader_named(self._wanted, listed)
        return tuple(name for name in listed if name != own)

    def power_on(self) -> bytes:
        """Connects exclusively, powers the card off and on, and returns its ATR.

        Raises `CardAbsent` when no card came in time, `ReaderGone` when the service, the reader or exclusive access
        cannot be had.
        """
        self.release()
        deadline = time.monotonic() + self._card_wait.total_seconds()
        asleep = time.monotonic() + 2 * _WATCHER_SECONDS
        while True:
            status, sight = self._look()
            if sight is not None:
                # After a card was lost in the middle of a command pcscd calls the reader empty, and a watcher that
                # noticed nothing will not correct it.
                missed = self._noticed == sight.noticed
                unknown = self._noticed is None and time.monotonic() >= asleep
                if sight.present or missed or unknown:
                    status, atr = self._connect(direct=not sight.present)
                    if atr and self._undisturbed(sight, settle=unknown and not sight.present):
                        return atr
                else:
                    status = _scard().SCARD_E_NO_SMARTCARD
            if time.monotonic() >= deadline:
                self.release()
                raise self._refusal(status)
            self._wait(sight, deadline)

    def play(self, script: Script) -> Outcome:
        """As `Terminal.play`. A card that was never powered, or is gone, answers nothing: `Lost` at 0."""
        return self._player.play(script)

    def release(self) -> None:
        """Disconnects with the card unpowered and gives the context back; never raises."""
        scard = _scard()
        if self._card is not None:
            scard.SCardDisconnect(self._card, scard.SCARD_UNPOWER_CARD)
            self._card = None
        if self._context is not None:
            scard.SCardReleaseContext(self._context)
            self._context = None

    def close(self) -> None:
        """The same as `release`: nothing else is held."""
        self.release()

    def _look(self) -> tuple[int, _Sight | None]:
        scard = _scard()
        if self._context is None:
            status, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
            if status != scard.SCARD_S_SUCCESS:
                self._context = None
                return status, None
        status, names = scard.SCardListReaders(self._context, [])
        self._found = reader_named(self._wanted, names) if status == scard.SCARD_S_SUCCESS else None
        if self._found is None:
            self.release()
            self._noticed = None  # a service that comes back counts from the beginning
            return scard.SCARD_E_UNKNOWN_READER, None
        return self._status(scard.SCARD_STATE_UNAWARE, 0.0)

    def _status(self, known: int, seconds: float) -> tuple[int, _Sight | None]:
        # Returns at once when pcscd knows something else than `known`.
        scard = _scard()
        asked = [(self._found, known)]
        status, told = scard.SCardGetStatusChange(self._context, int(seconds * 1000), asked)
        if status not in (scard.SCARD_S_SUCCESS, scard.SCARD_E_TIMEOUT):
            return status, None
        state = told[0][1] & ~scard.SCARD_STATE_CHANGED
        return scard.SCARD_S_SUCCESS, _Sight(state, bool(state & scard.SCARD_STATE_PRESENT))

    def _connect(self, *, direct: bool) -> tuple[int, bytes]:
        # A status and an empty ATR say why there is no card; the caller decides how long to go on trying.
        scard = _scard()
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        exclusive = scard.SCARD_SHARE_EXCLUSIVE
        # A reader that is called empty can be connected directly alone.
        how = (scard.SCARD_SHARE_DIRECT, 0) if direct else (exclusive, protocols)
        status, card, _ = scard.SCardConnect(self._context, self._found, *how)
        if status in (scard.SCARD_W_UNPOWERED_CARD, scard.SCARD_W_UNRESPONSIVE_CARD):
            # The card before it was gone: now that pcscd has found out, the same call finds the one that came.
            status, card, _ = scard.SCardConnect(self._context, self._found, *how)
        if status != scard.SCARD_S_SUCCESS:
            return status, b""
        self._card = card
        # A card that another program left powered answers with its old state: unpower it to be sure.
        status, self._protocol = scard.SCardReconnect(card, exclusive, protocols, scard.SCARD_UNPOWER_CARD)
        if status == scard.SCARD_E_NO_SMARTCARD:  # as above
            status, self._protocol = scard.SCardReconnect(card, exclusive, protocols, scard.SCARD_UNPOWER_CARD)
        if status != scard.SCARD_S_SUCCESS:
            return status, b""
        status, _, _, _, atr = scard.SCardStatus(card)
        return status, bytes(atr) if status == scard.SCARD_S_SUCCESS else b""

    def _undisturbed(self, before: _Sight, *, settle: bool) -> bool:
        """Whether the watcher noticed nothing while the card was connected, so that it will leave it alone."""
        if settle:  # nothing is known of what the watcher believes: it has looked once when this time is over
            time.sleep(_WATCHER_SECONDS)
        _, now = self._status(_scard().SCARD_STATE_UNAWARE, 0.0)
        if now is None or now.noticed != before.noticed:
            return False
        self._noticed = now.noticed
        return True

    def _wait(self, before: _Sight | None, deadline: float) -> None:
        scard = _scard()
        if self._card is not None:
            scard.SCardDisconnect(self._card, scard.SCARD_UNPOWER_CARD)
            self._card = None
        if before is None:
            self.release()
            time.sleep(_POLL_SECONDS)
            return
        _, now = self._status(scard.SCARD_STATE_UNAWARE, 0.0)
        if now is None:
            return
        moved = now.noticed != before.noticed
        absent_for_good = not now.present and now.noticed != self._noticed
        seconds = _WATCHER_SECONDS if moved or absent_for_good else _POLL_SECONDS
        self._status(now.state, max(0.0, min(seconds, deadline - time.monotonic())))

    def _refusal(self, status: int) -> CardAbsent | ReaderGone:
        scard = _scard()
        absent = (
            scard.SCARD_E_NO_SMARTCARD,
            scard.SCARD_W_REMOVED_CARD,
            scard.SCARD_W_UNPOWERED_CARD,
            scard.SCARD_W_UNRESPONSIVE_CARD,
        )
        if status in absent:
            return CardAbsent("no card that answers stands in the reader")
        if status == scard.SCARD_E_SHARING_VIOLATION:
            return ReaderGone("another program holds the reader")
        if status == scard.SCARD_E_UNKNOWN_READER:
            return ReaderGone("there is no reader of this name")
        return ReaderGone(f"PC/SC answered {status & 0xFFFFFFFF:08X}")

    def _transmit(self, apdu: bytes) -> bytes:
        if self._card is None:
            raise AnswerMissing("the card is not powered")
        scard = _scard()
        header = scard.SCARD_PCI_T0 if self._protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
        status, answer = scard.SCardTransmit(self._card, header, list(apdu))
        if status != scard.SCARD_S_SUCCESS:
            self.release()
            raise AnswerMissing(_loss(scard, status))
        return bytes(answer)


def _loss(scard: ModuleType, status: int) -> str:
    if status in (scard.SCARD_W_REMOVED_CARD, scard.SCARD_E_NO_SMARTCARD):
        return "the card is gone"
    if status == scard.SCARD_W_RESET_CARD:
        return "the card was reset"
    return f"PC/SC answered {status & 0xFFFFFFFF:08X}"


def _scard() -> ModuleType:
    from smartcard import scard

    module: ModuleType = scard
    return module

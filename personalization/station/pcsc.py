"""A terminal over PC/SC: the system's smart card service and a reader, held exclusively.

pyscard is imported when the first card is asked for: PC/SC-Lite reads the path of its socket once in a process, and
whoever starts the process sets it before.
"""

import time
from datetime import timedelta
from types import ModuleType
from typing import Any

from personalization.station.errors import CardAbsent, ReaderGone
from personalization.station.journal import AnswerMissing, ScriptPlayer
from personalization.station.ports import Outcome, Script

_POLL_SECONDS = 0.02
# pcscd looks every 0.4 s whether a card is there. When it has lost a card in the middle of a command and another one
# comes before it looks again, it sees no change and goes on calling the reader empty: then it must be woken.
_ASLEEP_SECONDS = 1.0
_SETTLE_SECONDS = 0.5


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
        self._card: Any = None
        self._protocol = 0
        self._player = ScriptPlayer(self._transmit)

    @property
    def reader_name(self) -> str | None:
        """The reader's name as PC/SC tells it; the name that was asked for while it has not been seen yet."""
        return self._found or self._wanted

    def power_on(self) -> bytes:
        """Connects exclusively, powers the card off and on, and returns its ATR.

        Raises `CardAbsent` when no card came in time, `ReaderGone` when the service, the reader or exclusive access
        cannot be had.
        """
        self.release()
        start = time.monotonic()
        woken = False
        while True:
            reason, atr = self._connect()
            if atr:
                return atr
            waited = time.monotonic() - start
            if not woken and waited >= _ASLEEP_SECONDS:
                self._wake()
                woken = True
            self.release()
            if waited >= self._card_wait.total_seconds():
                raise self._refusal(reason)
            time.sleep(_POLL_SECONDS)

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

    def _connect(self) -> tuple[int, bytes]:
        # A status and an empty ATR say why there is no card; the caller decides how long to go on trying.
        scard = _scard()
        status, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
        if status != scard.SCARD_S_SUCCESS:
            self._context = None
            return status, b""
        status, names = scard.SCardListReaders(self._context, [])
        self._found = _named(self._wanted, names) if status == scard.SCARD_S_SUCCESS else None
        if self._found is None:
            return scard.SCARD_E_UNKNOWN_READER, b""
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        exclusive = scard.SCARD_SHARE_EXCLUSIVE
        status, card, _ = scard.SCardConnect(self._context, self._found, exclusive, protocols)
        if status != scard.SCARD_S_SUCCESS:
            return status, b""
        self._card = card
        # A card that another program left powered answers with its old state: unpower it to be sure.
        status, self._protocol = scard.SCardReconnect(card, exclusive, protocols, scard.SCARD_UNPOWER_CARD)
        if status != scard.SCARD_S_SUCCESS:
            return status, b""
        status, _, _, _, atr = scard.SCardStatus(card)
        return status, bytes(atr) if status == scard.SCARD_S_SUCCESS else b""

    def _wake(self) -> None:
        """Has pcscd power the reader's slot up, whatever it believes to be in there; a reader without card stays so."""
        scard = _scard()
        if self._context is None or self._found is None or self._card is not None:
            return
        direct = scard.SCARD_SHARE_DIRECT
        status, card, _ = scard.SCardConnect(self._context, self._found, direct, 0)
        if status != scard.SCARD_S_SUCCESS:
            return
        status, _ = scard.SCardReconnect(card, direct, scard.SCARD_PROTOCOL_T1, scard.SCARD_UNPOWER_CARD)
        scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD)
        if status == scard.SCARD_S_SUCCESS:
            time.sleep(_SETTLE_SECONDS)  # should pcscd see it as a new card after all, it powers it up once more

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


def _named(wanted: str, names: list[str]) -> str | None:
    if wanted in names:
        return wanted
    numbered = [name for name in names if name.rsplit(" ", 2)[0] == wanted]
    return numbered[0] if len(numbered) == 1 else None


def _scard() -> ModuleType:
    from smartcard import scard

    module: ModuleType = scard
    return module

"""Which readers a pcscd shows, asked through libpcsclite as every client asks (PC/SC part 10, `winscard.h`)."""

import ctypes
import os
import time
from collections.abc import Iterable
from pathlib import Path

_SCOPE_SYSTEM = 2
_STATE_PRESENT = 0x20
_POLL_SECONDS = 0.01


class ReadersMissingError(Exception):
    """The readers that should be there did not come in time, or PC/SC cannot be asked."""


class _ReaderState(ctypes.Structure):
    _fields_ = (
        ("reader", ctypes.c_char_p),
        ("user_data", ctypes.c_void_p),
        ("current_state", ctypes.c_ulong),
        ("event_state", ctypes.c_ulong),
        ("atr_length", ctypes.c_ulong),
        ("atr", ctypes.c_ubyte * 33),
    )


class PcscReaders:
    """The readers of the pcscd behind one socket. libpcsclite takes the socket once per process: make only one."""

    def __init__(self, socket: Path) -> None:
        """Raises `ReadersMissingError` when libpcsclite is not installed."""
        os.environ["PCSCLITE_CSOCK_NAME"] = str(socket)
        try:
            self._library = ctypes.CDLL("libpcsclite.so.1")
        except OSError:
            raise ReadersMissingError("libpcsclite.so.1 is not installed") from None
        self._context = ctypes.c_long()

    def wait_for(self, names: Iterable[str], *, with_card: Iterable[str], seconds: float) -> None:
        """Wait for these readers, and for cards in some of them. Raises `ReadersMissingError`."""
        deadline = time.monotonic() + seconds
        wanted, occupied = frozenset(names), tuple(with_card)
        while not (self._connected() and wanted <= self._names() and all(map(self._has_card, occupied))):
            if time.monotonic() > deadline:
                raise ReadersMissingError("pcscd did not show every reader in time")
            time.sleep(_POLL_SECONDS)

    def _connected(self) -> bool:
        if self._library.SCardIsValidContext(self._context) == 0:
            return True
        return bool(self._library.SCardEstablishContext(_SCOPE_SYSTEM, None, None, ctypes.byref(self._context)) == 0)

    def _names(self) -> frozenset[str]:
        size = ctypes.c_ulong()
        if self._library.SCardListReaders(self._context, None, None, ctypes.byref(size)) != 0:
            return frozenset()
        names = ctypes.create_string_buffer(size.value)
        if self._library.SCardListReaders(self._context, None, names, ctypes.byref(size)) != 0:
            return frozenset()
        return frozenset(names.raw.decode(errors="replace").split("\0")) - {""}

    def _has_card(self, name: str) -> bool:
        state = _ReaderState(reader=name.encode())
        # Against the state "unaware" this answers at once
        failed = self._library.SCardGetStatusChange(self._context, ctypes.c_ulong(0), ctypes.byref(state), 1)
        return failed == 0 and bool(state.event_state & _STATE_PRESENT)

"""Which readers the smart card service lists. No reader is touched: connecting to one that a station uses can make
pcsc-lite 1.9.9 lose it.

To be called in a process of its own: PC/SC-Lite reads the path of its socket once (PCSCLITE_CSOCK_NAME).
"""

from collections.abc import Sequence

from personalization.station.errors import StationUnavailable


def list_readers() -> tuple[str, ...]:
    """PC/SC names, in the service's order. Raises `StationUnavailable` where no service answers."""
    try:
        from smartcard import scard
    except ImportError:
        raise StationUnavailable("the PC/SC library is not installed (libpcsclite1)") from None
    status, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    if status != scard.SCARD_S_SUCCESS:
        raise StationUnavailable(f"no PC/SC service answers ({status & 0xFFFFFFFF:08X})")
    try:
        status, names = scard.SCardListReaders(context, [])
    finally:
        scard.SCardReleaseContext(context)
    if status == scard.SCARD_E_NO_READERS_AVAILABLE:
        return ()
    if status != scard.SCARD_S_SUCCESS:
        raise StationUnavailable(f"the PC/SC service does not tell its readers ({status & 0xFFFFFFFF:08X})")
    return tuple(names)


def reader_named(wanted: str, listed: Sequence[str]) -> str | None:
    """The full name of a station's reader; PC/SC-Lite adds two counters to it (`Station 1 00 00`)."""
    if wanted in listed:
        return wanted
    numbered = [name for name in listed if name.rsplit(" ", 2)[0] == wanted]
    return numbered[0] if len(numbered) == 1 else None

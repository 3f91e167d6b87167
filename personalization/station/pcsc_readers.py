"""Which readers the smart card service lists. No reader is touched: connecting to one that a station uses can make
pcsc-lite 1.9.9 lose it.

To be called in a process of its own: PC/SC-Lite reads the path of its socket once (PCSCLITE_CSOCK_NAME).
"""

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


def is_listed(reader: str, listed: tuple[str, ...]) -> bool:
    """Whether a station's reader is there; PC/SC-Lite adds two counters to its name (`Station 1 00 00`)."""
    return reader in listed or sum(name.rsplit(" ", 2)[0] == reader for name in listed) == 1

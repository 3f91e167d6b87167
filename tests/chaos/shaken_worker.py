"""Workers as the line starts them, that lose their HSM session when they are told to (SIGUSR1)."""

import ctypes
import signal
from pathlib import Path
from types import FrameType

from personalization.processes import clerk_process, preparing_process, station_process
from personalization.settings import Settings, StationSettings


def shaken_station(settings: Settings, station: StationSettings) -> None:
    """`station_process`."""
    lose_sessions_when_told(settings.token.module)
    station_process(settings, station)


def shaken_preparing(settings: Settings, name: str) -> None:
    """`preparing_process`."""
    lose_sessions_when_told(settings.token.module)
    preparing_process(settings, name)


def shaken_clerk(settings: Settings) -> None:
    """`clerk_process`."""
    lose_sessions_when_told(settings.token.module)
    clerk_process(settings)


def lose_sessions_when_told(module: Path) -> None:
    """All sessions of this process are closed behind the back of the code that uses them: a token that restarts."""

    def close_all(_signal: int, _frame: FrameType | None) -> None:
        library = ctypes.CDLL(str(module))
        count = ctypes.c_ulong(0)
        if library.C_GetSlotList(1, None, ctypes.byref(count)) != 0 or count.value == 0:
            return  # nothing was opened yet
        slots = (ctypes.c_ulong * count.value)()
        library.C_GetSlotList(1, slots, ctypes.byref(count))
        for slot in slots:
            library.C_CloseAllSessions(ctypes.c_ulong(slot))

    signal.signal(signal.SIGUSR1, close_all)

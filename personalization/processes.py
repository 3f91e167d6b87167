"""Workers as processes: started by spawn, one PKCS#11 session and one thread each, gone when their parent is gone."""

import ctypes
import fcntl
import gc
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing import parent_process
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from types import FrameType

from hsm.errors import HsmError, HsmUnavailable
from personalization.errors import Halt, StoreUnavailable, place_of
from personalization.settings import Settings, StationSettings
from personalization.sources.port import SourceError

IDLE_SECONDS = 0.05
BACK_OFF_SECONDS = 0.5
NAME_SECONDS = 15.0
"""How long a worker waits for one of its name, killed a moment ago, to be gone."""
COLLECTED_OBJECTS = 50_000
"""So many more objects than before make the collector look; a few megabytes."""
EXIT_HALT = 70
EXIT_RESTART = 75
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4

log = logging.getLogger("perso")


class Stopping:
    """Set by SIGTERM: the worker finishes what it holds and ends."""

    def __init__(self) -> None:
        self.wanted = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self.wanted = True


def clerk_process(settings: Settings) -> None:
    """Runs the clerk until told to stop; at the end everything is numbered and signed."""

    def body(stopping: Stopping) -> None:
        from personalization.assembly import Parts, clerk

        with Parts(settings) as parts:
            worker = clerk(parts)
            try:
                loop(worker.run_once, stopping, parts.wakeups.wait)
                worker.run_once()
            finally:
                worker.checkpoint()

    _run("clerk", settings, body)


def preparing_process(settings: Settings, name: str) -> None:
    """Runs a preparing worker until told to stop."""

    def body(stopping: Stopping) -> None:
        from personalization.assembly import Parts, preparation

        with Parts(settings) as parts:
            worker = preparation(parts, name)
            collect_seldom()
            loop(worker.run_once, stopping, parts.wakeups.wait)

    _run(name, settings, body)


def station_process(settings: Settings, station: StationSettings) -> None:
    """Runs a station's worker until told to stop."""

    def body(stopping: Stopping) -> None:
        from personalization.assembly import Parts, station_worker

        with Parts(settings) as parts:
            loop(station_worker(parts, station).run_once, stopping, parts.wakeups.wait)

    _run(station.name, settings, body)


def acceptance_process(settings: Settings, pipe: Pipe) -> None:
    """Takes the records that the job API hands in through `pipe`, until told to stop."""

    def body(stopping: Stopping) -> None:
        from personalization.acceptance_door import serve_pushes
        from personalization.assembly import Parts, acceptance

        with Parts(settings) as parts:
            serve_pushes(pipe, acceptance(parts), parts.database, lambda: stopping.wanted)

    _run("acceptance", settings, body)


def loop(run_once: Callable[[], object], stopping: Stopping, wait: Callable[[], None]) -> None:
    """Call `run_once` until told to stop; `wait` where there is nothing to do, pause where something is away."""
    from personalization.station.errors import HopperEmpty, StationJammed, StationUnavailable

    while not stopping.wanted:
        try:
            if not run_once():
                wait()
        except (StoreUnavailable, StationUnavailable, StationJammed, HopperEmpty, SourceError) as error:
            log.warning("waiting: %s", type(error).__name__)
            time.sleep(BACK_OFF_SECONDS)


def _run(name: str, settings: Settings, body: Callable[[Stopping], None]) -> None:
    die_with_parent()
    keep_memory_private()
    _log_to(settings.log_file, name)
    # Read by the libraries themselves, once per process, so they are set before any is loaded.
    if settings.softhsm_conf is not None:
        os.environ["SOFTHSM2_CONF"] = str(settings.softhsm_conf)
    if settings.pcsc_socket is not None:
        os.environ["PCSCLITE_CSOCK_NAME"] = str(settings.pcsc_socket)
    with ExitStack() as stack:
        try:
            stack.enter_context(_Lock(settings.lock_directory / f"{name}.lock"))
            body(Stopping())
        except Halt as halt:
            log.error("halt %s: %s", halt.code, halt)
            sys.exit(EXIT_HALT)
        except HsmUnavailable as error:
            log.warning("the HSM session is gone (%s): a new process opens a new one", error)
            sys.exit(EXIT_RESTART)
        except HsmError as error:
            log.error("halt: %s", type(error).__name__)
            sys.exit(EXIT_HALT)
        except Exception as error:  # noqa: BLE001 - the last line: name the place, never the values
            log.error("stopped by %s at %s", type(error).__name__, place_of(error))
            sys.exit(EXIT_RESTART)


class _Lock:
    """Exclusive per worker name: whoever holds it may take the name's claims back at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        deadline = time.monotonic() + NAME_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Halt("name-taken", f"another process works under the name {self._path.stem}") from None
                time.sleep(IDLE_SECONDS)
            else:
                return

    def __exit__(self, *_: object) -> None:
        self._file.close()


def collect_seldom() -> None:
    """To be called when all is loaded: what stands then is not looked through for garbage again and again.

    Nearly all objects of a batch go when nothing refers to them any more; the collector only finds circles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_OBJECTS, 20, 50)


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent is not None and not parent.is_alive():
        sys.exit(EXIT_RESTART)  # it died while this process started: its death was no signal to us any more


def keep_memory_private() -> None:
    """No core file and no debugger of the same user: data keys and one-time PINs are in this memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)


def _log_to(path: Path, name: str) -> None:
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter(f"%(asctime)s {name} %(levelname)s %(message)s"))
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False

"""A line of its own for one benchmark run, and worker processes that do its work and say what it cost.

Everything that is compared runs in one worker, in turns, so that both sides see the same machine at the same time.
"""

import os
import resource
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from api import line
from api.apart import environment_of
from api.failure import CommandFailed
from api.progress import SOURCE
from api.state_directory import StateDirectory
from api.token import token_settings
from personalization.errors import place_of
from personalization.processes import die_with_parent, keep_memory_private
from personalization.settings import Settings

Saying = Callable[[str], None]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a piece of work cost: how many things it made, wall clock and CPU time of its process."""

    count: int
    wall_seconds: float
    cpu_seconds: float

    @property
    def wall_each(self) -> float:
        """Seconds of wall clock for one."""
        return self.wall_seconds / self.count

    @property
    def cpu_each(self) -> float:
        """CPU seconds for one."""
        return self.cpu_seconds / self.count


def spend(work: Callable[[], int]) -> Spent:
    """Do it and measure it; `work` returns how many things it made."""
    cpu, wall = time.process_time(), time.perf_counter()
    count = work()
    return Spent(count, time.perf_counter() - wall, time.process_time() - cpu)


@contextmanager
def bench_line(say: Saying) -> Iterator[tuple[StateDirectory, Settings]]:
    """A line with token, held ceremony and empty tables in a temporary directory, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="perso-bench-") as directory:
        state = StateDirectory(Path(directory))
        options = line.LineOptions(
            records=Path(directory), state=state, database_url=None, stations=1, workers=1, specimen=False, direct=True
        )
        state.create()
        with state.locked():
            line.prepare(options, say)
            yield (
                state,
                Settings(
                    database_url=state.database_url,
                    key_store_url=state.key_store_url,
                    token=token_settings(state),
                    softhsm_conf=state.softhsm_conf,
                    authorities=state.authorities(specimen=False),
                    lock_directory=state.locks,
                    log_file=state.log_file,
                    source_name=SOURCE,
                    source_url="",
                    specimen=False,
                    pcsc_socket=None,
                ),
            )


class Bench:
    """What the functions that run in a worker are given: its name, the line's settings, and a place for their parts."""

    def __init__(self, name: str, settings: Settings) -> None:
        from personalization.assembly import Parts

        self.name = name
        self.settings = settings
        self.parts = Parts(settings)
        self._kept: dict[str, Any] = {}
        self._counts: Counter[str] = Counter()

    def keep(self, what: str, make: Callable[[], R]) -> R:
        """Made when first asked for, kept as long as the worker."""
        if what not in self._kept:
            self._kept[what] = make()
        kept: R = self._kept[what]
        return kept

    def count(self, what: str) -> int:
        """1, 2, 3, … for each thing that needs names of its own."""
        self._counts[what] += 1
        return self._counts[what]


class Worker:
    """A spawned process with one HSM session that runs functions for a benchmark, one after the other."""

    def __init__(self, name: str, settings: Settings) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, settings))
        self._process.start()
        theirs.close()

    def start(self, function: Callable[Concatenate[Bench, P], object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Let it begin; `result` waits for the end."""
        self._pipe.send((function, args, kwargs))

    def result(self) -> Any:
        """What the function that was started returned. Raises `CommandFailed`."""
        try:
            failed, value = self._pipe.recv()
        except EOFError:
            raise CommandFailed("a worker of the benchmark died") from None
        if failed:
            raise CommandFailed(str(value))
        return value

    def run(self, function: Callable[Concatenate[Bench, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Start, wait, result."""
        self.start(function, *args, **kwargs)
        value: R = self.result()
        return value

    def stop(self) -> None:
        """Let it end."""
        self._pipe.close()
        self._process.join(20)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


@contextmanager
def worker(name: str, settings: Settings) -> Iterator[Worker]:
    """A worker that ends with the block."""
    started = Worker(name, settings)
    try:
        yield started
    finally:
        started.stop()


def peak_memory_bytes(_: Bench) -> int:
    """The most memory the worker has had (VmHWM: ru_maxrss would count what its parent had when it was started)."""
    for row in Path("/proc/self/status").read_text().splitlines():
        if row.startswith("VmHWM:"):
            return int(row.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _serve(pipe: Pipe, name: str, settings: Settings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    die_with_parent()
    keep_memory_private()
    os.environ.update(environment_of(settings))
    bench = None
    while True:
        try:
            function, args, kwargs = pipe.recv()
        except EOFError:
            break
        try:
            bench = bench or Bench(name, settings)
            pipe.send((False, function(bench, *args, **kwargs)))
        except CommandFailed as failure:
            pipe.send((True, str(failure)))
        except Exception as error:  # noqa: BLE001 - its text may quote data: name the place, never the values
            pipe.send((True, f"stopped by {type(error).__name__} at {place_of(error)}"))
    if bench is not None:
        bench.parts.close()

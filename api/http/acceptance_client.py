"""The web side of the acceptance process: starts it, hands it records, and starts it again when it has died."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

import anyio.to_thread

from personalization.acceptance import Answer
from personalization.acceptance_door import READY, AcceptanceAway, Push, Reply, Trouble
from personalization.errors import EngineError, Halt, StoreUnavailable
from personalization.processes import acceptance_process
from personalization.settings import Settings

READY_SECONDS = 20.0
ANSWER_SECONDS = 120.0
"""A batch takes a second or two; one that takes this long hangs."""
RESTART_SECONDS = 1.0
STOP_SECONDS = 10.0
MOST_WAITING = 64

log = logging.getLogger("perso")


class PushFailed(EngineError):
    """The acceptance process could not take a push, and nobody foresaw why."""


class AcceptanceClient:
    """`AcceptancePort` over a pipe to a spawned process. One push at a time: behind the pipe is one HSM session."""

    def __init__(self, settings: Settings, target: Callable[[Settings, Pipe], None] = acceptance_process) -> None:
        self._settings = settings
        self._target = target
        self._process: BaseProcess | None = None
        self._pipe: Pipe | None = None
        self._ready = asyncio.Event()
        self._turn = asyncio.Lock()
        self._exchanges: set[asyncio.Task[Reply]] = set()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._keeper = asyncio.create_task(self._keep())
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._ready.wait()
        except TimeoutError:
            log.warning("no HSM session yet: records are not taken before there is one")
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        if self._exchanges:
            await asyncio.wait(self._exchanges, timeout=STOP_SECONDS)  # what is being taken is finished
        await anyio.to_thread.run_sync(self._end, STOP_SECONDS)

    async def push(self, source: str, contents: Sequence[bytes], now: datetime) -> Sequence[Answer | None]:
        """`AcceptancePort.push`."""
        if not self._ready.is_set() or len(self._exchanges) >= MOST_WAITING:
            raise AcceptanceAway("no process takes records at the moment, or too many wait for it")
        # A task of its own: a caller that goes away must not leave a reply in the pipe for the next one.
        exchange = asyncio.create_task(self._exchange(Push(source, tuple(contents), now)))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)
        reply = await asyncio.shield(exchange)
        match reply:
            case Trouble.STORE:
                raise StoreUnavailable("the database does not answer or is locked")
            case Trouble.HSM:
                raise AcceptanceAway("the HSM does not answer")
            case Trouble.HALTED:
                raise Halt("acceptance-halted", "records are not taken until people have looked")
            case Trouble.FAILED:
                raise PushFailed("the acceptance process failed at this push; the log says where")
            case _:
                return reply

    async def _exchange(self, push: Push) -> Reply:
        async with self._turn:
            process, pipe = self._process, self._pipe
            if process is None or pipe is None or not self._ready.is_set():
                raise AcceptanceAway("the acceptance process has ended")
            thread = asyncio.ensure_future(anyio.to_thread.run_sync(_send_and_receive, pipe, push))
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await asyncio.shield(thread)
            except TimeoutError:
                process.kill()  # the thread then finds the pipe closed
                await asyncio.wait([thread])
            except (OSError, EOFError):
                pass
            self._ready.clear()
            raise AcceptanceAway("the acceptance process has ended")

    async def _keep(self) -> None:
        """Start the process; when it has died, start another."""
        while True:
            # In this thread, the main one: a child is sent its death signal when the thread ends that made it.
            process, pipe = self._start()
            said_ready = await anyio.to_thread.run_sync(_says_ready, pipe, process)
            if said_ready:
                self._ready.set()
                while process.is_alive() and self._ready.is_set():
                    await asyncio.sleep(0.1)
            self._ready.clear()
            log.warning("the acceptance process has ended and is started again")
            await anyio.to_thread.run_sync(self._end, 0.0)
            await asyncio.sleep(RESTART_SECONDS)

    def _start(self) -> tuple[BaseProcess, Pipe]:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=self._target, args=(self._settings, theirs), name="acceptance")
        process.start()
        theirs.close()
        self._process, self._pipe = process, ours
        return process, ours

    def _end(self, seconds: float) -> None:
        if self._process is None or self._pipe is None:
            return
        self._process.terminate()
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._pipe.close()
        self._process, self._pipe = None, None


def _send_and_receive(pipe: Pipe, push: Push) -> Reply:
    pipe.send(push)
    reply: Reply = pipe.recv()
    return reply


def _says_ready(pipe: Pipe, process: BaseProcess) -> bool:
    """Whether the new process opened its parts; a thread waits, so that the service can answer meanwhile."""
    try:
        while not pipe.poll(0.2):
            if not process.is_alive() and not pipe.poll(0):
                return False
        return bool(pipe.recv() == READY)
    except (OSError, EOFError):
        return False

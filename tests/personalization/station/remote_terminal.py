"""A terminal in a process of its own: PC/SC-Lite reads the path of its socket once in a process."""

import multiprocessing
import os
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from personalization.station.direct import DirectTerminal
from personalization.station.errors import StationError
from personalization.station.pcsc import PcscTerminal
from personalization.station.ports import Outcome, Script

CARD_WAIT = timedelta(seconds=2.5)


def pcsc(socket: str, reader: str) -> PcscTerminal:
    """Made in the child: sets where PC/SC-Lite is before pyscard is loaded."""
    os.environ["PCSCLITE_CSOCK_NAME"] = socket
    return PcscTerminal(reader, card_wait=CARD_WAIT)


def direct(chip: str) -> DirectTerminal:
    """`chip`: `unix:PATH`."""
    return DirectTerminal(Path(chip.removeprefix("unix:")), card_wait=CARD_WAIT)


class RemoteTerminal:
    """`Terminal` whose calls are made by a child process."""

    def __init__(self, make: Callable[..., Any], *arguments: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, make, arguments), daemon=True)
        self._process.start()
        there.close()
        self._answer()

    @property
    def reader_name(self) -> str | None:
        name: str | None = self._call("reader_name")
        return name

    def other_readers(self) -> tuple[str, ...]:
        names: tuple[str, ...] = self._call("other_readers")
        return names

    def power_on(self) -> bytes:
        atr: bytes = self._call("power_on")
        return atr

    def play(self, script: Script) -> Outcome:
        outcome: Outcome = self._call("play", script)
        return outcome

    def release(self) -> None:
        self._call("release")

    def close(self) -> None:
        self._call("close")
        self._here.close()
        self._process.join(5)

    def _call(self, name: str, *arguments: object) -> Any:
        self._here.send((name, arguments))
        return self._answer()

    def _answer(self) -> Any:
        if not self._here.poll(30):
            raise TimeoutError
        answer = self._here.recv()
        if isinstance(answer, StationError):
            raise answer
        return answer


def _serve(connection: "Connection[Any, Any]", make: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    terminal = make(*arguments)
    connection.send(None)
    while True:
        try:
            name, given = connection.recv()
        except EOFError:
            return
        try:
            member = getattr(terminal, name)
            connection.send(member(*given) if callable(member) else member)
        except StationError as error:
            connection.send(error)

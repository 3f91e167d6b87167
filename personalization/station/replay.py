"""Replay: the commands of a trace, played against a chip, every answer compared with the one in the trace.

The first difference ends it. That also protects the chip: it says who it is before any key is used, and answers
INITIALIZE UPDATE before EXTERNAL AUTHENTICATE, so that another chip than a copy of the traced one is asked and nothing
more; no wrong authentication is counted against it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personalization.station.errors import StationError
from personalization.station.ports import Command, Lost, Response, Script, ScriptId, Terminal
from personalization.station.trace import FORMAT

_INITIALIZE_UPDATE = b"\x80\x50"


class TraceUnreadable(StationError):
    """The file is no trace of this format; the message names the line and quotes nothing."""


@dataclass(frozen=True, slots=True)
class PowerOn:
    """The chip was powered, or powered again, and answered with this ATR."""

    line: int
    atr: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """One command and what came of it.

    `command` is None where it was masked; `response` is None where only its length is known; `status` is None where no
    answer came.
    """

    line: int
    purpose: str
    command: bytes | None
    response: bytes | None
    response_bytes: int
    status: int | None


Entry = PowerOn | Exchange


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where the chip did something else than in the trace; `line` counts from 1."""

    line: int
    purpose: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many exchanges were played and, where they were not all the same, the first difference."""

    exchanges: int
    difference: Difference | None


def read_trace(path: Path) -> tuple[Entry, ...]:
    """The entries of a trace. Raises `TraceUnreadable`, `OSError`."""
    entries = tuple(_read(number, line) for number, line in enumerate(path.read_bytes().splitlines(), start=1))
    if not entries or not isinstance(entries[0], PowerOn):
        raise TraceUnreadable("line 1: a trace begins with a chip that is powered")
    return entries


def replay(entries: Sequence[Entry], terminal: Terminal) -> Replayed:
    """Play all commands, until one is answered otherwise than in the trace.

    What a trace encodes is encoded for good: a chip that follows to the end is locked. Raises `CardAbsent`,
    `ReaderGone`.
    """
    played = 0
    for entry in entries:
        if isinstance(entry, PowerOn):
            sentence = None if terminal.power_on() == entry.atr else "The chip has another ATR."
        elif entry.command is None:
            sentence = "The trace does not hold this command: it could tell a secret."
        else:
            sentence = _play(entry, entry.command, terminal)
            played += 1
        if sentence is not None:
            purpose = "power on" if isinstance(entry, PowerOn) else entry.purpose
            return Replayed(played, Difference(entry.line, purpose, sentence))
    return Replayed(played, None)


def _play(entry: Exchange, apdu: bytes, terminal: Terminal) -> str | None:
    """What is different, None where nothing is."""
    allowed = frozenset(range(0x10000)) if entry.status is None else frozenset({entry.status})
    script = Script(ScriptId(f"replay/{entry.line}"), 1, (Command(apdu, entry.purpose, allowed),))
    outcome = terminal.play(script)
    if entry.status is None:
        return None  # nobody knows what the traced chip answered; whether it ran the command shows in what follows
    if isinstance(outcome, Lost):
        return f"No answer came: {outcome.reason}."
    return _compare(entry, apdu, outcome.responses[-1])


def _compare(entry: Exchange, apdu: bytes, answer: Response) -> str | None:
    if answer.status != entry.status:
        return f"The chip answered {answer.status:04X}; in the trace it was {entry.status:04X}."
    if len(answer.data) != entry.response_bytes:
        return f"The chip answered with {len(answer.data)} bytes; in the trace there are {entry.response_bytes}."
    if entry.response is None or answer.data == entry.response:
        return None
    if apdu.startswith(_INITIALIZE_UPDATE):
        return (
            "The chip opens another channel: it is not a copy of the traced one, its sequence counter stands "
            "elsewhere, or its challenges are random."
        )
    return "The chip answered with other bytes."


def _read(number: int, line: bytes) -> Entry:
    try:
        told = json.loads(line)
        if "atr" in told:
            if told["trace"] != FORMAT:
                raise TraceUnreadable(f"line {number}: this trace is of another format than {FORMAT}")
            return PowerOn(number, bytes.fromhex(told["atr"]))
        return _exchange(number, told)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise TraceUnreadable(f"line {number}: not a line of a trace; it may have been cut off by a kill") from None


def _exchange(number: int, told: dict[str, Any]) -> Exchange:
    command, response = (bytes.fromhex(told[name]) if name in told else None for name in ("command", "response"))
    if "lost" in told:
        return Exchange(number, str(told["purpose"]), command, None, 0, None)
    count = int(told["response_bytes"]) if response is None else len(response)
    return Exchange(number, str(told["purpose"]), command, response, count, int(told["status"], 16))

"""A trace of an encoding for quality assurance: every exchange with a chip, one JSON line each, without secrets.

It holds what goes over the line in any case, and of that only what is known to tell nothing: the first contact, the
opening of a channel, and commands and answers that the channel encrypts (docs/trace-and-replay.md). Of everything else,
PINs and what is read in clear among it, the lengths alone are written. A trace is for the encoding of a card; the
inspection, which reads all of it in clear, is given a terminal without one.
"""

import contextlib
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from personalization.station.contact import chip_serial
from personalization.station.journal import JOURNAL_SCRIPTS
from personalization.station.ports import Lost, Outcome, Response, Script, ScriptId, Terminal

FORMAT = 1
_CPLC_ANSWER = bytes.fromhex("9F7F2A")
_PUBLIC_OBJECTS = frozenset({0x9F7F, 0xDF20, 0xDF21, 0x00E0})
"""Production data, lot, operating system, key information: of the chip, before it is anybody's."""
_C_DECRYPTION, _R_MAC, _R_ENCRYPTION = 0x02, 0x10, 0x20
_MAC_BYTES = 8

log = logging.getLogger("perso")


class Discretion:
    """Decides what of each exchange may be written; it follows the channel's level as it is opened and closed.

    What it does not know is masked: a command that nobody thought of must not be the one that tells a PIN.
    """

    def __init__(self) -> None:
        self._level = 0

    def reset(self) -> None:
        """Power and channel are gone."""
        self._level = 0

    def may_show(self, apdu: bytes, answer: Response | None) -> tuple[bool, bool]:
        """Whether the command, and whether its answer, may be written whole. Call it once for each, in their order."""
        cla, ins, p1, p2 = apdu[:4]
        if (cla, ins, p1) == (0x00, 0xA4, 0x04) or (cla, ins) == (0x80, 0x50):
            self._level = 0  # SELECT by AID and INITIALIZE UPDATE end a channel
            return True, True
        if (cla, ins) == (0x84, 0x82):  # EXTERNAL AUTHENTICATE: its P1 is the level
            self._level = p1 if answer is not None and answer.status == 0x9000 else 0
            return True, True
        if (cla, ins) == (0x80, 0xF2) or ((cla, ins) == (0x80, 0xCA) and p1 << 8 | p2 in _PUBLIC_OBJECTS):
            return True, True
        if cla == 0x84 and self._level & _C_DECRYPTION:
            clear_bytes = 0 if answer is None else len(answer.data) - (_MAC_BYTES if self._level & _R_MAC else 0)
            return True, bool(self._level & _R_ENCRYPTION) or clear_bytes <= 0
        return False, False


class TracedTerminal:
    """`Terminal` that hands everything through and writes what was exchanged to `directory/CHIP_SERIAL.jsonl`.

    The file is its owner's alone and is appended to: all tries at a chip stand in one file. What is exchanged before
    the chip has said who it is waits in memory. A trace that cannot be written is given up; it costs no card.
    """

    def __init__(self, terminal: Terminal, directory: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, monotonic. Raises `OSError` where the directory cannot be made."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._terminal = terminal
        self._directory = directory
        self._clock = clock
        self._discretion = Discretion()
        self._played: deque[ScriptId] = deque(maxlen=JOURNAL_SCRIPTS)
        self._waiting: list[str] = []
        self._path: Path | None = None
        self._given_up = False

    @property
    def reader_name(self) -> str | None:
        """As `Terminal.reader_name`."""
        return self._terminal.reader_name

    def other_readers(self) -> tuple[str, ...]:
        """As `Terminal.other_readers`."""
        return self._terminal.other_readers()

    def power_on(self) -> bytes:
        """As `Terminal.power_on`; begins a section of the trace."""
        atr = self._terminal.power_on()
        self._discretion.reset()
        self._path, self._given_up = None, False
        self._waiting = [_line(trace=FORMAT, ms=self._milliseconds(), atr=_hex(atr))]
        return atr

    def play(self, script: Script) -> Outcome:
        """As `Terminal.play`; an outcome that came from the journal is not written again."""
        sent_at = self._milliseconds()
        outcome = self._terminal.play(script)
        if script.id not in self._played:
            self._played.append(script.id)
            self._waiting += self._lines(script, outcome, sent_at)
            self._path = self._path or self._named(outcome)
            if self._path is not None:
                self._write(self._path)
        return outcome

    def release(self) -> None:
        """As `Terminal.release`."""
        self._terminal.release()

    def _lines(self, script: Script, outcome: Outcome, sent_at: int) -> Iterator[str]:
        took = self._milliseconds() - sent_at
        sent = len(outcome.responses) + isinstance(outcome, Lost)
        for index, command in enumerate(script.commands[:sent]):
            answer = outcome.responses[index] if index < len(outcome.responses) else None
            show_command, show_answer = self._discretion.may_show(command.apdu, answer)
            told: dict[str, object] = {
                "ms": sent_at,
                "script_ms": took,
                "script": script.id,
                "fence": script.fence,
                "purpose": command.purpose,
            }
            if show_command:
                told["command"] = _hex(command.apdu)
            else:
                told |= {"header": _hex(command.apdu[:4]), "command_bytes": len(command.apdu)}
            if answer is None:
                told["lost"] = outcome.reason if isinstance(outcome, Lost) else ""
            else:
                told["status"] = f"{answer.status:04X}"
                told |= {"response": _hex(answer.data)} if show_answer else {"response_bytes": len(answer.data)}
            yield _line(**told)

    def _named(self, outcome: Outcome) -> Path | None:
        for answer in outcome.responses:
            if answer.data.startswith(_CPLC_ANSWER) and len(answer.data) == 45:
                return self._directory / f"{chip_serial(answer.data[3:])}.jsonl"
        return None

    def _write(self, path: Path) -> None:
        lines, self._waiting = "".join(self._waiting), []
        if self._given_up:
            return
        try:
            _append(path, lines.encode("ascii"))
        except OSError as error:
            self._given_up = True
            log.warning("the trace of a chip is given up: %s", os.strerror(error.errno or 0))

    def _milliseconds(self) -> int:
        return int(self._clock() * 1000)


def _append(path: Path, lines: bytes) -> None:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            lines = b"\n" + lines  # a line that a kill cut off stays, and is told when the trace is read
        view = memoryview(lines)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _line(**members: object) -> str:
    return json.dumps(members) + "\n"


def _hex(data: bytes) -> str:
    return data.hex().upper()

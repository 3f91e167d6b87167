"""Playing scripts: what every terminal does the same way, whatever wire its card hangs on.

A script is played once: a repeated id is answered from the journal, and an owner with an older fence is refused. The
journal lives in memory alone, for answers may hold personal data; after a restart nobody asks for old ids, because
the next attempt has a prefix of its own.
"""

from collections import OrderedDict
from collections.abc import Callable

from personalization.station.errors import ScriptIdTaken, StaleFence, StationError
from personalization.station.ports import Command, Lost, Outcome, Played, Response, Script, ScriptId, Stopped

Transmit = Callable[[bytes], bytes]
"""Sends one command APDU and returns the response with its status word. Raises `AnswerMissing`."""

JOURNAL_SCRIPTS = 256
_MORE_ANSWERS = 512


class AnswerMissing(StationError):
    """Inside this room: the answer to a command did not come; becomes `Lost` before it leaves a terminal."""


class ScriptPlayer:
    """Fence, journal and playing of one terminal; not for several threads."""

    def __init__(self, transmit: Transmit, *, journal_scripts: int = JOURNAL_SCRIPTS) -> None:
        self._transmit = transmit
        self._journal_scripts = journal_scripts
        self._journal: OrderedDict[ScriptId, tuple[int, Outcome]] = OrderedDict()
        self._fence = 0

    def play(self, script: Script) -> Outcome:
        """The outcome, from the journal if the id has been played.

        1. Raises `StaleFence` for a fence lower than one already seen. 2. Answers a repeated id from the journal, or
        raises `ScriptIdTaken` when its commands were others. 3. Plays, and journals whatever came of it.
        """
        # 1.
        if script.fence < self._fence:
            raise StaleFence("a later owner of the job has used this terminal")
        self._fence = script.fence
        # 2. The commands are remembered as Python's keyed hash alone: a command may hold a PIN.
        commands = hash(script.commands)
        if script.id in self._journal:
            played, outcome = self._journal[script.id]
            if played != commands:
                raise ScriptIdTaken("a script with this id has been played with other commands")
            return outcome
        # 3.
        outcome = self._send(script)
        self._journal[script.id] = (commands, outcome)
        if len(self._journal) > self._journal_scripts:
            self._journal.popitem(last=False)
        return outcome

    def _send(self, script: Script) -> Outcome:
        responses: list[Response] = []
        for index, command in enumerate(script.commands):
            try:
                response = self._exchange(command)
            except AnswerMissing as missing:
                return Lost(index, command.purpose, str(missing), tuple(responses))
            responses.append(response)
            if response.status not in command.allowed:
                return Stopped(index, command.purpose, response.status, tuple(responses))
        return Played(tuple(responses))

    def _exchange(self, command: Command) -> Response:
        data, status = self._once(command.apdu)
        if status >> 8 == 0x6C:
            # ISO/IEC 7816-4 §5.6: wrong Le, SW2 tells the right one; the card has not run the command.
            data, status = self._once(_with_expected(command.apdu, status & 0xFF))
        parts = [data]
        for _ in range(_MORE_ANSWERS):
            if status >> 8 != 0x61:
                return Response(b"".join(parts), status)
            # ISO/IEC 7816-3 §12.1.2: SW2 bytes wait for GET RESPONSE.
            data, status = self._once(bytes((0x00, 0xC0, 0x00, 0x00, status & 0xFF)))
            parts.append(data)
        raise AnswerMissing("the card never came to the end of its answer")

    def _once(self, apdu: bytes) -> tuple[bytes, int]:
        answer = self._transmit(apdu)
        if len(answer) < 2:
            raise AnswerMissing("the answer has no status word")
        return answer[:-2], int.from_bytes(answer[-2:], "big")


def _with_expected(apdu: bytes, expected: int) -> bytes:
    # Short length only: 6Cxx cannot tell an extended Le. A case 1 or 3 command gets an Le, a case 2 or 4 another one.
    case_2 = len(apdu) == 5
    case_4 = len(apdu) > 5 and len(apdu) == 6 + apdu[4]
    return (apdu[:-1] if case_2 or case_4 else apdu) + bytes((expected,))

"""A terminal that holds a simulated chip without a wire, and may lose it."""

from personalization.station.journal import AnswerMissing, ScriptPlayer
from personalization.station.ports import Outcome, Script
from simulators.chip.card import Chip


class ChipTerminal:
    """`Terminal` over a chip in this process; the card is gone after `lose_after` commands."""

    reader_name = None

    def __init__(self, chip: Chip, *, lose_after: int | None = None) -> None:
        self._chip = chip
        self._left = lose_after
        self._player = ScriptPlayer(self._transmit)

    def other_readers(self) -> tuple[str, ...]:
        return ()

    def power_on(self) -> bytes:
        return self._chip.power_on()

    def play(self, script: Script) -> Outcome:
        return self._player.play(script)

    def release(self) -> None:
        self._chip.power_off()

    def _transmit(self, apdu: bytes) -> bytes:
        if self._left is not None:
            if not self._left:
                raise AnswerMissing("the card is gone")
            self._left -= 1
        return self._chip.transmit(apdu)

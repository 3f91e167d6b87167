"""A card station in this process: the simulated machine with hands for contacts, a terminal on what they hold, and a
printer that never waits.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from personalization.inspection.judges import Bar
from personalization.inspection.own import OwnReport, inspect_card
from personalization.inspection.steps import JudgeReport
from personalization.station.errors import CardAbsent, HopperEmpty, StationJammed
from personalization.station.journal import AnswerMissing, ScriptPlayer
from personalization.station.ports import FeederState, Outcome, PrintJob, PrintJobState, Script
from simulators.chip.errors import ChipError
from simulators.chip.wire import Card
from simulators.contacts import OpenCard, StationFaultError
from simulators.faulty_chip import CardSwapped
from simulators.station import CardStation


class WorkerGone(BaseException):
    """The worker's process is no more; `BaseException`, so that nothing in it can mend that."""


class Hands:
    """`Contacts` without a wire: the card that is joined, for `HandTerminal`."""

    def __init__(self) -> None:
        self.card: Card | None = None
        self._exchanged: OpenCard | None = None

    def attach(self, card: OpenCard, exchanged: OpenCard) -> None:
        if self.card is None:
            self.card, self._exchanged = card(), exchanged

    def wait(self, seconds: float) -> None:
        pass

    def detach(self) -> None:
        if self.card is not None:
            self.card.power_off()
        self.card = None

    def exchange(self) -> None:
        assert self._exchanged is not None
        self.card = self._exchanged()


class HandTerminal:
    """`Terminal` on the card that the hands hold."""

    reader_name = None

    def __init__(self, hands: Hands, *, ends_worker: bool) -> None:
        self._hands = hands
        self._ends_worker = ends_worker
        self._player = ScriptPlayer(self._transmit)
        self._playing: dict[bytes, str] = {}
        self.purposes: list[str] = []
        """What every command that was sent was for."""

    def other_readers(self) -> tuple[str, ...]:
        return ()

    def power_on(self) -> bytes:
        card = self._hands.card
        if card is None or card.mute:
            raise CardAbsent("no card that answers stands in the reader")
        card.power_off()
        return card.power_on()

    def play(self, script: Script) -> Outcome:
        self._playing = {command.apdu: command.purpose for command in script.commands}
        return self._player.play(script)

    def release(self) -> None:
        if self._hands.card is not None:
            self._hands.card.power_off()

    def _transmit(self, apdu: bytes) -> bytes:
        card = self._hands.card
        if card is None or not card.powered:
            raise AnswerMissing("the card is not powered")
        self.purposes.append(self._playing.get(apdu, "the same again"))  # after 6Cxx or 61xx
        try:
            return card.transmit(apdu)
        except CardSwapped:
            self._hands.exchange()
        except ChipError:
            pass  # torn off
        if self._ends_worker:
            raise WorkerGone
        raise AnswerMissing("the card is gone")


class HandFeeder:
    """`Feeder` over the simulated station in this process."""

    def __init__(self, machine: CardStation) -> None:
        self._machine = machine

    def state(self) -> FeederState:
        return FeederState(**asdict(self._machine.counts()))

    def load(self) -> None:
        try:
            self._machine.load()
        except StationFaultError as fault:
            raise (HopperEmpty if str(fault) == "hopper-empty" else StationJammed)(str(fault)) from None

    def eject(self, *, good: bool) -> None:
        self._machine.eject("good" if good else "reject")


class QuickPrinter:
    """`Printer` that has printed as soon as it is asked to."""

    def __init__(self) -> None:
        self.printed: list[str] = []

    def submit(self, name: str, document: bytes) -> PrintJob:  # noqa: ARG002
        self.printed.append(name)
        return self._job(name)

    def find(self, name: str) -> Sequence[PrintJob]:
        return [self._job(name)] if name in self.printed else []

    def wait(self, job: PrintJob, timeout_seconds: float) -> PrintJob:  # noqa: ARG002
        return job

    def _job(self, name: str) -> PrintJob:
        return PrintJob(self.printed.index(name) + 1, name, PrintJobState.COMPLETED, ())


def judge_alone(bar: Bar, expected: Any, **more: Any) -> tuple[OwnReport, list[JudgeReport]]:
    """`judge_card` with our own steps alone."""
    more.pop("now")
    own = inspect_card(bar.terminal, expected, **more)
    bar.terminal.release()
    return own, [own.report]

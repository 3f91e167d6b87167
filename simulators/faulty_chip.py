"""A chip that fails as its station's scenario says. What it does not fail at, the sound chip inside does."""

import time
from collections.abc import Callable

from simulators.chip.apdu import Status
from simulators.chip.errors import ChipError
from simulators.chip.wire import Card
from simulators.scenario import Fault, Kind, Scenario

_STORE_DATA = 0xE2


class CardTorn(ChipError):
    """The chip lost its power in the middle of a command; the card still stands in position."""


class CardSwapped(CardTorn):
    """Another card stands in position now."""


class CardMute(ChipError):
    """The chip will never answer again."""


class FaultyChip:
    """`Card` around a card, the `ordinal`-th of its station.

    Commands are counted from when the card came into position, for every fault anew from its last strike. At most one
    fault strikes a command: the first of the file.
    """

    def __init__(
        self, card: Card, ordinal: int, scenario: Scenario, *, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._card = card
        self._ordinal = ordinal
        self._scenario = scenario
        self._sleep = sleep
        self._commands = 0
        self._stores = 0
        self._counted_from: dict[str, int] = {}
        scenario.reread()

    @property
    def serial(self) -> str:
        """As `Card.serial`."""
        return self._card.serial

    @property
    def atr(self) -> bytes:
        """As `Card.atr`."""
        return self._card.atr

    @property
    def powered(self) -> bool:
        """As `Card.powered`."""
        return self._card.powered

    @property
    def mute(self) -> bool:
        """Whether it fell mute at some command, here or before the station was started again."""
        return any(fault.kind is Kind.MUTE and self._scenario.lasts(fault, self.serial) for fault in self._faults())

    @property
    def written_bytes(self) -> int:
        """As `Card.written_bytes`."""
        return self._card.written_bytes

    def power_on(self) -> bytes:
        """As `Card.power_on`; the scenario is read anew. Raises `CardMute`."""
        self._scenario.reread()
        if self.mute:
            raise CardMute(self.serial)
        return self._card.power_on()

    def power_off(self) -> None:
        """As `Card.power_off`."""
        self._card.power_off()

    def reset(self) -> bytes:
        """As `power_on`."""
        return self.power_on()

    def transmit(self, apdu: bytes) -> bytes:
        """As `Card.transmit`. Raises `CardTorn`, `CardSwapped`, `CardMute`."""
        self._commands += 1
        storing = apdu[1:2] == bytes((_STORE_DATA,))
        self._stores += storing
        lasting = [fault for fault in self._faults() if self._in_force(fault, storing=storing)]
        if delay_ms := sum(fault.milliseconds for fault in lasting):
            self._sleep(delay_ms / 1000)
        kinds = {fault.kind for fault in lasting}
        if Kind.MUTE in kinds:
            self._card.power_off()
            raise CardMute(self.serial)
        if Kind.NO_MEMORY in kinds and storing:
            return Status.NO_MEMORY.to_bytes(2)
        struck = next((fault for fault in self._faults() if self._strikes(fault)), None)
        return self._card.transmit(apdu) if struck is None else self._fail(struck, apdu)

    def _fail(self, fault: Fault, apdu: bytes) -> bytes:
        self._scenario.remember(fault, self.serial)
        self._counted_from[fault.name] = self._commands
        if fault.kind is Kind.STATUS:
            return fault.status.to_bytes(2)
        if fault.kind is Kind.TORN_AFTER:
            self._card.transmit(apdu)
        self._card.power_off()
        raise CardSwapped(self.serial) if fault.kind is Kind.SWAPPED else CardTorn(self.serial)

    def _faults(self) -> tuple[Fault, ...]:
        return self._scenario.faults(self.serial, self._ordinal)

    def _strikes(self, fault: Fault) -> bool:
        due = self._commands - self._counted_from.get(fault.name, 0) == fault.apdu
        return due and not fault.lasting and self._scenario.may_strike(fault)

    def _in_force(self, fault: Fault, *, storing: bool) -> bool:
        """Whether a lasting fault is with this card, from now on if not before."""
        if not fault.lasting or self._scenario.lasts(fault, self.serial):
            return fault.lasting
        reached = self._stores if fault.kind is Kind.NO_MEMORY else self._commands
        if (
            reached < fault.apdu
            or not self._scenario.may_strike(fault)
            or (fault.kind is Kind.NO_MEMORY and not storing)
        ):
            return False
        self._scenario.remember(fault, self.serial)
        return True

"""The chip as a reader sees it: contacts, ATR, APDUs in, APDUs out."""

from pathlib import Path

from simulators.chip.apdu import Command, Status, StatusError, fit, parse
from simulators.chip.contents import CARD_MANAGER_AID, EID_MAIN, TRAVEL_DOCUMENT, Application, Contents, application
from simulators.chip.eid import ElectronicIdentity
from simulators.chip.errors import ChipUnpowered
from simulators.chip.manager import CardManager
from simulators.chip.store import Memory
from simulators.chip.tlv import encode
from simulators.chip.travel import TravelDocument

_SECURE_MESSAGING = 0x04


class Chip:
    """One chip, kept in one directory. Every change is on disk before the response leaves."""

    def __init__(self, directory: Path) -> None:
        """Raises `NoChip`, `ChipDamaged`."""
        self._memory = Memory(directory)
        self._contents = Contents(self._memory)
        self._selected: CardManager | ElectronicIdentity | TravelDocument | None = None

    @property
    def serial(self) -> str:
        """The chip serial, 20 capital hex digits."""
        return self._contents.production("serial").hex().upper()

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return self._contents.production("atr")

    @property
    def powered(self) -> bool:
        """Whether the chip has power."""
        return self._selected is not None

    @property
    def mute(self) -> bool:
        """Whether a reader finds nothing that answers; this chip always does."""
        return False

    @property
    def written_bytes(self) -> int:
        """Bytes that commands have written into the memory so far."""
        return self._memory.written_bytes

    def power_on(self) -> bytes:
        """Give power (or reset, with power on); the ATR. Raises `ChipInUse`, `NoChip`, `ChipDamaged`."""
        self._memory.open()
        self._selected = CardManager(self._contents)
        return self.atr

    def power_off(self) -> None:
        """Take the power away: what was selected, verified or opened is forgotten."""
        self._selected = None
        self._memory.close()

    def reset(self) -> bytes:
        """Warm reset; the ATR."""
        return self.power_on()

    def transmit(self, apdu: bytes) -> bytes:
        """Response APDU of a command APDU. Raises `ChipUnpowered`."""
        if self._selected is None:
            raise ChipUnpowered
        try:
            return self._execute(parse(apdu)) + Status.OK.to_bytes(2)
        except StatusError as error:
            return error.status.to_bytes(2)

    def _execute(self, command: Command) -> bytes:
        _check_class(command.cla)
        if command.cla == 0x00 and command.ins == 0xA4:
            return self._select(command)
        selected = self._selected
        if selected is None:
            raise ChipUnpowered
        if command.cla & _SECURE_MESSAGING and not isinstance(selected, CardManager):
            raise StatusError(Status.CONDITIONS_NOT_SATISFIED)  # no channel is open
        return selected.process(command)

    def _select(self, command: Command) -> bytes:
        if command.p1 == 0x04:
            return self._select_by_aid(command)
        master_file = command.p1 == 0x00 and command.data in {b"", b"\x3f\x00"}
        if master_file and not isinstance(self._selected, ElectronicIdentity):
            self._selected = ElectronicIdentity(self._contents, EID_MAIN)
        if isinstance(self._selected, CardManager):
            raise StatusError(Status.FILE_NOT_FOUND)
        if self._selected is None:
            raise ChipUnpowered
        return self._selected.process(command)

    def _select_by_aid(self, command: Command) -> bytes:
        if command.p2 not in {0x00, 0x04, 0x0C}:
            raise StatusError(Status.WRONG_P1_P2)
        if command.data in {b"", CARD_MANAGER_AID}:  # GP §11.9.2: without a name the issuer security domain
            manager = CardManager(self._contents)
            self._selected = manager
            return b"" if command.p2 == 0x0C else fit(manager.file_control_information(), command.le)
        chosen = application(command.data)
        if chosen is None:
            raise StatusError(Status.FILE_NOT_FOUND)
        if chosen is TRAVEL_DOCUMENT:
            self._selected = TravelDocument(self._contents)
        else:
            self._selected = ElectronicIdentity(self._contents, chosen)
        return b"" if command.p2 == 0x0C else fit(_file_control(chosen, command.p2), command.le)


def _file_control(chosen: Application, p2: int) -> bytes:
    template = 0x62 if p2 == 0x04 else 0x6F  # FCP or FCI template, ISO/IEC 7816-4 Table 11
    return encode(template, encode(0x84, chosen.aid))


def _check_class(cla: int) -> None:
    """Logical channels, chaining and ISO secure messaging are not there (ISO/IEC 7816-4 §5.4.1)."""
    if cla & 0x60:
        raise StatusError(Status.CLASS_NOT_SUPPORTED)
    if cla & 0x03:
        raise StatusError(Status.CHANNEL_NOT_SUPPORTED)
    if cla & 0x10:
        raise StatusError(Status.CHAINING_NOT_SUPPORTED)
    if cla & 0x08:
        raise StatusError(Status.SECURE_MESSAGING_NOT_SUPPORTED)

"""The travel document application: files by identifier and by short identifier (ICAO Doc 9303-10 §3)."""

from simulators.chip.apdu import Command, Status, StatusError, fit
from simulators.chip.contents import TRAVEL_DOCUMENT, Contents, file_control_parameters
from simulators.chip.reading import read_binary, read_binary_odd, read_short

_DATA_GROUP_FILES = 0x0100


class TravelDocument:
    """The application as it stands since it was selected."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._current: int | None = None

    def process(self, command: Command) -> bytes:
        """Response data. Raises `StatusError`."""
        if command.cla:
            raise StatusError(Status.CLASS_NOT_SUPPORTED)
        match command.ins:
            case 0xA4:
                return self._select(command)
            case 0xB0 if command.p1 & 0x80:
                return read_short(command, self._by_short_identifier(command.p1))
            case 0xB0:
                return read_binary(command, self._current_content)
            case 0xB1:
                return read_binary_odd(command, self._named(command.p1_p2))
        raise StatusError(Status.INSTRUCTION_NOT_SUPPORTED)

    def _select(self, command: Command) -> bytes:
        if command.p1 not in {0x00, 0x02} or command.p2 not in {0x00, 0x04, 0x0C}:
            raise StatusError(Status.WRONG_P1_P2)
        if len(command.data) != 2:
            raise StatusError(Status.WRONG_LENGTH)
        fid = int.from_bytes(command.data)
        content = self._contents.file(TRAVEL_DOCUMENT, fid)
        self._current = fid
        return b"" if command.p2 == 0x0C else fit(file_control_parameters(content), command.le)

    def _current_content(self) -> bytes:
        if self._current is None:
            raise StatusError(Status.NO_CURRENT_FILE)
        return self._contents.file(TRAVEL_DOCUMENT, self._current)

    def _by_short_identifier(self, p1: int) -> bytes:
        # Short identifiers are the low five bits of 01xx; reading by one makes the file current (§3.5)
        identifier = p1 & 0x1F
        if p1 & 0x60 or identifier in {0x00, 0x1F}:
            raise StatusError(Status.WRONG_P1_P2)
        fid = _DATA_GROUP_FILES | identifier
        content = self._contents.file(TRAVEL_DOCUMENT, fid)
        self._current = fid
        return content

    def _named(self, p1_p2: int) -> bytes:
        """The file P1-P2 of the odd instruction names: 0000 the current one, a short or a whole identifier."""
        if p1_p2 == 0:
            return self._current_content()
        if p1_p2 < 0x1F:
            return self._by_short_identifier(p1_p2)
        content = self._contents.file(TRAVEL_DOCUMENT, p1_p2)
        self._current = p1_p2
        return content

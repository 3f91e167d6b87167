"""Personalization inside a channel: INSTALL, STORE DATA with DGIs, SET STATUS (data sheet §3)."""

from enum import IntEnum

from simulators.chip import keys, pins
from simulators.chip.apdu import Command, Status, StatusError
from simulators.chip.contents import (
    APPLICATIONS,
    EID_MAIN,
    PERSONALIZED,
    SECURED,
    Application,
    Contents,
    application,
    file_cell,
    key_cell,
    state_cell,
)

_LAST_BLOCK = 0x80
_DGI_FORMAT = 0x08
_CERTIFICATE_FILES = 0x34
_DOCUMENT_NUMBER = 0xD003
_PIN_OBJECT, _PRIVATE_KEY = 0xC1, 0xC2


class Function(IntEnum):
    """The functions of the centre, each with the key version its channel is opened with."""

    PERSO = 0x01
    PIN = 0x02
    KEY = 0x03
    CERT = 0x04


class Personalization:
    """The commands of one channel that change the card; the stream of DGIs lives no longer than the channel."""

    def __init__(self, contents: Contents, function: Function) -> None:
        self._contents = contents
        self._function = function
        self._target: Application | None = None
        self._next_block = 0
        self._pending = b""

    def execute(self, command: Command) -> bytes:
        """Response data. Raises `StatusError`."""
        if self._function is Function.PERSO and self._contents.card_state() == SECURED:
            raise StatusError(Status.CONDITIONS_NOT_SATISFIED)
        match command.ins:
            case 0xE6:
                return self._install(command)
            case 0xE2:
                return self._store_data(command)
            case 0xF0:
                return self._set_status(command)
        raise StatusError(Status.INSTRUCTION_NOT_SUPPORTED)

    def _install(self, command: Command) -> bytes:
        # INSTALL [for personalization], GP §11.5.2.3.6: load file and module AID empty, application AID,
        # privileges, parameters and token empty
        self._target = None
        if command.p1_p2 != 0x2000:
            raise StatusError(Status.WRONG_P1_P2)
        data = command.data
        if len(data) < 6 or data[:2] != b"\x00\x00" or data[3 + data[2] :] != b"\x00\x00\x00":
            raise StatusError(Status.WRONG_DATA)
        self._target = _known(data[3 : 3 + data[2]])
        self._next_block, self._pending = 0, b""
        return b"\x00"

    def _store_data(self, command: Command) -> bytes:
        target, self._target = self._target, None  # any error below ends the sequence: INSTALL starts the next
        if target is None:
            raise StatusError(Status.CONDITIONS_NOT_SATISFIED)
        if command.p1 & ~_LAST_BLOCK != _DGI_FORMAT or command.p2 != self._next_block:
            raise StatusError(Status.WRONG_P1_P2)
        last = bool(command.p1 & _LAST_BLOCK)
        changes, rest = self._take_groupings(target, self._pending + command.data)
        if last and rest:
            raise StatusError(Status.WRONG_DATA)
        self._contents.write(changes)
        if not last:
            self._target, self._pending = target, rest
            self._next_block = (self._next_block + 1) & 0xFF
        return b""

    def _take_groupings(self, target: Application, stream: bytes) -> tuple[dict[str, bytes], bytes]:
        """All DGIs that are whole, as changes to the memory, and the bytes of the one that is not."""
        changes: dict[str, bytes] = {}
        while len(stream) >= 3:
            header = 5 if stream[2] == 0xFF else 3
            if len(stream) < header:
                break
            identifier = int.from_bytes(stream[:2])
            length = int.from_bytes(stream[3:5]) if header == 5 else stream[2]
            self._admit(target, identifier, length, changes)
            if len(stream) < header + length:
                break
            cell, value = self._cell(target, identifier, stream[header : header + length], changes)
            changes[cell] = value
            stream = stream[header + length :]
        return changes, stream

    def _admit(self, target: Application, identifier: int, length: int, changes: dict[str, bytes]) -> None:
        """Refuse a DGI as soon as its header is there: 6982 wrong function, 6985 locked, 6A84 no room, 6A88."""
        group, reference = identifier >> 8, identifier & 0xFF
        if group in {_PIN_OBJECT, _PRIVATE_KEY}:
            if self._function is not (Function.PIN if group == _PIN_OBJECT else Function.KEY):
                raise StatusError(Status.SECURITY_NOT_SATISFIED)
            known = pins.REFERENCES if group == _PIN_OBJECT else keys.REFERENCES
            if target is not EID_MAIN or reference not in known:
                raise StatusError(Status.REFERENCE_NOT_FOUND)
            return
        if not 0x0001 <= identifier <= 0x7FFF and identifier != _DOCUMENT_NUMBER:
            raise StatusError(Status.REFERENCE_NOT_FOUND)
        if self._function is not (Function.CERT if group == _CERTIFICATE_FILES else Function.PERSO):
            raise StatusError(Status.SECURITY_NOT_SATISFIED)
        if self._function is Function.PERSO and self._contents.application_state(target) == PERSONALIZED:
            raise StatusError(Status.CONDITIONS_NOT_SATISFIED)
        if self._contents.free_bytes({**changes, file_cell(target, identifier): b""}) < length:
            raise StatusError(Status.NO_MEMORY)

    def _cell(self, target: Application, identifier: int, value: bytes, changes: dict[str, bytes]) -> tuple[str, bytes]:
        group, reference = identifier >> 8, identifier & 0xFF
        if group == _PIN_OBJECT:
            cell = pins.pin_cell(reference)
            return cell, pins.pin_from_dgi(value, changes.get(cell, self._contents.cell(cell))).to_bytes()
        if group == _PRIVATE_KEY:
            return key_cell(reference), keys.key_from_dgi(value, self._contents.keys(Function.KEY).dek)
        return file_cell(target, identifier), value

    def _set_status(self, command: Command) -> bytes:
        if self._function is not Function.PERSO:
            raise StatusError(Status.SECURITY_NOT_SATISFIED)
        self._target = None
        match command.p1_p2:
            case 0x400F:
                self._contents.write({state_cell(_known(command.data)): bytes((PERSONALIZED,))})
            case 0x800F:
                self._secure_card(command)
            case _:
                raise StatusError(Status.WRONG_P1_P2)
        return b""

    def _secure_card(self, command: Command) -> None:
        if command.data:
            raise StatusError(Status.WRONG_DATA)
        open_with_files = (
            owner
            for owner in APPLICATIONS
            if self._contents.holds_file(owner) and self._contents.application_state(owner) != PERSONALIZED
        )
        if any(open_with_files):
            raise StatusError(Status.CONDITIONS_NOT_SATISFIED)
        self._contents.write({"state.card": bytes((SECURED,))})


def _known(aid: bytes) -> Application:
    found = application(aid)
    if found is None:
        raise StatusError(Status.REFERENCE_NOT_FOUND)
    return found

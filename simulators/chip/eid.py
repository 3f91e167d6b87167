"""The eID application "LatEID v2" as its real clients use it: OpenSC's esteid2018 driver and Web eID."""

from collections.abc import Callable

from simulators.chip import keys, pins, tlv
from simulators.chip.apdu import Command, Status, StatusError, fit
from simulators.chip.contents import (
    EID_AUTHENTICATION,
    EID_MAIN,
    EID_SIGNATURE,
    Application,
    Contents,
    file_control_parameters,
    key_cell,
)
from simulators.chip.reading import read_binary, read_binary_odd

_CHILDREN = {known.fid: known for known in (EID_AUTHENTICATION, EID_SIGNATURE)}
_COUNTER_REFERENCES = {0x01: pins.PIN1, 0x02: pins.PUK, 0x05: pins.PIN2}

# MSE SET: template, key reference, the application that holds it, and the ECDSA algorithms in 1 and 4 bytes
_ENVIRONMENTS = {
    0xA4: (keys.AUTHENTICATION, frozenset((EID_MAIN, EID_AUTHENTICATION)), (b"\x04", b"\xff\x20\x08\x00")),
    0xB6: (keys.SIGNATURE, frozenset((EID_SIGNATURE,)), (b"\x54", b"\xff\x15\x08\x00")),
}


class ElectronicIdentity:
    """The three applications of one tree as they stand since one was selected by AID."""

    def __init__(self, contents: Contents, directory: Application) -> None:
        self._contents = contents
        self._directory = directory
        self._file: int | None = None
        self._environment: int | None = None
        self._verified: set[int] = set()
        self._handlers: dict[int, Callable[[Command], bytes]] = {
            0xA4: self._select,
            0xB0: self._read,
            0xB1: self._read,
            0xCB: self._pin_counters,
            0x20: self._verify,
            0x24: self._change_reference_data,
            0x2C: self._reset_retry_counter,
            0x22: self._set_environment,
            0x88: self._internal_authenticate,
            0x2A: self._compute_digital_signature,
        }

    def process(self, command: Command) -> bytes:
        """Response data. Raises `StatusError`."""
        if command.cla:
            raise StatusError(Status.CLASS_NOT_SUPPORTED)
        handler = self._handlers.get(command.ins)
        if handler is None:
            raise StatusError(Status.INSTRUCTION_NOT_SUPPORTED)
        return handler(command)

    # Files

    def _select(self, command: Command) -> bytes:
        if command.p1 not in {0x00, 0x01, 0x02, 0x08, 0x09} or command.p2 not in {0x00, 0x04, 0x0C}:
            raise StatusError(Status.WRONG_P1_P2)
        by_path = command.p1 in {0x08, 0x09}
        to_master_file = command.p1 == 0x08 or (command.p1 == 0x00 and not command.data)
        if not (to_master_file or command.data) or len(command.data) % 2 or (len(command.data) > 2 and not by_path):
            raise StatusError(Status.WRONG_LENGTH)
        directory, file = (EID_MAIN if to_master_file else self._directory), None
        for fid in (int.from_bytes(command.data[at : at + 2]) for at in range(0, len(command.data), 2)):
            if file is not None:
                raise StatusError(Status.FILE_NOT_FOUND)
            directory, file = self._step(command.p1, directory, fid)
        if directory is not self._directory or file is None:
            self._environment = None
        self._directory, self._file = directory, file
        if command.p2 == 0x0C or file is None:
            return b""
        return fit(file_control_parameters(self._contents.file(directory, file)), command.le)

    def _step(self, p1: int, directory: Application, fid: int) -> tuple[Application, int | None]:
        """Where one identifier leads: to a directory of the tree (not by P1 = 02) or a file (not by P1 = 01)."""
        if p1 != 0x02 and fid == EID_MAIN.fid:
            return EID_MAIN, None
        if p1 != 0x02 and fid in _CHILDREN:
            return _CHILDREN[fid], None
        if p1 == 0x01:
            raise StatusError(Status.FILE_NOT_FOUND)
        self._contents.file(directory, fid)
        return directory, fid

    def _read(self, command: Command) -> bytes:
        if command.ins == 0xB1:
            if command.p1_p2:
                raise StatusError(Status.WRONG_P1_P2)
            return read_binary_odd(command, self._current_content())
        if command.p1 & 0x80:
            raise StatusError(Status.FILE_NOT_FOUND)  # files of this tree have no short identifiers
        return read_binary(command, self._current_content)

    def _current_content(self) -> bytes:
        if self._file is None:
            raise StatusError(Status.NO_CURRENT_FILE)
        return self._contents.file(self._directory, self._file)

    # PINs

    def _pin_counters(self, command: Command) -> bytes:
        data = command.data
        known = len(data) == 10 and data[:6] == bytes.fromhex("4D087006BF81") and data[7:] == bytes.fromhex("02A080")
        if command.p1_p2 != 0x3FFF or not known:
            raise StatusError(Status.REFERENCE_NOT_FOUND)
        pin = pins.stored_pin(self._contents, self._visible(_COUNTER_REFERENCES.get(data[6])))
        counters = tlv.encode(0x9A, bytes((pin.maximum_tries,))) + tlv.encode(0x9B, bytes((pin.tries_left,)))
        unlimited_uses = tlv.encode(0xA1, bytes.fromhex("8C06F30000734300 9C06F30000734300"))
        inner = tlv.encode(0xBF8100 | data[6], tlv.encode(0xA0, counters + unlimited_uses))
        return fit(tlv.encode(0x70, inner), command.le)

    def _verify(self, command: Command) -> bytes:
        if command.p1:
            raise StatusError(Status.WRONG_P1_P2)
        reference = self._visible(command.p2)
        pin = pins.stored_pin(self._contents, reference)
        if not command.data:  # ISO/IEC 7816-4 §11.5.6: without data it asks
            if reference in self._verified:
                return b""
            raise StatusError(0x63C0 | pin.tries_left if pin.tries_left else Status.BLOCKED)
        if len(command.data) != pins.VALUE_BYTES:
            raise StatusError(Status.WRONG_LENGTH)
        self._verified.discard(reference)
        pins.compare(self._contents, reference, command.data)
        self._verified.add(reference)
        return b""

    def _change_reference_data(self, command: Command) -> bytes:
        if command.p1:
            raise StatusError(Status.WRONG_P1_P2)
        reference = self._visible(command.p2)
        pin = pins.stored_pin(self._contents, reference)
        if len(command.data) != 2 * pins.VALUE_BYTES:
            raise StatusError(Status.WRONG_LENGTH)
        old, new = command.data[: pins.VALUE_BYTES], command.data[pins.VALUE_BYTES :]
        pin.check_value(new)
        self._verified.discard(reference)
        pins.compare(self._contents, reference, old)
        pins.replace_value(self._contents, reference, new)
        return b""

    def _reset_retry_counter(self, command: Command) -> bytes:
        if command.p1 != 0x02:
            raise StatusError(Status.WRONG_P1_P2)
        reference = self._visible(command.p2)
        if reference == pins.PUK:
            raise StatusError(Status.REFERENCE_NOT_FOUND)
        if len(command.data) != pins.VALUE_BYTES:
            raise StatusError(Status.WRONG_LENGTH)
        if pins.PUK not in self._verified:
            raise StatusError(Status.SECURITY_NOT_SATISFIED)
        self._verified.discard(reference)
        pins.replace_value(self._contents, reference, command.data)
        return b""

    def _visible(self, reference: int | None) -> int:
        """PIN2 is local to the signature application, the others are global. Raises `StatusError` 6A88."""
        if reference not in pins.REFERENCES or (reference == pins.PIN2 and self._directory is not EID_SIGNATURE):
            raise StatusError(Status.REFERENCE_NOT_FOUND)
        return reference

    # Signatures

    def _set_environment(self, command: Command) -> bytes:
        if command.p1 != 0x41 or command.p2 not in _ENVIRONMENTS:
            raise StatusError(Status.WRONG_P1_P2)
        reference, holders, algorithms = _ENVIRONMENTS[command.p2]
        self._environment = None
        try:
            fields = tlv.unique(command.data)
        except tlv.TlvError as error:
            raise StatusError(Status.WRONG_DATA) from error
        if set(fields) != {0x80, 0x84} or fields[0x80] not in algorithms:
            raise StatusError(Status.WRONG_DATA)
        held = self._directory in holders and self._contents.cell(key_cell(reference)) is not None
        if not held or fields[0x84] != bytes((reference,)):
            raise StatusError(Status.REFERENCE_NOT_FOUND)
        self._environment = reference
        return b""

    def _internal_authenticate(self, command: Command) -> bytes:
        if command.p1_p2:
            raise StatusError(Status.WRONG_P1_P2)
        return self._sign(command, keys.AUTHENTICATION, pins.PIN1)

    def _compute_digital_signature(self, command: Command) -> bytes:
        if command.p1_p2 != 0x9E9A:
            raise StatusError(Status.WRONG_P1_P2)
        return self._sign(command, keys.SIGNATURE, pins.PIN2)

    def _sign(self, command: Command, key: int, pin: int) -> bytes:
        if self._environment != key:
            raise StatusError(Status.CONDITIONS_NOT_SATISFIED)
        if pin not in self._verified:
            raise StatusError(Status.SECURITY_NOT_SATISFIED)
        if command.le is None:
            raise StatusError(Status.WRONG_LENGTH)
        signature = keys.sign(self._contents, key, command.data)
        response = fit(signature, command.le)
        if pin == pins.PIN2:  # one PIN2, one signature
            self._verified.discard(pin)
        return response

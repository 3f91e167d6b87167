"""READ BINARY, even and odd instruction (ISO/IEC 7816-4 §11.3.3)."""

from collections.abc import Callable

from simulators.chip import tlv
from simulators.chip.apdu import MAXIMUM_RESPONSE_DATA_BYTES, Command, Status, StatusError

_OFFSET, _DISCRETIONARY_DATA = 0x54, 0x53


def read_binary(command: Command, current: Callable[[], bytes]) -> bytes:
    """`00B0` with an offset up to 7FFF: what is there from it on, at most Le bytes. Raises `StatusError`."""
    return _part(current(), command.p1_p2, _expected(command))


def read_short(command: Command, content: bytes) -> bytes:
    """`00B0` with a short file identifier in P1 and the offset in P2."""
    return _part(content, command.p2, _expected(command))


def read_binary_odd(command: Command, content: bytes) -> bytes:
    """`00B1` with the offset in data object 54; the answer is data object 53, Le counts all of it."""
    try:
        fields = tlv.unique(command.data)
    except tlv.TlvError as error:
        raise StatusError(Status.WRONG_DATA) from error
    offset = fields.get(_OFFSET)
    if set(fields) != {_OFFSET} or not offset:
        raise StatusError(Status.WRONG_DATA)
    expected = _expected(command)
    if expected < 3:
        raise StatusError(Status.WRONG_LENGTH)
    # What fits with a length field of one, two and three bytes
    room = max(min(expected - 2, 0x7F), min(expected - 3, 0xFF), expected - 4)
    return tlv.encode(_DISCRETIONARY_DATA, _part(content, int.from_bytes(offset), room))


def _expected(command: Command) -> int:
    if command.le is None:
        raise StatusError(Status.WRONG_LENGTH)
    return min(command.le, MAXIMUM_RESPONSE_DATA_BYTES)


def _part(content: bytes, offset: int, length: int) -> bytes:
    if offset >= len(content):
        raise StatusError(Status.WRONG_OFFSET)
    return content[offset : offset + length]

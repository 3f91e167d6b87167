"""BER-TLV as far as this chip needs it: ISO/IEC 8825-1 tags of one to three bytes, definite lengths to 65,535."""

from collections.abc import Iterator


class TlvError(Exception):
    """The bytes are not a sequence of data objects."""


def encode(tag: int, value: bytes) -> bytes:
    """One data object; `tag` is the number its bytes read as, for example 0x9F7F."""
    length = len(value)
    if length < 0x80:
        coded = bytes((length,))
    elif length < 0x100:
        coded = bytes((0x81, length))
    else:
        coded = b"\x82" + length.to_bytes(2)
    return tag.to_bytes((tag.bit_length() + 7) // 8 or 1) + coded + value


def decode(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and value of every data object in turn. Raises `TlvError`."""
    while data:
        tag, data = _tag(data)
        length, data = _length(data)
        if len(data) < length:
            raise TlvError
        yield tag, data[:length]
        data = data[length:]


def _tag(data: bytes) -> tuple[int, bytes]:
    size = 1
    if data[0] & 0x1F == 0x1F:
        size = 2 if len(data) > 1 and data[1] < 0x80 else 3
    if len(data) < size:
        raise TlvError
    return int.from_bytes(data[:size]), data[size:]


def _length(data: bytes) -> tuple[int, bytes]:
    if not data:
        raise TlvError
    if data[0] < 0x80:
        return data[0], data[1:]
    size = {0x81: 1, 0x82: 2}.get(data[0])
    if size is None or len(data) < 1 + size:
        raise TlvError
    return int.from_bytes(data[1 : 1 + size]), data[1 + size :]


def unique(data: bytes) -> dict[int, bytes]:
    """Data objects by tag, each at most once. Raises `TlvError`."""
    objects: dict[int, bytes] = {}
    for tag, value in decode(data):
        if tag in objects:
            raise TlvError
        objects[tag] = value
    return objects

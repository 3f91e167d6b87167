"""IPP messages as bytes (RFC 8010 §3): a strict decoder and an encoder, without any input or output."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class IppSyntaxError(ValueError):
    """The bytes are not an IPP message; the text says where it goes wrong and quotes no value."""


class Tag(IntEnum):
    """Delimiter and value tags (RFC 8010 §3.5)."""

    OPERATION = 0x01
    JOB = 0x02
    END = 0x03
    PRINTER = 0x04
    UNSUPPORTED_GROUP = 0x05
    UNSUPPORTED = 0x10
    UNKNOWN = 0x12
    NO_VALUE = 0x13
    INTEGER = 0x21
    BOOLEAN = 0x22
    ENUM = 0x23
    OCTET_STRING = 0x30
    DATE_TIME = 0x31
    RESOLUTION = 0x32
    RANGE = 0x33
    BEGIN_COLLECTION = 0x34
    TEXT_WITH_LANGUAGE = 0x35
    NAME_WITH_LANGUAGE = 0x36
    END_COLLECTION = 0x37
    TEXT = 0x41
    NAME = 0x42
    KEYWORD = 0x44
    URI = 0x45
    URI_SCHEME = 0x46
    CHARSET = 0x47
    LANGUAGE = 0x48
    MIME_TYPE = 0x49
    MEMBER_NAME = 0x4A


class Resolution(NamedTuple):
    """Cross-feed and feed resolution; units 3 = dots per inch, 4 = dots per centimetre."""

    cross_feed: int
    feed: int
    units: int


class Range(NamedTuple):
    """An inclusive range of integers."""

    lower: int
    upper: int


Plain = int | bool | str | bytes | Resolution | Range | None


@dataclass(frozen=True, slots=True)
class Value:
    """One value with its tag; a collection's value is a mapping of member name to attribute."""

    tag: int
    content: "Plain | Mapping[str, Attribute]"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A named attribute with one value or more."""

    name: str
    values: tuple[Value, ...]

    @property
    def first(self) -> "Plain | Mapping[str, Attribute]":
        """Content of the first value."""
        return self.values[0].content


@dataclass(frozen=True, slots=True)
class Group:
    """An attribute group: its delimiter tag and its attributes in the order of the wire."""

    tag: int
    attributes: tuple[Attribute, ...]

    def get(self, name: str) -> Attribute | None:
        """The attribute of this name, or None."""
        return next((attribute for attribute in self.attributes if attribute.name == name), None)


@dataclass(frozen=True, slots=True)
class Message:
    """A request (code = operation) or a response (code = status); `data` is the document behind the attributes."""

    code: int
    request_id: int
    groups: tuple[Group, ...]
    data: bytes = b""
    version: tuple[int, int] = field(default=(2, 0))

    def group(self, tag: int) -> Group:
        """The first group of this tag; an empty one when the message has none."""
        return next((group for group in self.groups if group.tag == tag), Group(tag, ()))


_STRUCTS = {
    Tag.INTEGER: struct.Struct(">i"),
    Tag.ENUM: struct.Struct(">i"),
    Tag.BOOLEAN: struct.Struct(">?"),
    Tag.RESOLUTION: struct.Struct(">iib"),
    Tag.RANGE: struct.Struct(">ii"),
}
_TEXTS = frozenset(range(0x40, 0x60))  # RFC 8010 §3.5.2: character-string values
_DEEPEST_COLLECTION = 8


def encode(message: Message) -> bytes:
    """The message as bytes (RFC 8010 §3.1.1)."""
    out = bytearray(struct.pack(">BBHI", *message.version, message.code, message.request_id))
    for group in message.groups:
        out.append(group.tag)
        for attribute in group.attributes:
            _encode_attribute(out, attribute)
    out.append(Tag.END)
    return bytes(out) + message.data


def _encode_attribute(out: bytearray, attribute: Attribute) -> None:
    for index, value in enumerate(attribute.values):
        # RFC 8010 §3.1.5: an additional value has a name of length 0
        _encode_value(out, attribute.name if index == 0 else "", value)


def _encode_value(out: bytearray, name: str, value: Value) -> None:
    if isinstance(value.content, Mapping):
        _field(out, Tag.BEGIN_COLLECTION, name, b"")
        for member in value.content.values():  # RFC 8010 §3.1.6: name and values of a member are separate fields
            _field(out, Tag.MEMBER_NAME, "", member.name.encode())
            for inner in member.values:
                _encode_value(out, "", inner)
        _field(out, Tag.END_COLLECTION, "", b"")
    else:
        _field(out, value.tag, name, _content_bytes(value.tag, value.content))


def _field(out: bytearray, tag: int, name: str, content: bytes) -> None:
    raw = name.encode()
    out += struct.pack(">BH", tag, len(raw)) + raw + struct.pack(">H", len(content)) + content


def _content_bytes(tag: int, content: Plain) -> bytes:
    if content is None:
        return b""
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    numbers = content if isinstance(content, tuple) else (content,)
    return _STRUCTS[Tag(tag)].pack(*numbers)


def decode(data: bytes) -> Message:
    """Read one whole message; everything after end-of-attributes is the document. Raises `IppSyntaxError`."""
    if len(data) < 9:
        raise IppSyntaxError("shorter than the smallest message")
    major, minor, code, request_id = struct.unpack_from(">BBHI", data)
    reader = _Reader(data, 8)
    groups = []
    while (tag := reader.byte()) != Tag.END:
        if tag >= Tag.UNSUPPORTED:
            raise IppSyntaxError(f"a value stands where a group should begin (byte {reader.position - 1})")
        groups.append(Group(tag, tuple(_attributes(reader))))
    return Message(code, request_id, tuple(groups), data[reader.position :], (major, minor))


class _Reader:
    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position = data, position

    def peek(self) -> int:
        if self.position >= len(self.data):
            raise IppSyntaxError("the message ends before end-of-attributes")
        return self.data[self.position]

    def byte(self) -> int:
        value = self.peek()
        self.position += 1
        return value

    def field(self) -> tuple[int, str, bytes]:
        tag, name, content = self.byte(), self.chunk(), self.chunk()
        return tag, _text(name), content

    def chunk(self) -> bytes:
        size = (self.byte() << 8) | self.byte()
        chunk = self.data[self.position : self.position + size]
        if len(chunk) != size:
            raise IppSyntaxError(f"a length at byte {self.position - 2} points beyond the end")
        self.position += size
        return chunk


def _attributes(reader: _Reader) -> Iterator[Attribute]:
    name, values = "", list[Value]()
    while reader.peek() >= Tag.UNSUPPORTED:
        tag, found, content = reader.field()
        if found:
            if values:
                yield Attribute(name, tuple(values))
            name, values = found, []
        elif not values:
            raise IppSyntaxError("a group begins with an additional value")
        values.append(_value(reader, tag, content, 0))
    if values:
        yield Attribute(name, tuple(values))


def _value(reader: _Reader, tag: int, content: bytes, depth: int) -> Value:
    if tag == Tag.BEGIN_COLLECTION:
        if depth >= _DEEPEST_COLLECTION:
            raise IppSyntaxError("collections are nested too deep")
        return Value(tag, _collection(reader, depth + 1))
    if tag in _STRUCTS:
        layout = _STRUCTS[Tag(tag)]
        if len(content) != layout.size:
            raise IppSyntaxError(f"a value with tag {tag:#04x} has {len(content)} bytes")
        numbers = layout.unpack(content)
        if tag == Tag.RESOLUTION:
            return Value(tag, Resolution(*numbers))
        return Value(tag, Range(*numbers) if tag == Tag.RANGE else numbers[0])
    if tag in _TEXTS:
        return Value(tag, _text(content))
    if tag in (Tag.NAME_WITH_LANGUAGE, Tag.TEXT_WITH_LANGUAGE):
        inner = _Reader(content, 0)
        inner.chunk()  # RFC 8010 §3.9: the language, then the text
        return Value(tag, _text(inner.chunk()))
    return Value(tag, content)


def _collection(reader: _Reader, depth: int) -> Mapping[str, Attribute]:
    members: dict[str, Attribute] = {}
    name, values = "", list[Value]()
    while True:
        tag, found, content = reader.field()
        if found:
            raise IppSyntaxError("a collection is not closed")
        if tag in (Tag.MEMBER_NAME, Tag.END_COLLECTION):
            if values:
                members[name] = Attribute(name, tuple(values))
            if tag == Tag.END_COLLECTION:
                return members
            name, values = _text(content), []
        elif not name:
            raise IppSyntaxError("a member of a collection has no name")
        else:
            values.append(_value(reader, tag, content, depth))


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise IppSyntaxError("a name or text is not UTF-8") from None

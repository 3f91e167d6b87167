"""The Internet Printing Protocol as bytes: messages out, messages in, no input or output (RFC 8010).

A message is a version, an operation or a status, a request id, groups of attributes and a document. Integers, enums,
booleans, texts, octets, resolutions, ranges and collections (nested) are told apart by tag; other values pass
as octets with their tag.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class IppError(ValueError):
    """The bytes are not an IPP message, or break one of the limits."""


class GroupTag(IntEnum):
    """Delimiter tags (RFC 8010 §3.5.1)."""

    OPERATION = 0x01
    JOB = 0x02
    END = 0x03
    PRINTER = 0x04
    UNSUPPORTED = 0x05


class Tag(IntEnum):
    """Value tags that this codec knows the form of (RFC 8010 §3.5.2)."""

    UNSUPPORTED = 0x10
    UNKNOWN = 0x12
    NO_VALUE = 0x13
    INTEGER = 0x21
    BOOLEAN = 0x22
    ENUM = 0x23
    OCTETS = 0x30
    DATE_TIME = 0x31
    RESOLUTION = 0x32
    RANGE = 0x33
    BEGIN_COLLECTION = 0x34
    END_COLLECTION = 0x37
    TEXT = 0x41
    NAME = 0x42
    KEYWORD = 0x44
    URI = 0x45
    URI_SCHEME = 0x46
    CHARSET = 0x47
    NATURAL_LANGUAGE = 0x48
    MIME_MEDIA_TYPE = 0x49
    MEMBER_NAME = 0x4A


class Operation(IntEnum):
    """Operation codes (RFC 8011 §5.4.15)."""

    PRINT_JOB = 0x0002
    VALIDATE_JOB = 0x0004
    CREATE_JOB = 0x0005
    SEND_DOCUMENT = 0x0006
    CANCEL_JOB = 0x0008
    GET_JOB_ATTRIBUTES = 0x0009
    GET_JOBS = 0x000A
    GET_PRINTER_ATTRIBUTES = 0x000B


class Status(IntEnum):
    """The status codes that the printer client tells apart (RFC 8011 appendix B)."""

    NOT_FOUND = 0x0406
    SERVICE_UNAVAILABLE = 0x0502
    DEVICE_ERROR = 0x0504
    TEMPORARY_ERROR = 0x0505
    NOT_ACCEPTING_JOBS = 0x0506
    BUSY = 0x0507


@dataclass(frozen=True, slots=True)
class Resolution:
    """Dots across feed and along feed; `units` 3 = dots per inch, 4 = per centimetre (RFC 8010 §3.9)."""

    across: int
    along: int
    units: int = 3


@dataclass(frozen=True, slots=True)
class Range:
    """rangeOfInteger, both ends included."""

    lower: int
    upper: int


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection: member attributes in order."""

    members: tuple["Attribute", ...]


Content = int | bool | str | bytes | Resolution | Range | Collection


@dataclass(frozen=True, slots=True)
class Value:
    """One value and its tag (an int, so that tags unknown here pass through)."""

    tag: int
    content: Content


@dataclass(frozen=True, slots=True)
class Attribute:
    """A name and one or more values (1setOf)."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A group of attributes behind one delimiter tag."""

    tag: int
    attributes: tuple[Attribute, ...]

    def first(self, name: str) -> Content | None:
        """The first value of this attribute, or None."""
        return next((each.values[0].content for each in self.attributes if each.name == name and each.values), None)

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of this attribute that are texts."""
        found = [value.content for each in self.attributes if each.name == name for value in each.values]
        return tuple(content for content in found if isinstance(content, str))


@dataclass(frozen=True, slots=True)
class Message:
    """A request (`code` = operation) or a response (`code` = status)."""

    code: int
    request_id: int
    groups: tuple[Group, ...]
    data: bytes = b""
    version: tuple[int, int] = (2, 0)

    def group(self, tag: int) -> Group:
        """The first group with this tag; an empty one if there is none."""
        return next((group for group in self.groups if group.tag == tag), Group(tag, ()))


def attribute(name: str, tag: int, *contents: Content) -> Attribute:
    """An attribute whose values all have the same tag."""
    return Attribute(name, tuple(Value(tag, content) for content in contents))


INTEGER_TAGS = frozenset({Tag.INTEGER, Tag.ENUM})
TEXT_TAGS = frozenset(range(Tag.TEXT, Tag.MEMBER_NAME + 1))
"""Character strings (RFC 8010 §3.5.2: 0x40 to 0x5F); those of them that are assigned today."""


def encode(message: Message) -> bytes:
    """The octets of a message (RFC 8010 §3.1). Raises IppError for a value that does not fit its tag."""
    head = bytes(message.version) + message.code.to_bytes(2, "big") + message.request_id.to_bytes(4, "big")
    try:
        groups = b"".join(bytes((group.tag,)) + _attributes(group.attributes) for group in message.groups)
    except (OverflowError, UnicodeEncodeError):
        raise IppError("a number is too large for its tag, or a name not ASCII") from None
    return head + groups + bytes((GroupTag.END,)) + message.data


def _attributes(attributes: Iterable[Attribute]) -> bytes:
    out = b""
    for each in attributes:
        name = each.name.encode("ascii")
        for value in each.values:
            out += _value(name, value)
            name = b""  # §3.1.5: additional values have no name
    return out


def _value(name: bytes, value: Value) -> bytes:
    if isinstance(value.content, Collection):
        # §3.1.6: begCollection, for each member its name as a value and its values without names, endCollection.
        members = b"".join(
            _field(Tag.MEMBER_NAME, b"", member.name.encode("ascii"))
            + b"".join(_value(b"", each) for each in member.values)
            for member in value.content.members
        )
        return _field(Tag.BEGIN_COLLECTION, name, b"") + members + _field(Tag.END_COLLECTION, b"", b"")
    return _field(value.tag, name, _content(value))


def _field(tag: int, name: bytes, content: bytes) -> bytes:
    if len(name) > 0x7FFF or len(content) > 0x7FFF:
        raise IppError("a name or value of more than 32,767 octets")
    return bytes((tag,)) + len(name).to_bytes(2, "big") + name + len(content).to_bytes(2, "big") + content


def _content(value: Value) -> bytes:
    match value.content:
        case bool() as flag if value.tag == Tag.BOOLEAN:
            return bytes((flag,))
        case int() as number if value.tag in INTEGER_TAGS:
            return number.to_bytes(4, "big", signed=True)
        case str() as text if value.tag in TEXT_TAGS:
            return text.encode("utf-8")
        case Resolution(across, along, units) if value.tag == Tag.RESOLUTION:
            return across.to_bytes(4, "big") + along.to_bytes(4, "big") + bytes((units,))
        case Range(lower, upper) if value.tag == Tag.RANGE:
            return lower.to_bytes(4, "big", signed=True) + upper.to_bytes(4, "big", signed=True)
        case bytes() as octets:
            return octets
    raise IppError(f"a value does not fit its tag {value.tag:02X}")

"""Reading IPP messages (RFC 8010 §3) with limits: what a printer says is not trusted to be well formed."""

from personalization.station.ipp import (
    INTEGER_TAGS,
    TEXT_TAGS,
    Attribute,
    Collection,
    Content,
    Group,
    GroupTag,
    IppError,
    Message,
    Range,
    Resolution,
    Tag,
    Value,
)

MAXIMUM_BYTES = 16 * 1024 * 1024
MAXIMUM_VALUES = 100_000
MAXIMUM_DEPTH = 8
_FIRST_VALUE_TAG = 0x10


def decode(octets: bytes) -> Message:
    """The message in these octets. Raises IppError when they are none, are cut, or break a limit."""
    if len(octets) > MAXIMUM_BYTES:
        raise IppError("the message is too long")
    return _Reader(octets).message()


class _Reader:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._position = 0
        self._values = 0

    def message(self) -> Message:
        version = self._take(2)
        code = self._number(2)
        request_id = self._number(4)
        groups: list[Group] = []
        tag = self._number(1)
        while tag != GroupTag.END:
            if tag >= _FIRST_VALUE_TAG:
                raise IppError("a value stands outside a group")
            attributes, following = self._group()
            groups.append(Group(tag, attributes))
            tag = following
        return Message(code, request_id, tuple(groups), self._octets[self._position :], (version[0], version[1]))

    def _group(self) -> tuple[tuple[Attribute, ...], int]:
        """The attributes up to the next delimiter tag, and that tag."""
        named: list[tuple[str, list[Value]]] = []
        while (tag := self._number(1)) >= _FIRST_VALUE_TAG:
            name = self._name(self._sized())
            value = self._value(tag, self._sized(), depth=0)
            if name:
                named.append((name, [value]))
            elif named:
                named[-1][1].append(value)
            else:
                raise IppError("an additional value comes before any attribute")
        return tuple(Attribute(name, tuple(values)) for name, values in named), tag

    def _value(self, tag: int, content: bytes, depth: int) -> Value:
        self._values += 1
        if self._values > MAXIMUM_VALUES:
            raise IppError("the message has too many values")
        if tag == Tag.BEGIN_COLLECTION:
            return Value(tag, self._collection(depth + 1))
        return Value(tag, self._content(tag, content))

    def _collection(self, depth: int) -> Collection:
        if depth > MAXIMUM_DEPTH:
            raise IppError("collections are nested too deeply")
        members: list[tuple[str, list[Value]]] = []
        while True:
            tag = self._number(1)
            if self._sized():
                raise IppError("a value inside a collection has a name of its own")
            content = self._sized()
            if tag == Tag.END_COLLECTION:
                return Collection(tuple(Attribute(name, tuple(values)) for name, values in members))
            if tag == Tag.MEMBER_NAME:
                members.append((self._name(content), []))
            elif members and tag >= _FIRST_VALUE_TAG:
                members[-1][1].append(self._value(tag, content, depth))
            else:
                raise IppError("a collection is malformed")

    def _content(self, tag: int, content: bytes) -> Content:
        if tag in INTEGER_TAGS:
            return int.from_bytes(_of_length(content, 4), "big", signed=True)
        if tag == Tag.BOOLEAN:
            return _of_length(content, 1) != b"\x00"
        if tag in TEXT_TAGS:
            return self._text(content)
        if tag == Tag.RESOLUTION:
            _of_length(content, 9)
            return Resolution(int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big"), content[8])
        if tag == Tag.RANGE:
            _of_length(content, 8)
            lower, upper = (int.from_bytes(part, "big", signed=True) for part in (content[:4], content[4:]))
            return Range(lower, upper)
        return content

    def _name(self, octets: bytes) -> str:
        try:
            return octets.decode("ascii")  # RFC 8010 §3.9: a keyword
        except UnicodeDecodeError:
            raise IppError("a name is not ASCII") from None

    def _text(self, octets: bytes) -> str:
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError as error:
            raise IppError("a text is not UTF-8") from error

    def _sized(self) -> bytes:
        return self._take(self._number(2))

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _take(self, size: int) -> bytes:
        end = self._position + size
        if end > len(self._octets):
            raise IppError("the message is cut")
        taken = self._octets[self._position : end]
        self._position = end
        return taken


def _of_length(content: bytes, size: int) -> bytes:
    if len(content) != size:
        raise IppError("a value has a wrong length for its tag")
    return content

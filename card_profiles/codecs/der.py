"""A small, strict writer and reader of DER (ITU-T X.690 §8-11), identifiers of one octet.

The writer composes bytes (`sequence(integer(1), oid("2.5.4.3"))`). The reader gives every element its offset in the
outermost input and refuses whatever DER refuses, so that what was read and written again are the same bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from card_profiles.codecs.errors import CodecError

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
UTF8_STRING = 0x0C
PRINTABLE_STRING = 0x13
IA5_STRING = 0x16
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

_CONSTRUCTED = 0x20
_CONTEXT = 0x80
_PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")


class DerError(CodecError):
    """Not DER, or not the DER type that was asked for."""


# --- writer -------------------------------------------------------------------------------------------------------


def encode(tag: int, *parts: bytes) -> bytes:
    """One element: identifier octet `tag`, shortest length, `parts` one after the other."""
    if not 0 <= tag <= 0xFF or tag & 0x1F == 0x1F:
        raise DerError(f"identifier {tag:#x} is not one octet")
    content = b"".join(parts)
    return bytes([tag]) + encode_length(len(content)) + content


def encode_length(length: int) -> bytes:
    """The shortest length octets (X.690 §10.1)."""
    if length < 0x80:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE or SEQUENCE OF."""
    return encode(SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    """SET OF: the encodings in ascending order (X.690 §11.6)."""
    return encode(SET, *sorted(parts))


def explicit(number: int, *parts: bytes) -> bytes:
    """`[number] EXPLICIT`: also any constructed context tag."""
    return encode(_CONTEXT | _CONSTRUCTED | number, *parts)


def implicit(number: int, content: bytes) -> bytes:
    """`[number] IMPLICIT` of a primitive type: `content` is the contents octets alone."""
    return encode(_CONTEXT | number, content)


def boolean(value: bool) -> bytes:
    """TRUE is FF (X.690 §11.1)."""
    return encode(BOOLEAN, b"\xff" if value else b"\x00")


def integer(value: int) -> bytes:
    """INTEGER in the fewest octets of two's complement (X.690 §8.3.2)."""
    magnitude = value if value >= 0 else ~value
    return encode(INTEGER, value.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True))


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER from its dotted form. Raises `DerError` when the form is wrong."""
    try:
        arcs = [int(arc) for arc in dotted.split(".")]
    except ValueError:
        raise DerError("an object identifier is numbers and dots") from None
    if len(arcs) < 2 or min(arcs) < 0 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39):
        raise DerError("the first arcs of an object identifier are 0, 1 or 2 and (below 2) 0 to 39")
    subidentifiers = [arcs[0] * 40 + arcs[1], *arcs[2:]]
    return encode(OBJECT_IDENTIFIER, *(_base128(number) for number in subidentifiers))


def _base128(number: int) -> bytes:
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.append(0x80 | number & 0x7F)
    return bytes(reversed(octets))


def null() -> bytes:
    """NULL."""
    return encode(NULL)


def octet_string(content: bytes) -> bytes:
    """OCTET STRING."""
    return encode(OCTET_STRING, content)


def bit_string(octets: bytes, unused_bits: int = 0) -> bytes:
    """BIT STRING; the last `unused_bits` bits of `octets` must be zero (X.690 §11.2.1)."""
    _check_unused_bits(octets, unused_bits)
    return encode(BIT_STRING, bytes([unused_bits]), octets)


def named_bits(numbers: Iterable[int]) -> bytes:
    """BIT STRING of named bits, bit 0 first, trailing zero bits removed (X.690 §11.2.2)."""
    wanted = frozenset(numbers)
    if not wanted:
        return bit_string(b"")
    size = max(wanted) // 8 + 1
    value = sum(1 << (size * 8 - 1 - number) for number in wanted)
    return bit_string(value.to_bytes(size, "big"), size * 8 - 1 - max(wanted))


def utf8(text: str) -> bytes:
    """UTF8String."""
    return encode(UTF8_STRING, text.encode("utf-8"))


def printable(text: str) -> bytes:
    """PrintableString (X.680 §41.4). Raises `DerError` for any other character."""
    if not _PRINTABLE.issuperset(text):
        raise DerError("a character is not of PrintableString")
    return encode(PRINTABLE_STRING, text.encode("ascii"))


def ia5(text: str) -> bytes:
    """IA5String. Raises `DerError` for a character beyond ASCII."""
    if not text.isascii():
        raise DerError("a character is not of IA5String")
    return encode(IA5_STRING, text.encode("ascii"))


def utc_time(instant: datetime) -> bytes:
    """UTCTime, whole seconds, of an aware instant in 1950-2049 (RFC 5280 §4.1.2.5.1)."""
    moment = _whole_seconds(instant)
    if not 1950 <= moment.year <= 2049:
        raise DerError("UTCTime holds the years 1950 to 2049")
    return encode(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode("ascii"))


def generalized_time(instant: datetime) -> bytes:
    """GeneralizedTime, whole seconds, of an aware instant (RFC 5280 §4.1.2.5.2)."""
    moment = _whole_seconds(instant)
    return encode(GENERALIZED_TIME, f"{moment.year:04}{moment:%m%d%H%M%S}Z".encode("ascii"))


def time(instant: datetime) -> bytes:
    """The `Time` of certificates: UTCTime to 2049, GeneralizedTime after (RFC 5280 §4.1.2.5)."""
    return utc_time(instant) if instant.astimezone(UTC).year <= 2049 else generalized_time(instant)


def _whole_seconds(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise DerError("an instant needs a time zone")
    if instant.microsecond:
        raise DerError("DER times of certificates have whole seconds")
    return instant.astimezone(UTC)


def _check_unused_bits(octets: bytes, unused_bits: int) -> None:
    if not 0 <= unused_bits <= 7 or (unused_bits and not octets):
        raise DerError("a bit string has 0 to 7 unused bits, and none when empty")
    if unused_bits and octets[-1] & ((1 << unused_bits) - 1):
        raise DerError("unused bits are zero")


# --- reader -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Element:
    """One element as it stands in the input.

    `whole` is header and content, `content` the contents octets, `offset` where `whole` begins in the outermost input.
    """

    tag: int
    whole: bytes
    content: bytes
    offset: int

    @property
    def content_offset(self) -> int:
        """Where `content` begins in the outermost input."""
        return self.offset + len(self.whole) - len(self.content)

    @property
    def is_constructed(self) -> bool:
        """Whether the content is elements."""
        return bool(self.tag & _CONSTRUCTED)


def parse(data: bytes) -> Element:
    """The one element that `data` is, with nothing after it. Raises `DerError`."""
    element = _read_element(data, 0, 0)
    if len(element.whole) != len(data):
        raise DerError(f"{len(data) - len(element.whole)} bytes after the end of the element")
    return element


def children(element: Element, tag: int | None = None) -> tuple[Element, ...]:
    """The elements inside a constructed element; with `tag` also checks the element's own identifier."""
    if tag is not None:
        expect(element, tag)
    if not element.is_constructed:
        raise DerError(f"identifier {element.tag:02X} at {element.offset} is not constructed")
    found = []
    position = 0
    while position < len(element.content):
        child = _read_element(element.content, position, element.content_offset)
        found.append(child)
        position += len(child.whole)
    return tuple(found)


def expect(element: Element, tag: int) -> Element:
    """The same element, or `DerError` when its identifier is another."""
    if element.tag != tag:
        raise DerError(f"identifier {tag:02X} expected at {element.offset}, found {element.tag:02X}")
    return element


def _read_element(data: bytes, position: int, base: int) -> Element:
    where = base + position
    if position + 2 > len(data):
        raise DerError(f"the input ends inside a header at {where}")
    tag = data[position]
    if tag & 0x1F == 0x1F:
        raise DerError(f"an identifier of several octets at {where}")
    length, start = _read_length(data, position + 1, where)
    end = start + length
    if end > len(data):
        raise DerError(f"the input ends inside the element at {where}")
    return Element(tag, data[position:end], data[start:end], where)


def _read_length(data: bytes, position: int, where: int) -> tuple[int, int]:
    first = data[position]
    if first < 0x80:
        return first, position + 1
    count = first & 0x7F
    octets = data[position + 1 : position + 1 + count]
    if count == 0 or count > 4 or len(octets) != count:
        raise DerError(f"the length at {where} is indefinite, too long or cut off")
    length = int.from_bytes(octets, "big")
    if length < 0x80 or octets[0] == 0:
        raise DerError(f"the length at {where} is not the shortest")
    return length, position + 1 + count


def read_boolean(element: Element) -> bool:
    """The value of a BOOLEAN."""
    content = expect(element, BOOLEAN).content
    if content not in (b"\x00", b"\xff"):
        raise DerError(f"the boolean at {element.offset} is neither 00 nor FF")
    return content == b"\xff"


def read_integer(element: Element) -> int:
    """The value of an INTEGER."""
    content = expect(element, INTEGER).content
    if not content or (len(content) > 1 and (content[0], content[1] >> 7) in ((0x00, 0), (0xFF, 1))):
        raise DerError(f"the integer at {element.offset} is empty or not the shortest")
    return int.from_bytes(content, "big", signed=True)


def read_oid(element: Element) -> str:
    """The dotted form of an OBJECT IDENTIFIER."""
    content = expect(element, OBJECT_IDENTIFIER).content
    if not content or content[-1] & 0x80:
        raise DerError(f"the object identifier at {element.offset} is empty or cut off")
    numbers, number, first = [], 0, True
    for octet in content:
        if first and octet == 0x80:
            raise DerError(f"an arc of the object identifier at {element.offset} is not the shortest")
        number = number << 7 | octet & 0x7F
        first = not octet & 0x80
        if first:
            numbers.append(number)
            number = 0
    root = min(numbers[0] // 40, 2)
    return ".".join(str(arc) for arc in (root, numbers[0] - 40 * root, *numbers[1:]))


def read_octet_string(element: Element) -> bytes:
    """The octets of an OCTET STRING."""
    return expect(element, OCTET_STRING).content


def read_bit_string(element: Element) -> tuple[bytes, int]:
    """The octets and the number of unused bits of a BIT STRING."""
    content = expect(element, BIT_STRING).content
    if not content:
        raise DerError(f"the bit string at {element.offset} is empty")
    _check_unused_bits(content[1:], content[0])
    return content[1:], content[0]


def read_named_bits(element: Element) -> frozenset[int]:
    """The numbers of the bits that are set."""
    octets, _ = read_bit_string(element)
    return frozenset(i for i in range(len(octets) * 8) if octets[i // 8] & 0x80 >> i % 8)


def read_text(element: Element) -> str:
    """The text of a UTF8String, PrintableString or IA5String."""
    if element.tag not in (UTF8_STRING, PRINTABLE_STRING, IA5_STRING):
        raise DerError(f"a string expected at {element.offset}, found identifier {element.tag:02X}")
    try:
        text = element.content.decode("utf-8" if element.tag == UTF8_STRING else "ascii")
    except UnicodeDecodeError:
        raise DerError(f"the string at {element.offset} is not of its own alphabet") from None
    if element.tag == PRINTABLE_STRING and not _PRINTABLE.issuperset(text):
        raise DerError(f"the string at {element.offset} is not a PrintableString")
    return text


def read_time(element: Element) -> datetime:
    """The UTC instant of a UTCTime or GeneralizedTime in the forms of RFC 5280 §4.1.2.5."""
    forms = {UTC_TIME: ("%y%m%d%H%M%SZ", 13), GENERALIZED_TIME: ("%Y%m%d%H%M%SZ", 15)}
    if element.tag not in forms:
        raise DerError(f"a time expected at {element.offset}, found identifier {element.tag:02X}")
    form, size = forms[element.tag]
    try:
        moment = datetime.strptime(element.content.decode("ascii"), form).replace(tzinfo=UTC)
    except ValueError:
        raise DerError(f"the time at {element.offset} is not of the form of RFC 5280") from None
    if len(element.content) != size:
        raise DerError(f"the time at {element.offset} is not of the form of RFC 5280")
    if element.tag == UTC_TIME and moment.year >= 2050:  # RFC 5280: 50-99 are 1950-1999, strptime turns at 69
        moment = moment.replace(year=moment.year - 100)
    return moment

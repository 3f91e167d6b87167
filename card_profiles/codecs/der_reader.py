"""Reads DER strictly (ITU-T X.690 §8-11): elements with offsets, and their values."""

from datetime import UTC, datetime
from typing import NamedTuple

from card_profiles.codecs.der_tags import (
    BIT_STRING,
    BOOLEAN,
    CONSTRUCTED,
    GENERALIZED_TIME,
    IA5_STRING,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    PRINTABLE,
    PRINTABLE_STRING,
    UTC_TIME,
    UTF8_STRING,
    DerError,
    check_unused_bits,
)

_LONGEST_ARC_BITS = 128  # the largest arcs in use are UUIDs (X.667 §7)


class Element(NamedTuple):
    """One element as it stands in the input; a tuple, for a certificate has some fifty of them.

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
        return bool(self.tag & CONSTRUCTED)


def parse(data: bytes) -> Element:
    """The one element that `data` is, with nothing after it. Raises `DerError`."""
    element = _read_element(data, 0, 0)
    if len(element.whole) != len(data):
        raise DerError(f"{len(data) - len(element.whole)} bytes after the end of the element")
    return element


def parse_all(data: bytes) -> tuple[Element, ...]:
    """The elements that `data` is, one after the other. Raises `DerError`."""
    return _read_elements(data, 0)


def children(element: Element, tag: int | None = None) -> tuple[Element, ...]:
    """The elements inside a constructed element; with `tag` also checks the element's own identifier."""
    if tag is not None:
        expect(element, tag)
    if not element.is_constructed:
        raise DerError(f"identifier {element.tag:02X} at {element.offset} is not constructed")
    return _read_elements(element.content, element.content_offset)


def expect(element: Element, tag: int) -> Element:
    """The same element, or `DerError` when its identifier is another."""
    if element.tag != tag:
        raise DerError(f"identifier {tag:02X} expected at {element.offset}, found {element.tag:02X}")
    return element


def _read_elements(data: bytes, base: int) -> tuple[Element, ...]:
    found = []
    position = 0
    while position < len(data):
        found.append(_read_element(data, position, base))
        position += len(found[-1].whole)
    return tuple(found)


def _read_element(data: bytes, position: int, base: int) -> Element:
    where = base + position
    if position + 2 > len(data):
        raise DerError(f"the input ends inside a header at {where}")
    tag = data[position]
    if tag & 0x1F == 0x1F:
        raise DerError(f"an identifier of several octets at {where}")
    length, start = data[position + 1], position + 2
    if length >= 0x80:
        length, start = _read_long_length(data, position + 1, where)
    end = start + length
    if end > len(data):
        raise DerError(f"the input ends inside the element at {where}")
    return Element(tag, data[position:end], data[start:end], where)


def _read_long_length(data: bytes, position: int, where: int) -> tuple[int, int]:
    count = data[position] & 0x7F
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
        if number.bit_length() > _LONGEST_ARC_BITS:
            raise DerError(f"an arc of the object identifier at {element.offset} is too long")
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
    check_unused_bits(content[1:], content[0])
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
    if element.tag == PRINTABLE_STRING and not PRINTABLE.issuperset(text):
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
    # strptime takes a space for a zero, and a small z
    if len(element.content) != size or not element.content[:-1].isdigit() or not element.content.endswith(b"Z"):
        raise DerError(f"the time at {element.offset} is not of the form of RFC 5280")
    if element.tag == UTC_TIME and moment.year >= 2050:  # RFC 5280: 50-99 are 1950-1999, strptime turns at 69
        moment = moment.replace(year=moment.year - 100)
    return moment

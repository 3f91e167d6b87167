"""Writes DER (ITU-T X.690 §8-11): functions that return whole elements and compose."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

from card_profiles.codecs.der_tags import (
    BIT_STRING,
    BOOLEAN,
    CONSTRUCTED,
    CONTEXT,
    GENERALIZED_TIME,
    IA5_STRING,
    INTEGER,
    NULL,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    PRINTABLE,
    PRINTABLE_STRING,
    SEQUENCE,
    SET,
    UTC_TIME,
    UTF8_STRING,
    DerError,
    check_unused_bits,
)


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
    return encode(CONTEXT | CONSTRUCTED | number, *parts)


def implicit(number: int, content: bytes) -> bytes:
    """`[number] IMPLICIT` of a primitive type: `content` is the contents octets alone."""
    return encode(CONTEXT | number, content)


def boolean(value: bool) -> bytes:
    """TRUE is FF (X.690 §11.1)."""
    return encode(BOOLEAN, b"\xff" if value else b"\x00")


def integer(value: int) -> bytes:
    """INTEGER in the fewest octets of two's complement (X.690 §8.3.2)."""
    magnitude = value if value >= 0 else ~value
    return encode(INTEGER, value.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True))


@lru_cache(maxsize=256)
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
    check_unused_bits(octets, unused_bits)
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
    if not PRINTABLE.issuperset(text):
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

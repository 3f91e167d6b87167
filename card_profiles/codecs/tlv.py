"""BER-TLV data objects of cards (ISO/IEC 7816-4 §5.2.2; ITU-T X.690 §8.1), definite lengths in their shortest form.

A tag is the integer its identifier octets make, for example 0x5C, 0x5F1F or 0x7F61. Being strict, `decode_all` and
`encode` are each other's inverse.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from card_profiles.codecs.errors import CodecError

_LONGEST_TAG = 3
_LONGEST_LENGTH = 4


class TlvError(CodecError):
    """Not data objects, or not the one that was asked for."""


@dataclass(frozen=True, slots=True)
class Tlv:
    """One data object."""

    tag: int
    value: bytes

    @property
    def is_constructed(self) -> bool:
        """Whether the value is data objects (bit 6 of the first identifier octet)."""
        return bool(_tag_octets(self.tag)[0] & 0x20)

    def children(self) -> tuple["Tlv", ...]:
        """The data objects inside. Raises `TlvError`."""
        if not self.is_constructed:
            raise TlvError(f"tag {self.tag:02X} is primitive")
        return decode_all(self.value)

    def child(self, tag: int) -> "Tlv":
        """The one data object of this tag inside. Raises `TlvError` when there is none, or more than one."""
        found = [inner for inner in self.children() if inner.tag == tag]
        if len(found) != 1:
            raise TlvError(f"{len(found)} data objects {tag:02X} in {self.tag:02X}, one expected")
        return found[0]


def encode(tag: int, value: bytes) -> bytes:
    """One data object. Raises `TlvError` when `tag` is no tag."""
    return _checked_tag(tag) + _length_octets(len(value)) + value


def decode(data: bytes, tag: int) -> Tlv:
    """The one data object that `data` is, which must have this tag. Raises `TlvError`."""
    found = decode_all(data)
    if len(found) != 1 or found[0].tag != tag:
        raise TlvError(f"one data object {tag:02X} expected")
    return found[0]


def decode_all(data: bytes) -> tuple[Tlv, ...]:
    """The data objects that `data` is, one after the other, without padding. Raises `TlvError`."""
    return tuple(_decode(data))


def _decode(data: bytes) -> Iterator[Tlv]:
    position = 0
    while position < len(data):
        start = position + _tag_size(data, position)
        tag = int.from_bytes(data[position:start], "big")
        length, start = _read_length(data, start)
        position = start + length
        if position > len(data):
            raise TlvError(f"the data ends inside the value of {tag:02X}")
        yield Tlv(tag, data[start:position])


@lru_cache(maxsize=256)
def _checked_tag(tag: int) -> bytes:
    octets = _tag_octets(tag)
    if _tag_size(octets, 0) != len(octets):
        raise TlvError(f"{tag:X} is not a tag")
    return octets


def _tag_octets(tag: int) -> bytes:
    if tag <= 0:
        raise TlvError("a tag is a positive number")
    return tag.to_bytes((tag.bit_length() + 7) // 8, "big")


def _tag_size(data: bytes, position: int) -> int:
    if data[position] in (0x00, 0xFF):  # ISO/IEC 7816-4 §5.2.2.1: 00 is padding, FF is never a first octet
        raise TlvError(f"no tag at {position}")
    if data[position] & 0x1F != 0x1F:
        return 1
    for size in range(2, _LONGEST_TAG + 1):
        if position + size > len(data):
            break
        if not data[position + size - 1] & 0x80:
            if data[position + 1] == 0x80:
                break  # leading zeros of a tag number (X.690 §8.1.2.4.2)
            return size
    raise TlvError(f"the tag at {position} is cut off, longer than {_LONGEST_TAG} bytes or not the shortest")


def _length_octets(length: int) -> bytes:
    if length < 0x80:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    if len(octets) > _LONGEST_LENGTH:
        raise TlvError("the value is too long")
    return bytes([0x80 | len(octets)]) + octets


def _read_length(data: bytes, position: int) -> tuple[int, int]:
    if position >= len(data):
        raise TlvError("the data ends before a length")
    first = data[position]
    if first < 0x80:
        return first, position + 1
    count = first & 0x7F
    octets = data[position + 1 : position + 1 + count]
    if not 1 <= count <= _LONGEST_LENGTH or len(octets) != count:
        raise TlvError(f"the length at {position} is indefinite, too long or cut off")
    length = int.from_bytes(octets, "big")
    if length < 0x80 or octets[0] == 0:
        raise TlvError(f"the length at {position} is not the shortest")
    return length, position + 1 + count

"""Data groupings (DGI) for STORE DATA, and their blocks (GlobalPlatform Card Specification 2.3.1 §11.11)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from personalization.station.apdu import CommandApdu

_LAST_BLOCK = 0x80
_DGI_FORMAT = 0x08
_LARGEST_VALUE_BYTES = 0xFFFF


@dataclass(frozen=True, slots=True)
class DataGrouping:
    """One DGI: its identifier (2 bytes), its value, and how many bytes of the value are content of the card."""

    identifier: int
    value: bytes
    content_bytes: int

    def encode(self) -> bytes:
        """Identifier 2, length 1 (or FF and 2 bytes), value. Raises ValueError over 65,535 bytes."""
        size = len(self.value)
        if size > _LARGEST_VALUE_BYTES:
            raise ValueError("a data grouping of more than 65,535 bytes")
        length = bytes((size,)) if size < 0xFF else b"\xff" + size.to_bytes(2, "big")
        return self.identifier.to_bytes(2, "big") + length + self.value


def tlv(tag: int, value: bytes) -> bytes:
    """A data object with a one-byte tag inside a DGI's value; BER length (ISO/IEC 8825-1 §8.1.3)."""
    size = len(value)
    if size < 0x80:
        return bytes((tag, size)) + value
    coded = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(coded))) + coded + value


def install_for_personalization(aid: bytes) -> CommandApdu:
    """INSTALL [for personalization] (§11.5.2.3.6): the application that the next STORE DATA are for."""
    return CommandApdu(0x80, 0xE6, 0x20, 0x00, b"\x00\x00" + bytes((len(aid),)) + aid + b"\x00\x00\x00", 256)


def store_data(groupings: Iterable[DataGrouping], block_bytes: int) -> Iterator[CommandApdu]:
    """The STORE DATA blocks of one stream of DGIs: each but the last is full, a DGI goes on in the next block.

    Block numbers begin with 00 after INSTALL and go on from FF to 00 (data sheet §3).
    """
    stream = b"".join(grouping.encode() for grouping in groupings)
    starts = range(0, len(stream), block_bytes)
    for number, start in enumerate(starts):
        last = _LAST_BLOCK if start + block_bytes >= len(stream) else 0
        yield CommandApdu(0x80, 0xE2, last | _DGI_FORMAT, number & 0xFF, stream[start : start + block_bytes])

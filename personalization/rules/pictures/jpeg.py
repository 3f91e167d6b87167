"""JPEG (ITU-T T.81) read marker by marker from SOI to an EOI that are the first and the last bytes.

libjpeg fills what is missing with grey and goes on, so a cut picture with a proper end would pass it. Sequential scans
are therefore followed to their last bit; of progressive ones it is checked that every coefficient is sent to its last.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from personalization.rules.pictures.entropy import Octets, code_table
from personalization.rules.pictures.errors import PictureDamaged, PictureTooLarge, WrongType
from personalization.rules.pictures.jpeg_scan import Component, Scan, follow_scan
from personalization.rules.pictures.outline import Outline

SOI, EOI, SOS, DHT, DRI, DNL = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD, 0xDC
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}
MAXIMUM_SCANS = 100
"""libjpeg's own progressive script has 10; each scan costs a pass over the whole picture."""
_NEXT_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])", re.DOTALL)


@dataclass(slots=True)
class _Reader:
    progressive: bool = False
    width: int = 0
    height: int = 0
    components: dict[int, Component] = field(default_factory=dict)
    dc: dict[int, tuple[Octets, Octets]] = field(default_factory=dict)
    ac: dict[int, tuple[Octets, Octets]] = field(default_factory=dict)
    restart_interval: int = 0
    scans: int = 0
    # For each component, how many low bits of each coefficient are still to come; None before the first scan of it.
    missing_bits: dict[int, list[int | None]] = field(default_factory=dict)


def read_jpeg(data: bytes, maximum_pixels: int) -> Outline:
    """Size of a JPEG picture that is all there. Raises `WrongType`, `PictureTooLarge` or `PictureDamaged`."""
    if data[:3] != b"\xff\xd8\xff":
        raise WrongType("The bytes do not begin as JPEG does.")
    reader = _Reader()
    for marker, body, coded in _segments(data):
        _take(reader, marker, body, coded, maximum_pixels)
    if not reader.missing_bits or any(bits != 0 for sent in reader.missing_bits.values() for bits in sent):
        raise PictureDamaged("a part of the picture was never sent")
    return Outline(reader.width, reader.height)


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    position = 2
    while True:
        start = position
        while data[position : position + 1] == b"\xff":
            position += 1  # fill bytes may stand before a marker (§B.1.1.2)
        if position == start or position >= len(data):
            raise PictureDamaged("a marker is missing")
        marker = data[position]
        position += 1
        if marker == EOI:
            if position != len(data):
                raise PictureDamaged("bytes follow the end")
            return
        length = int.from_bytes(data[position : position + 2], "big")
        body = data[position + 2 : position + length]
        if length < 2 or len(body) != length - 2:
            raise PictureDamaged("a segment is cut short")
        position = end = position + length
        if marker == SOS:
            found = _NEXT_MARKER.search(data, position)
            if found is None:
                raise PictureDamaged("the coded data have no end")
            end = found.start()
        yield marker, body, data[position:end]
        position = end


def _take(reader: _Reader, marker: int, body: bytes, coded: bytes, maximum_pixels: int) -> None:
    if marker in FRAMES:
        _frame(reader, marker, body, maximum_pixels)
    elif marker == DHT:
        _huffman(reader, body)
    elif marker == DRI:
        if len(body) != 2:
            raise PictureDamaged("the restart interval is wrong")
        reader.restart_interval = int.from_bytes(body, "big")
    elif marker == SOS:
        _scan(reader, body, coded)
    elif marker in {SOI, DNL, 0xCC, 0xC8} or marker < 0xC0:
        raise PictureDamaged("a marker stands where it may not")


def _frame(reader: _Reader, marker: int, body: bytes, maximum_pixels: int) -> None:
    if reader.components or marker not in {BASELINE, EXTENDED, PROGRESSIVE} or len(body) < 6 or body[0] != 8:
        raise PictureDamaged("the frame is of a kind that is not decoded")
    reader.height, reader.width, count = struct.unpack_from(">HHB", body, 1)
    if not reader.width or not reader.height or count not in {1, 3, 4} or len(body) != 6 + 3 * count:
        raise PictureDamaged("the frame header is wrong")
    if reader.width * reader.height > maximum_pixels:
        raise PictureTooLarge("The picture declares too many pixels.")
    for identifier, sampling, _ in struct.iter_unpack("BBB", body[6:]):
        across, down = sampling >> 4, sampling & 15
        if identifier in reader.components or not 1 <= across <= 4 or not 1 <= down <= 4:
            raise PictureDamaged("the frame header is wrong")
        reader.components[identifier] = Component(across, down)
        reader.missing_bits[identifier] = [None] * 64
    reader.progressive = marker == PROGRESSIVE


def _huffman(reader: _Reader, body: bytes) -> None:
    while body:
        counts = body[1:17]
        symbols = body[17 : 17 + sum(counts)]
        if body[0] & 0x0F > 3 or body[0] >> 4 > 1:
            raise PictureDamaged("a Huffman table has no place")
        (reader.ac if body[0] >> 4 else reader.dc)[body[0] & 0x0F] = code_table(counts, symbols)
        body = body[17 + len(symbols) :]


def _scan(reader: _Reader, body: bytes, coded: bytes) -> None:
    reader.scans += 1
    count = body[0] if body else 0
    if reader.scans > MAXIMUM_SCANS or not 1 <= count <= 4 or len(body) != 4 + 2 * count:
        raise PictureDamaged("a scan header is wrong")
    chosen = list(struct.iter_unpack("BB", body[1:-3]))
    first, last, high, low = body[-3], body[-2], body[-1] >> 4, body[-1] & 15
    if len({c for c, _ in chosen}) != count or any(c not in reader.components for c, _ in chosen):
        raise PictureDamaged("a scan names a component that is not there")
    if last > 63 or first > last or (not reader.progressive and (first, last, high, low) != (0, 63, 0, 0)):
        raise PictureDamaged("a scan header is wrong")
    for component, _ in chosen:
        sent = reader.missing_bits[component]
        if any(sent[k] != (high or None) for k in range(first, last + 1)):
            raise PictureDamaged("a scan comes twice or out of order")
        sent[first : last + 1] = [low] * (last + 1 - first)
    if reader.progressive:
        return
    try:
        tables = [(reader.components[c], reader.dc[t >> 4], reader.ac[t & 15]) for c, t in chosen]
    except KeyError:
        raise PictureDamaged("a scan names a Huffman table that is not there") from None
    frame = tuple(reader.components.values())
    follow_scan(Scan(reader.width, reader.height, frame, tuple(tables), reader.restart_interval), coded)

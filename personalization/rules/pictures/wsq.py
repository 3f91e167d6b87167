"""WSQ fingerprints (FBI IAFIS-IC-0110 v3.1), read to the last coefficient without their pixels being rebuilt.

The one decoder within reach (PyPI `wsq`, from NIST's NBIS) reads and writes outside its buffers on damaged input, so
no picture of a record is given to it. Sizes of the 64 subbands: IAFIS-IC-0110 figure 6, as NBIS's tree.c has them.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy

from personalization.rules.pictures.entropy import (
    Octets,
    bit_windows,
    code_table,
    ends_within_a_byte,
    unstuffed,
)
from personalization.rules.pictures.errors import PictureDamaged, PictureTooLarge, WrongType
from personalization.rules.pictures.outline import Outline

SOI, EOI, SOF, SOB, DTT, DQT, DHT, COM = 0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA8
BLOCKS = 3
LARGEST_EXPONENT = 20
_PPI = re.compile(rb"\nPPI[ \t]+([0-9]{1,6})[ \t\r]*(?:\n|\0|$)")


@dataclass(slots=True)
class _Reader:
    """What has been read so far: tables stay in force until they are given anew."""

    frame: tuple[int, int] | None = None
    transform: bool = False
    quantized: tuple[bool, ...] | None = None
    codes: dict[int, tuple[Octets, Octets]] = field(default_factory=dict)
    resolution_dpi: int | None = None
    coefficients: int = 0
    blocks: int = 0


def read_wsq(data: bytes, maximum_pixels: int) -> Outline:
    """Size and resolution (None where no NISTCOM comment says it) of a WSQ picture whose coefficients are all there.

    Raises `WrongType`, `PictureTooLarge` or `PictureDamaged`.
    """
    if data[:3] != b"\xff\xa0\xff":
        raise WrongType("The bytes do not begin as WSQ does.")
    reader = _Reader()
    for marker, body, coded in _segments(data):
        _take(reader, marker, body, coded, maximum_pixels)
    if reader.frame is None or reader.quantized is None or not reader.transform or reader.blocks != BLOCKS:
        raise PictureDamaged("the picture lacks one of its parts")
    width, height = reader.frame
    if reader.coefficients != _coded_coefficients(width, height, reader.quantized):
        raise PictureDamaged("the picture has not the coefficients that its size needs")
    return Outline(width, height, reader.resolution_dpi)


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Marker, body, and for SOB the coded data after it; from SOI to an EOI that are the first and the last bytes."""
    position = 2
    while True:
        if position + 2 > len(data) or data[position] != 0xFF:
            raise PictureDamaged("a marker is missing")
        marker = data[position + 1]
        if marker == EOI:
            if position + 2 != len(data):
                raise PictureDamaged("bytes follow the end")
            return
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        body = data[position + 4 : position + 2 + length]
        if length < 2 or len(body) != length - 2:
            raise PictureDamaged("a segment is cut short")
        position += 2 + length
        end = position
        if marker == SOB:
            end = _end_of_coded(data, position)
        yield marker, body, data[position:end]
        position = end


def _end_of_coded(data: bytes, position: int) -> int:
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            raise PictureDamaged("the coded data have no end")
        if data[position + 1] != 0:
            return position
        position += 2


def _take(reader: _Reader, marker: int, body: bytes, coded: bytes, maximum_pixels: int) -> None:
    match marker:
        case _ if marker == SOF:
            reader.frame = _frame(reader, body, maximum_pixels)
        case _ if marker == DTT:
            _transform(body)
            reader.transform = True
        case _ if marker == DQT:
            reader.quantized = _quantization(body)
        case _ if marker == DHT:
            reader.codes.update(_huffman(body))
        case _ if marker == COM:
            found = _PPI.search(b"\n" + body) if body.startswith(b"NIST_COM") else None
            if found and reader.resolution_dpi is None:
                reader.resolution_dpi = int(found[1])
        case _ if marker == SOB:
            if len(body) != 1 or body[0] not in reader.codes or reader.frame is None:
                raise PictureDamaged("a block names a table that is not there")
            reader.blocks += 1
            reader.coefficients += _count_coefficients(unstuffed(coded), reader.codes[body[0]])
        case _:
            raise PictureDamaged("an unknown marker")


def _frame(reader: _Reader, body: bytes, maximum_pixels: int) -> tuple[int, int]:
    if len(body) != 15 or reader.frame is not None:
        raise PictureDamaged("the frame header is wrong")
    height, width = struct.unpack_from(">HH", body, 2)
    if width * height > maximum_pixels:
        raise PictureTooLarge("The picture declares too many pixels.")
    if not width or not height:
        raise PictureDamaged("the picture has no size")
    return width, height


def _transform(body: bytes) -> None:
    # Each filter is symmetric: of n taps, the half from the middle on is sent, six bytes each.
    if len(body) < 2 or 0 in body[:2]:
        raise PictureDamaged("the transform table is wrong")
    if len(body) != 2 + 6 * ((body[0] + 1) // 2 + (body[1] + 1) // 2):
        raise PictureDamaged("the transform table is wrong")


def _quantization(body: bytes) -> tuple[bool, ...]:
    """For each of the 64 subbands, whether it was kept: its bin width is not zero."""
    if len(body) != 3 + 64 * 6:
        raise PictureDamaged("the quantization table is wrong")
    # Each number is sent as a decimal exponent and 16 bits; an exponent beyond a float's range would make it zero.
    if max(body[0:1] + body[3::3]) > LARGEST_EXPONENT:
        raise PictureDamaged("the quantization table is wrong")
    return tuple(body[3 + 6 * band + 1 : 3 + 6 * band + 3] != b"\0\0" for band in range(64))


def _huffman(body: bytes) -> Iterator[tuple[int, tuple[Octets, Octets]]]:
    while body:
        counts = body[1:17]
        symbols = body[17 : 17 + sum(counts)]
        if body[0] >= 8:
            raise PictureDamaged("a Huffman table has no place")
        yield body[0], code_table(counts, symbols)
        body = body[17 + len(symbols) :]


def _count_coefficients(data: bytes, codes: tuple[Octets, Octets]) -> int:
    """How many coefficients a block holds. Raises `PictureDamaged` where a bit is left over or missing."""
    lengths, symbols = codes
    windows = bit_windows(data)
    symbol = symbols[windows]
    length = lengths[windows]
    # 1-100: a run of so many zeros; 101-104: a coefficient in 8 or 16 bits; 105, 106: the run in 8 or 16 bits;
    # 107-254: the coefficient itself.
    extra = numpy.select([numpy.isin(symbol, (101, 102, 105)), numpy.isin(symbol, (103, 104, 106))], [8, 16], 0)
    extra_bits = numpy.append(windows, numpy.full(32, 0xFFFF, numpy.uint16))[numpy.arange(len(windows)) + length]
    run = numpy.select([symbol <= 100, symbol == 105, symbol == 106], [symbol, extra_bits >> 8, extra_bits], 1).astype(
        numpy.uint16
    )
    valid = (length > 0) & (symbol != 0) & (symbol != 255)
    steps = numpy.where(valid, length + extra, 0).astype(numpy.uint8).tobytes()
    runs = memoryview(run.tobytes()).cast("H")
    total = position = 0
    end = len(steps)
    while position < end and (step := steps[position]):
        total += runs[position]
        position += step
    if not ends_within_a_byte(position, end):
        raise PictureDamaged("the coded data break off or run on")
    return total


def _coded_coefficients(width: int, height: int, quantized: tuple[bool, ...]) -> int:
    columns, rows = _subband_lengths(width, inverted=range(19, 35)), _subband_lengths(height, inverted=range(35, 51))
    return sum(columns[b][0] * rows[b][1] for b in range(64) if quantized[b])


def _subband_lengths(length: int, inverted: range) -> list[tuple[int, int]]:
    """For each subband its length if `length` is the width, and if it is the height.

    `inverted`: the group whose first split puts the smaller half first in this direction.
    """
    half = (length + 1) // 2
    quarter, other_quarter = (half + 1) // 2, half // 2
    regions = {
        # start of the group: its length as a width, as a height
        3: (quarter, quarter),
        19: (other_quarter, quarter),
        48: (length, length),
        35: (quarter, other_quarter),
    }
    lengths: list[tuple[int, int]] = [(0, 0)] * 64
    # In this order: the group at 35 ends in the place of the first three of the group at 48.
    for start, (as_width, as_height) in regions.items():
        smaller_first = start == inverted.start
        columns, rows = _four(as_width, smaller_first), _four(as_height, smaller_first)
        for index in range(16):
            column = (index & 1) | (index & 4) >> 1
            row = (index & 2) >> 1 | (index & 8) >> 2
            lengths[start + index] = (columns[column], rows[row])
    sixteenth = lengths[3][0]  # the lowest of the group at 3 is split once more, into 0 to 3
    low = ((sixteenth + 1) // 2, sixteenth // 2)
    for index in range(4):
        lengths[index] = (low[index & 1], low[index >> 1])
    return lengths


def _four(length: int, smaller_first: bool) -> tuple[int, int, int, int]:
    first = length // 2 if smaller_first else (length + 1) // 2
    second = length - first
    return (first + 1) // 2, first // 2, second // 2, (second + 1) // 2

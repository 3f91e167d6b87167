"""Following Huffman-coded data to its last bit, as JPEG (T.81) and WSQ (IAFIS-IC-0110) have it.

The code at every bit position is looked up at once; what is left to do one by one is to add up how far each takes.
Nothing is reconstructed: data that use exactly their bits for exactly their coefficients cannot fail later.
"""

from collections.abc import Sequence

import numpy
import numpy.typing

from personalization.rules.pictures.errors import PictureDamaged

WINDOW_BITS = 16
Words = numpy.typing.NDArray[numpy.uint16]
Octets = numpy.typing.NDArray[numpy.uint8]


def code_table(counts: Sequence[int], symbols: bytes) -> tuple[Octets, Octets]:
    """For each 16-bit window: the length of the code it begins with (0 for none) and its symbol (T.81 annex C).

    counts: how many codes of 1 to 16 bits. Raises `PictureDamaged` for counts that are no prefix code.
    """
    if len(counts) != WINDOW_BITS or sum(counts) != len(symbols):
        raise PictureDamaged("a Huffman table does not hold what it announces")
    lengths = numpy.zeros(1 << WINDOW_BITS, numpy.uint8)
    values = numpy.zeros(1 << WINDOW_BITS, numpy.uint8)
    start = index = 0
    for length, count in enumerate(counts, start=1):
        width = 1 << (WINDOW_BITS - length)
        end = start + count * width
        # The code of all ones is never given (T.81 §C.2), so that the fill bits at the end are no code.
        if end >= 1 << WINDOW_BITS and count:
            raise PictureDamaged("a Huffman table has more codes than fit")
        lengths[start:end] = length
        values[start:end] = numpy.repeat(numpy.frombuffer(symbols[index : index + count], numpy.uint8), width)
        start, index = end, index + count
    return lengths, values


def bit_windows(data: bytes) -> Words:
    """The 16 bits that follow each bit position of `data`; past its end stand ones."""
    octets = numpy.frombuffer(data + b"\xff\xff", numpy.uint8).astype(numpy.uint32)
    triples = (octets[:-2] << 16) | (octets[1:-1] << 8) | octets[2:]
    shifts = numpy.arange(8, 0, -1, dtype=numpy.uint32)
    windows: Words = (triples[:, None] >> shifts).astype(numpy.uint16).ravel()
    return windows


def ends_within_a_byte(position: int, end: int) -> bool:
    """Whether what is left between two bit positions is only the filling up of a byte (its bits may be any)."""
    return 0 <= end - position < 8


def unstuffed(data: bytes) -> bytes:
    """Coded data without the zero byte that follows each FF. Raises `PictureDamaged` at a marker."""
    parts = data.split(b"\xff")
    if any(not part.startswith(b"\0") for part in parts[1:]):
        raise PictureDamaged("a marker stands inside coded data")
    return b"\xff".join([parts[0], *(part[1:] for part in parts[1:])])

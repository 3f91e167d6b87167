"""Following one sequential Huffman scan of a JPEG to its last bit (ITU-T T.81 §F.2.2, without the arithmetic)."""

import re
from dataclasses import dataclass
from math import ceil

import numpy

from personalization.rules.pictures.entropy import Octets, Words, bit_windows, ends_within_a_byte, unstuffed
from personalization.rules.pictures.errors import PictureDamaged

END_OF_BLOCK = 128
"""Step of the end-of-block code: past 64 by more than any run can lead."""
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")


@dataclass(frozen=True, slots=True)
class Component:
    """Sampling factors of a component of the frame."""

    across: int
    down: int


@dataclass(frozen=True, slots=True)
class Scan:
    """Frame size in pixels, all components of the frame, and those of the scan with their DC and AC code tables."""

    width: int
    height: int
    frame: tuple[Component, ...]
    tables: tuple[tuple[Component, tuple[Octets, Octets], tuple[Octets, Octets]], ...]
    restart_interval: int


def follow_scan(scan: Scan, coded: bytes) -> None:
    """Raise `PictureDamaged` unless `coded` is exactly the coded blocks of the scan."""
    units, blocks = _units_and_blocks(scan)
    per_part = scan.restart_interval or units
    parts = _restart_parts(coded, ceil(units / per_part))
    data = b"".join(parts)
    windows = bit_windows(data)
    dc_of = {id(dc): _dc_steps(windows, dc) for _, dc, _ in scan.tables}
    ac_of = {id(ac): _ac_steps(windows, ac) for _, _, ac in scan.tables}
    plan = [
        (dc_of[id(dc)], *ac_of[id(ac)])
        for (_, dc, ac), count in zip(scan.tables, blocks, strict=True)
        for _ in range(count)
    ]
    start = 0
    for part in parts:
        position = _follow(plan, min(per_part, units), start * 8)
        units -= per_part
        start += len(part)
        if not ends_within_a_byte(position, start * 8):
            raise PictureDamaged("the coded data break off or run on")


def _follow(plan: list[tuple[bytes, bytes, bytes]], units: int, position: int) -> int:
    """The bit position after so many units. Past the end stand a few steps of zero, then IndexError ends the walk."""
    try:
        for _ in range(units):
            for dc_bits, ac_bits, ac_step in plan:
                if not dc_bits[position]:
                    raise PictureDamaged("the coded data hold a code that is none")
                position += dc_bits[position]
                coefficient = 1
                while coefficient < 64:
                    coefficient += ac_step[position]
                    position += ac_bits[position]
                if 64 < coefficient < END_OF_BLOCK:
                    raise PictureDamaged("a block has too many coefficients")
    except IndexError:
        raise PictureDamaged("the coded data break off") from None
    return position


def _units_and_blocks(scan: Scan) -> tuple[int, tuple[int, ...]]:
    """How many units the scan has, and how many blocks of each of its components a unit has (§A.2)."""
    across = max(component.across for component in scan.frame)
    down = max(component.down for component in scan.frame)
    if len(scan.tables) == 1:  # one component alone is not interleaved: a unit is one block
        only = scan.tables[0][0]
        columns = ceil(ceil(scan.width * only.across / across) / 8)
        rows = ceil(ceil(scan.height * only.down / down) / 8)
        return columns * rows, (1,)
    columns, rows = ceil(scan.width / (8 * across)), ceil(scan.height / (8 * down))
    return columns * rows, tuple(component.across * component.down for component, _, _ in scan.tables)


def _restart_parts(coded: bytes, expected: int) -> list[bytes]:
    pieces = _RESTART.split(coded)
    if len(pieces[::2]) != expected or any(mark[0] != 0xD0 + n % 8 for n, mark in enumerate(pieces[1::2])):
        raise PictureDamaged("the restart markers are not those that the size needs")
    return [unstuffed(piece) for piece in pieces[::2]]


def _dc_steps(windows: Words, codes: tuple[Octets, Octets]) -> bytes:
    """At each bit position, how many bits a DC difference takes that begins there; 0 for none."""
    lengths, symbols = codes[0][windows], codes[1][windows]
    return numpy.where((lengths > 0) & (symbols <= 11), lengths + symbols, 0).astype(numpy.uint8).tobytes()


def _ac_steps(windows: Words, codes: tuple[Octets, Octets]) -> tuple[bytes, bytes]:
    """At each bit position, how many bits the AC code there takes and how many coefficients on it leads."""
    lengths, symbols = codes[0][windows], codes[1][windows]
    run, size = symbols >> 4, symbols & 15
    valid = (lengths > 0) & ((size > 0) & (size <= 10) | (symbols == 0) | (symbols == 0xF0))
    bits = numpy.where(valid, lengths + size, 0)
    # A code that is none leads between 64 and END_OF_BLOCK, which is refused.
    steps = numpy.where(valid, numpy.where(symbols == 0, END_OF_BLOCK, run.astype(numpy.int16) + 1), 64)
    return bits.astype(numpy.uint8).tobytes(), steps.astype(numpy.uint8).tobytes()

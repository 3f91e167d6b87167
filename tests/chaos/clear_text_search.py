"""Finds values that must not lie in clear, in whatever form a program may have left them.

`ClearTextSearch.find` looks for every form of every marker (`marker_forms`) at once, in the data and in what is packed
inside it (`packed_layers`), layer under layer.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy
import numpy.typing

from tests.chaos.marker_forms import SHORTEST_NEEDLE_BYTES, Marker
from tests.chaos.packed_layers import GUESSED, unpacked

DEEPEST_LAYER = 5


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """Which marker, and through which layers it was found ("" is the data itself)."""

    marker: str
    layers: str


class ClearTextSearch:
    """Looks for all markers at once; its cost hardly grows with their number."""

    def __init__(self, markers: Iterable[Marker]) -> None:
        self._by_head: dict[bytes, list[tuple[bytes, str]]] = defaultdict(list)
        self._alone: list[tuple[bytes, str]] = []
        for marker in markers:
            self._alone += ((needle, marker.name) for needle in marker.alone)
            for needle in marker.needles:
                if len(needle) < SHORTEST_NEEDLE_BYTES:
                    raise ValueError(f"a needle of {marker.name} is too short to be told from chance")
                self._by_head[needle[:SHORTEST_NEEDLE_BYTES]].append((needle, marker.name))
        self._maybe = numpy.zeros(1 << 22, dtype=bool)
        heads = numpy.frombuffer(b"".join(self._by_head), dtype="<u8")
        self._maybe[_mixed(heads)] = True

    def find(self, data: bytes) -> frozenset[Found]:
        """Every marker in `data` and in what is packed in it."""
        return frozenset(self._find(data, "", 0, set()))

    def _find(self, data: bytes, layers: str, depth: int, seen: set[bytes]) -> Iterator[Found]:
        digest = hashlib.sha256(data).digest()
        if digest in seen or not data:
            return
        seen.add(digest)
        yield from {Found(name, layers) for name in (*self._hits(data), *self._hits_alone(data))}
        if depth < DEEPEST_LAYER:
            for layer, inner in unpacked(data, guess=GUESSED not in layers):  # no guess inside a guess
                yield from self._find(inner, f"{layers}/{layer}", depth + 1, seen)

    def _hits(self, data: bytes) -> Iterator[str]:
        for shift in range(min(8, max(0, len(data) - 7))):
            words = numpy.frombuffer(data, dtype="<u8", offset=shift, count=(len(data) - shift) // 8)
            for index in numpy.flatnonzero(self._maybe[_mixed(words)]).tolist():
                at = 8 * index + shift
                for needle, name in self._by_head.get(data[at : at + SHORTEST_NEEDLE_BYTES], ()):
                    if data.startswith(needle, at):
                        yield name

    def _hits_alone(self, data: bytes) -> Iterator[str]:
        for needle, name in self._alone:
            if needle in data:
                # Six digits behind a digit and a point are millionths of a second.
                alone = rb"(?<![0-9A-Za-z])(?<![0-9][.])%b(?![0-9A-Za-z])" % re.escape(needle)
                if re.search(alone, data):
                    yield name


def _mixed(words: "numpy.typing.NDArray[numpy.uint64]") -> "numpy.typing.NDArray[numpy.uint64]":
    """Multiplicative hashing to the 22 bits of the table."""
    mixed: numpy.typing.NDArray[numpy.uint64] = (words * numpy.uint64(0x9E3779B97F4A7C15)) >> numpy.uint64(42)
    return mixed

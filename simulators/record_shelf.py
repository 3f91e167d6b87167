"""The approved records of the simulated document information system: files in a folder, served in a fixed order.

Records are the files named *.json; hidden ones, and whatever else lies in the folder, are not.

STATE/served.jsonl holds a line {"position", "file", "sha256"} for every file ever seen, counted from 1. Files that are
new (by name and content) when the shelf is opened are put at the end, oldest approval first. A position whose file has
vanished or has another content by now is a gap.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

LARGEST_RECORD_BYTES = 8 * 1024 * 1024
LARGEST_PAGE_BYTES = 32 * 1024 * 1024
SHOWN_CHARACTERS = 1000
DEEPEST_NESTING = 100
"""A deeper file is delivered as text: it would break the parser of a whole page."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file and its ordinal in the served order."""

    position: int
    file: str
    sha256: str


class RecordShelf:
    """The files of one folder in their order; unchanging after it is made, so any thread may read it."""

    def __init__(self, records: Path, state: Path) -> None:
        self._records = records
        order = state / "served.jsonl"
        placed = [Placed(**line) for line in read_lines(order)]
        known = {(place.file, place.sha256) for place in placed}
        new = []
        for path in records.iterdir():
            if path.suffix == ".json" and not path.name.startswith(".") and path.is_file():
                with contextlib.suppress(OSError):  # a file that nobody can read is no record
                    digest = _digest(path)
                    if (path.name, digest) not in known:
                        new.append((_age(path), path.name, digest))
        with order.open("a", encoding="utf-8") as lines:
            for _, name, digest in sorted(new):
                place = Placed(len(placed) + 1, name, digest)
                line = {"position": place.position, "file": place.file, "sha256": place.sha256}
                lines.write(json.dumps(line) + "\n")
                placed.append(place)
        self._placed = tuple(placed)
        self._digests: dict[str, tuple[tuple[int, int], str]] = {}

    def present(self) -> Iterator[Placed]:
        """The places whose file lies in the folder now, in order."""
        return (place for place in self._placed if self._current_digest(place.file) == place.sha256)

    def page(self, after: int, limit: int) -> tuple[list[int], list[str]]:
        """Positions over `after` and their records as JSON texts: at most `limit`, and at least one if there is any."""
        positions: list[int] = []
        texts: list[str] = []
        size = 0
        for place in self._placed[after:]:
            if len(positions) == limit or size > LARGEST_PAGE_BYTES:
                break
            if self._current_digest(place.file) == place.sha256:
                try:
                    text = record_text(self._records / place.file)
                except OSError:
                    continue  # vanished just now
                positions.append(place.position)
                texts.append(text)
                size += len(text)
        return positions, texts

    def _current_digest(self, name: str) -> str | None:
        """Digest of a file as it is now; read again only when its time or size has changed."""
        try:
            status = (self._records / name).stat()
            stamp = (status.st_mtime_ns, status.st_size)
            cached = self._digests.get(name)
            if cached is None or cached[0] != stamp:
                cached = self._digests[name] = (stamp, _digest(self._records / name))
        except OSError:
            return None
        return cached[1]


def record_text(path: Path) -> str:
    """A file as one JSON value: its own text where it is JSON, otherwise a JSON string of what can be read of it.

    JSON goes through untouched, with duplicate keys and non-finite numbers as they are. Raises `OSError`.
    """
    if path.stat().st_size > LARGEST_RECORD_BYTES:
        with path.open("rb") as file:
            begin = file.read(4 * SHOWN_CHARACTERS).decode("utf-8", "replace")
        return json.dumps(begin[:SHOWN_CHARACTERS])
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")  # RFC 8259 §8.1 lets a reader ignore a byte order mark
        _check_nesting(json.loads(text))
    except (ValueError, RecursionError):
        return json.dumps(raw.decode("utf-8", "replace"))
    return text


def read_lines(path: Path) -> list[Any]:
    """The JSON values of a file of lines; a last line that a kill cut off is removed from the file."""
    if not path.exists():
        return []
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    if torn:
        os.truncate(path, len(whole) + 1 if whole else 0)
    return [json.loads(line) for line in whole.splitlines()]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _age(path: Path) -> tuple[bool, float]:
    """Sorts by approval instant; a file that tells none comes after those that do."""
    try:
        approved = datetime.fromisoformat(json.loads(record_text(path))["approved"]["at"])
    except (ValueError, TypeError, KeyError, IndexError):
        return True, 0.0
    return (True, 0.0) if approved.tzinfo is None else (False, approved.timestamp())


def _check_nesting(value: object) -> None:
    """Raises `ValueError` for a value nested deeper than `DEEPEST_NESTING`."""
    level = [value]
    for _ in range(DEEPEST_NESTING):
        inner: list[object] = []
        for part in level:
            if isinstance(part, dict):
                inner.extend(part.values())
            elif isinstance(part, list):
                inner.extend(part)
        if not inner:
            return
        level = inner
    raise ValueError("nested too deep")

"""A chip's memory: named cells of bytes in one append-only file, one line for every change.

A line is `crc32 {"cell": "base64", …}`: all its cells change together or not at all. A process that is killed while
it writes leaves at most a last line without its end; that line is dropped when the chip gets power again, and the
chip is as it was before the APDU. The file is written anew (and renamed into place) once most of it is history.
"""

import base64
import binascii
import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from simulators.chip.apdu import Status, StatusError
from simulators.chip.errors import ChipDamaged, ChipInUse, NoChip

MEMORY_FILE = "memory.jsonl"
_HISTORY_BYTES = 1_000_000


class Memory:
    """The cells of one chip. `read` needs no power; `write` does: it holds the chip's directory locked."""

    def __init__(self, directory: Path) -> None:
        """Raises `NoChip`, `ChipDamaged`."""
        self._directory = directory
        self._path = directory / MEMORY_FILE
        self._cells: dict[str, bytes] = {}
        self._file: int | None = None
        self._lock: int | None = None
        self._written_bytes = 0
        self._load()

    @property
    def cells(self) -> Mapping[str, bytes]:
        """All cells by name, read-only."""
        return MappingProxyType(self._cells)

    @property
    def written_bytes(self) -> int:
        """Bytes that were written into cells since this object was made."""
        return self._written_bytes

    def read(self, name: str) -> bytes | None:
        """The cell's bytes, None where nothing was ever written."""
        return self._cells.get(name)

    def open(self) -> None:
        """Lock the chip, drop what a power cut left unfinished. Raises `ChipInUse`, `NoChip`, `ChipDamaged`."""
        if self._file is not None:
            return
        self._lock = os.open(self._directory, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            kept = self._load()
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            os.ftruncate(self._file, kept)
            if kept > _HISTORY_BYTES:
                self._write_anew()
        except BlockingIOError as error:
            self.close()
            raise ChipInUse(self._directory.name) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the chip go."""
        for handle in (self._file, self._lock):
            if handle is not None:
                os.close(handle)
        self._file = self._lock = None

    def write(self, changes: Mapping[str, bytes]) -> None:
        """Change these cells together. Raises `StatusError` 6581 (nothing changed) when the disk takes no more."""
        if self._file is None:
            raise ChipInUse(self._directory.name)
        before = os.fstat(self._file).st_size
        line = _line(changes)
        try:
            _write_all(self._file, line)
        except OSError as error:
            os.ftruncate(self._file, before)
            raise StatusError(Status.MEMORY_FAILURE) from error
        self._cells.update(changes)
        self._written_bytes += sum(len(value) for value in changes.values())

    def _load(self) -> int:
        """Replay the file; the length of what is whole."""
        try:
            content = self._path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NoChip(str(self._directory)) from error
        cells: dict[str, bytes] = {}
        end = content.rfind(b"\n") + 1
        for line in content[:end].splitlines():
            cells.update(_changes(line, self._path))
        self._cells = cells
        return end

    def _write_anew(self) -> None:
        fresh = self._path.with_suffix(".new")
        make_file(fresh, [self._cells])
        fresh.replace(self._path)
        if self._file is not None:
            os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)


def make_file(path: Path, lines: Iterable[Mapping[str, bytes]]) -> None:
    """Write a memory file whole; it holds keys, so nobody else may read it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for changes in lines:
            _write_all(handle, _line(changes))
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _line(changes: Mapping[str, bytes]) -> bytes:
    body = json.dumps({name: base64.b64encode(value).decode() for name, value in changes.items()}).encode()
    return b"%08x %s\n" % (binascii.crc32(body), body)


def _changes(line: bytes, path: Path) -> dict[str, bytes]:
    check, _, body = line.partition(b" ")
    if check != b"%08x" % binascii.crc32(body):
        raise ChipDamaged(str(path))
    return {name: base64.b64decode(value) for name, value in json.loads(body).items()}

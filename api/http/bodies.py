"""Request bodies: their media type, their limits, and the lines of a bulk, read as they come and never held whole."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from fastapi import Request

from api.http.problems import Problem

JSON = "application/json"
NDJSON = "application/x-ndjson"
FORM = "application/x-www-form-urlencoded"
RECORD_BYTES = 8 * 2**20
BULK_BYTES = 64 * 2**20
BULK_LINES = 2000
BODY_SECONDS = 60.0
CHUNK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a bulk by its number, from 1; `content` is None where it is longer than a record may be."""

    number: int
    content: bytes | None


def media_type(request: Request, *taken: str) -> str:
    """The body's media type, one of those taken here. Raises `Problem` unsupported-media-type."""
    given = request.headers.getlist("content-type")
    name, *parameters = (part.strip().lower() for part in (given[0] if len(given) == 1 else "").split(";"))
    charset = next((value for key, _, value in (p.partition("=") for p in parameters) if key == "charset"), "utf-8")
    if name not in taken or charset.strip('"') != "utf-8" or "content-encoding" in request.headers:
        raise Problem("unsupported-media-type", f"Send {' or '.join(taken)} in UTF-8, not compressed.")
    return name


async def whole_body(request: Request, most_bytes: int) -> bytes:
    """The body. Raises `Problem` too-large, too-slow; `ClientDisconnect`."""
    check_announced(request, most_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most_bytes:
                    raise too_large(most_bytes)
    except TimeoutError:
        raise Problem("too-slow", f"A body has {BODY_SECONDS:.0f} seconds.") from None
    return bytes(body)


def check_announced(request: Request, most_bytes: int) -> None:
    """Refuse by its announced length what would be too large. Raises `Problem` too-large."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > most_bytes:
        raise too_large(most_bytes)


def too_large(most_bytes: int) -> Problem:
    """What is said of a body over the limit."""
    return Problem("too-large", f"A body here has at most {most_bytes} bytes.")


async def bulk_lines(request: Request) -> AsyncIterator[Line]:
    """The lines of a bulk that are not empty. Raises `Problem` too-large, too-slow; `ClientDisconnect`."""
    check_announced(request, BULK_BYTES)
    splitter, received = _Splitter(), 0
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(CHUNK_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise Problem("too-slow", f"Nothing came for {CHUNK_SECONDS:.0f} seconds.") from None
        if chunk is None:
            break
        received += len(chunk)
        if received > BULK_BYTES:
            raise too_large(BULK_BYTES)
        for line in splitter.lines(chunk):
            yield line
    for line in splitter.rest():
        yield line


class _Splitter:
    """Cuts chunks into lines; of a line that is too long nothing is kept."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._too_long = False
        self._number = 1

    def lines(self, chunk: bytes) -> Iterator[Line]:
        *ended, open_end = chunk.split(b"\n")
        for piece in ended:
            self._add(piece)
            yield from self.rest()
            self._number += 1
        self._add(open_end)

    def rest(self) -> Iterator[Line]:
        """The line at hand, unless it is empty."""
        content, too_long = bytes(self._held).strip(b" \t\r"), self._too_long
        self._held.clear()
        self._too_long = False
        if too_long or content:
            if self._number > BULK_LINES:
                raise Problem("too-large", f"A bulk has at most {BULK_LINES} lines.")
            yield Line(self._number, None if too_long else content)

    def _add(self, piece: bytes) -> None:
        if self._too_long:
            return
        self._held += piece
        if len(self._held) > RECORD_BYTES:
            self._held.clear()
            self._too_long = True

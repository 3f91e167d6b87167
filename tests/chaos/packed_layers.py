"""What is packed in data, one layer down.

zlib, gzip and raw deflate streams at any offset (also torn ones), ZIP members, ASCII85 as PDF has it, base64 and hex
runs at every alignment, hex dumps, backslash escapes, the text of PDF pages, and the data without its white space and
without its zero bytes.
"""

import base64
import binascii
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise

import numpy
import numpy.typing
import pypdfium2

LARGEST_INFLATED_BYTES = 16 * 1024 * 1024
FED_BYTES = 256
"""Streams are inflated in such pieces, so that what came before a tear is kept."""
LARGEST_SMALL_BYTES = 256
LOOKED_AT_BYTES = 1 << 20
FIXED_CODE_BYTES = 4 * 1024
"""In so small data each byte may begin a raw stream with the fixed code, which no header tells from chance."""
GUESSED = "deflate inside"
"""The layer of a raw stream that does not begin with the data: nearly all of these are chance."""
EITHER, RAW = 47, -15  # zlib.h: 32 + 15 knows zlib and gzip by their heads, -15 is deflate alone

_GZIP = re.compile(rb"\x1f\x8b\x08")  # RFC 1952 §2.3
_ASCII85 = re.compile(rb"(?:stream\r?\n|<~)([!-uz\s]{10,})~>")  # ISO 32000-1 §7.4.3
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}")
_FOR_URLS = bytes.maketrans(b"-_", b"+/")
_HEX = re.compile(rb"[0-9A-Fa-f]{24,}")
_HEX_LIST = re.compile(rb"(?:0x)?[0-9A-Fa-f]{2}(?:[ :,-]{1,2}(?:0x)?[0-9A-Fa-f]{2}){9,}")
_HEX_LINES = tuple(
    re.compile(before + rb"[0-9A-Fa-f]{4,8}:?[ \t]+((?:[0-9A-Fa-f]{2}[ \t]{0,2}){1,16})")
    for before in (rb"(?m)^[ \t]*", rb"(?<![0-9A-Fa-f])")
)
_WIDE = (re.compile(rb"(?s)(?:.\0){10,}"), 0), (re.compile(rb"(?s)(?:\0.){10,}"), 1)
_PRINTABLE = re.compile(rb"[\x20-\x7e]{12,}")
_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([0-3][0-7]{2})|(.))")
_PLAIN_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}

Numbers = numpy.typing.NDArray[numpy.uint64]


def unpacked(data: bytes, *, guess: bool = True) -> Iterator[tuple[str, bytes]]:
    """The layer's name and the inner bytes, for each that is found; with `guess` also the `GUESSED` ones."""
    yield from _streams(data, guess=guess)
    yield from _zip_members(data)
    yield from _texts(data)
    yield from _pdf_text(data)
    for pairs, kept in _WIDE:
        yield from _small_ones_together("utf-16", (found[0][kept::2] for found in pairs.finditer(data)))
    for layer, without in (("no white space", b" \t\r\n"), ("no zero bytes", b"\0")):
        squeezed = data.translate(None, without)
        if len(squeezed) != len(data):
            yield layer, squeezed


def _streams(data: bytes, *, guess: bool) -> Iterator[tuple[str, bytes]]:
    starts = (*_zlib_starts(data), *(found.start() for found in _GZIP.finditer(data)))
    yield from _small_ones_together("zlib", (_inflated(data, at, EITHER)[0] for at in starts))
    yield "deflate", _inflated(data, 0, RAW)[0]
    if guess:
        dynamic = (_inflated(data, at, RAW)[0] for at in _dynamic_starts(data))
        fixed = (inner for at in _fixed_starts(data) for inner, ended in [_inflated(data, at, RAW)] if ended)
        yield from _small_ones_together(GUESSED, (*dynamic, *fixed))


def _zlib_starts(data: bytes) -> list[int]:
    """RFC 1950 §2.2: method 8, a window of at most 32 KiB, no dictionary, and the check bits right."""
    octets = numpy.frombuffer(data, dtype=numpy.uint8).astype(numpy.uint16)
    head, flags = octets[:-1], octets[1:]
    known = (head & 0x8F == 0x08) & (flags & 0x20 == 0) & ((head * 256 + flags) % 31 == 0)
    return numpy.flatnonzero(known).tolist()


def _dynamic_starts(data: bytes) -> list[int]:
    """Where a block with a code of its own may begin (RFC 1951 §3.2.7): the first of its codes is complete."""
    padded = data + bytes(16)
    starts: list[int] = []
    for base in range(0, len(data), LOOKED_AT_BYTES):
        count = min(LOOKED_AT_BYTES, len(data) - base)
        word, following = (_words(padded, base + further, count) for further in (0, 8))
        fitting = numpy.flatnonzero((word & 0b110 == 0b100) & (word >> 3 & 31 <= 29) & (word >> 8 & 31 <= 29))
        word, following = word[fitting], following[fitting]
        lengths = word >> 17 | following << 47
        lengths &= (numpy.uint64(1) << 3 * ((word >> 13 & 15) + 4)) - numpy.uint64(1)
        filled = sum(_FILLED_BY_FOUR[lengths >> 12 * four & 0xFFF] for four in range(5))
        starts += (fitting[filled == 128] + base).tolist()
    return starts


def _words(data: bytes, start: int, count: int) -> Numbers:
    """The eight bytes from each of `count` places, the lowest first."""
    return numpy.ndarray((count,), dtype="<u8", buffer=data, offset=start, strides=(1,))


def _filled_by_four() -> Numbers:
    """By four code lengths of three bits: how much of 128 their codes take."""
    share = numpy.array([0, 64, 32, 16, 8, 4, 2, 1], dtype=numpy.uint64)
    fours = numpy.arange(1 << 12)
    filled: Numbers = sum((share[fours >> 3 * number & 7] for number in range(4)), numpy.zeros(1, numpy.uint64))
    return filled


_FILLED_BY_FOUR = _filled_by_four()


def _fixed_starts(data: bytes) -> list[int]:
    if len(data) > FIXED_CODE_BYTES:
        return []
    return [at for at, octet in enumerate(data) if octet & 7 == 3]


def _inflated(data: bytes, start: int, window: int) -> tuple[bytes, bool]:
    """What comes out of the stream, and whether it came to its end."""
    stream = zlib.decompressobj(wbits=window)
    out = bytearray()
    try:
        for at in range(start, len(data), FED_BYTES):
            out += stream.decompress(data[at : at + FED_BYTES], LARGEST_INFLATED_BYTES)
            if stream.eof or len(out) > LARGEST_INFLATED_BYTES:
                break
    except zlib.error:
        pass  # torn, or no stream at all: what came before stays
    return bytes(out), stream.eof


def _zip_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    if b"PK\x03\x04" not in data:
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield "zip", archive.read(name)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, ValueError, EOFError):
        return  # no archive, or a torn one: its streams are found by themselves


def _texts(data: bytes) -> Iterator[tuple[str, bytes]]:
    for found in _ASCII85.finditer(data):
        with suppress(ValueError):
            yield "ascii85", base64.a85decode(b"".join(found[1].split()))
    runs = [found[0].translate(_FOR_URLS) for found in _BASE64.finditer(data) if not _HEX.fullmatch(found[0])]
    for start in range(4):  # what stands before may be of the same alphabet
        cut = (run[start : start + (len(run) - start) // 4 * 4] for run in runs)
        yield from _small_ones_together("base64", (base64.b64decode(text) for text in cut))
    runs = _HEX.findall(data)
    for start in range(2):
        cut = (run[start : start + (len(run) - start) // 2 * 2] for run in runs)
        yield from _small_ones_together("hex", (binascii.unhexlify(text) for text in cut))
    lists = (re.sub(rb"0x|[^0-9A-Fa-f]", b"", found[0]) for found in _HEX_LIST.finditer(data))
    yield from _small_ones_together("hex", (binascii.unhexlify(text) for text in lists))
    for pattern in _HEX_LINES:
        if lines := pattern.findall(data):
            yield "hex dump", b"".join(bytes.fromhex(line.decode("ascii")) for line in lines)
    escaped = (found[0] for found in _PRINTABLE.finditer(data) if b"\\" in found[0])
    yield from _small_ones_together("escapes", (_ESCAPE.sub(_unescaped, text) for text in escaped))


def _small_ones_together(layer: str, contents: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """A log has thousands of words that might be base64: one look at all of them is enough."""
    small = []
    for content in contents:
        if len(content) < LARGEST_SMALL_BYTES:
            small.append(content)
        else:
            yield layer, content
    if small:
        yield layer, b"\n".join(small)


def _unescaped(found: re.Match[bytes]) -> bytes:
    """JSON (RFC 8259 §7), Python, and octal as PDF strings have it (ISO 32000-1 §7.3.4.2)."""
    wide, narrow, octal, plain = found.groups()
    if wide:
        return chr(int(wide, 16)).encode("utf-8", "replace")
    if narrow:
        return bytes.fromhex(narrow.decode("ascii"))
    return bytes([int(octal, 8)]) if octal else _PLAIN_ESCAPES.get(plain, plain)


def _pdf_text(data: bytes) -> Iterator[tuple[str, bytes]]:
    starts = [found.start() for found in re.finditer(rb"%PDF-\d", data)]
    for start, following in pairwise([*starts, len(data)]):
        end = data.rfind(b"%%EOF", start, following)
        if end < 0:
            continue
        try:
            document = pypdfium2.PdfDocument(data[start : end + 5])
        except pypdfium2.PdfiumError:
            continue
        try:
            for page in document:
                yield "pdf text", page.get_textpage().get_text_range().encode("utf-8", "replace")
        finally:
            document.close()

"""Finds values that must not lie in clear, in whatever form a program may have left them.

A marker is one such value with all its spellings (needles). Texts are looked for as they are, upper and lower case,
in both Unicode normal forms and as the machine readable zone writes them; each in UTF-8, UTF-16 LE and BE, and as JSON,
XML, Python and percent-escapes write it. Bytes (and so every spelling of a text) are looked for raw, in hex of both
cases and in base64 of both alphabets at all three alignments.

`ClearTextSearch.find` looks at the data, and at what is packed inside it, layer under layer: zlib and gzip streams at
any offset (also torn ones), ZIP members, ASCII85 as PDF has it, base64 and hex runs, the text of PDF pages, and the
data without its white space and without its zero bytes.
"""

import base64
import binascii
import hashlib
import io
import re
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

import numpy
import numpy.typing
import pypdfium2

from card_profiles.codecs.mrz import transliterate

SHORTEST_NEEDLE_BYTES = 8
"""Anything shorter would be met by chance in megabytes of ciphertext."""
DEEPEST_LAYER = 5
LARGEST_INFLATED_BYTES = 16 * 1024 * 1024
FED_BYTES = 256
"""Streams are inflated in such pieces, so that what came before a tear is kept."""

_STREAM_HEADS = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")  # RFC 1950 §2.2, RFC 1952 §2.3
_ASCII85 = re.compile(rb"(?:stream\r?\n|<~)([!-uz\s]{10,})~>")  # ISO 32000-1 §7.4.3
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{40,}")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}){20,}")


@dataclass(frozen=True, slots=True)
class Marker:
    """A value under a name that may be shown, and its spellings (each of at least `SHORTEST_NEEDLE_BYTES`)."""

    name: str
    needles: frozenset[bytes]


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """Which marker, and through which layers it was found ("" is the data itself)."""

    marker: str
    layers: str


def text_marker(name: str, *texts: str) -> Marker:
    """One value in its written forms."""
    spellings: set[bytes] = set()
    for text in texts:
        for written in _written(text):
            spellings |= _spelled(written)
    return Marker(name, frozenset(form for spelling in spellings for form in byte_forms(spelling)))


def bytes_marker(name: str, *values: bytes) -> Marker:
    """A key, a picture's part, a code in binary."""
    return Marker(name, frozenset(form for value in values for form in byte_forms(value)))


def byte_forms(data: bytes) -> Iterator[bytes]:
    """Raw, hex, base64: every form that is long enough to be told from chance."""
    forms = [data, data.hex().encode(), data.hex().upper().encode(), data.hex(":").encode(), *_base64(data)]
    return (form for form in forms if len(form) >= SHORTEST_NEEDLE_BYTES)


def _written(text: str) -> set[str]:
    forms = {text, text.upper(), text.lower()}
    forms |= {unicodedata.normalize(form, known) for known in set(forms) for form in ("NFC", "NFD")}
    if not re.search("[0-9@]", text):  # a name
        zone = transliterate(text)  # ICAO 9303-3 §6
        forms |= {zone, zone.replace("<", " "), zone.lower()}
    return {form for form in forms if len(form) >= 6}


def _spelled(text: str) -> set[bytes]:
    wide = ["".join(f"\\u{unit:04x}" if unit > 126 else chr(unit) for unit in _utf16_units(text))]
    wide.append(re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), wide[0]))
    escaped = [
        *wide,
        text.encode("ascii", "xmlcharrefreplace").decode(),
        "".join(f"&#x{ord(c):x};" if ord(c) > 126 else c for c in text),
        text.encode("ascii", "backslashreplace").decode(),
        repr(text.encode())[2:-1],
        quote(text, safe=""),
        quote(text, safe="").lower(),
        quote(text, safe="@+").replace("%20", "+"),
    ]
    return {
        form.encode(encoding)
        for form in (text, *escaped)
        for encoding in (("utf-8", "utf-16-le", "utf-16-be") if form == text else ("utf-8",))
    }


def _utf16_units(text: str) -> Iterable[int]:
    units = text.encode("utf-16-be")
    return (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))


def _base64(data: bytes) -> Iterator[bytes]:
    for lead in range(3):
        bits_before, bits_after = 8 * lead, 8 * (lead + len(data))
        whole = slice(-(-bits_before // 6), bits_after // 6)  # characters that the neighbours do not change
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * lead + data)[whole]


class ClearTextSearch:
    """Looks for all markers at once; its cost hardly grows with their number."""

    def __init__(self, markers: Iterable[Marker]) -> None:
        self._by_head: dict[bytes, list[tuple[bytes, str]]] = defaultdict(list)
        for marker in markers:
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
        if digest in seen:
            return
        seen.add(digest)
        yield from {Found(name, layers) for name in self._hits(data)}
        if depth < DEEPEST_LAYER:
            for layer, inner in unpacked(data):
                yield from self._find(inner, f"{layers}/{layer}", depth + 1, seen)

    def _hits(self, data: bytes) -> Iterator[str]:
        for shift in range(min(8, max(0, len(data) - 7))):
            words = numpy.frombuffer(data, dtype="<u8", offset=shift, count=(len(data) - shift) // 8)
            for index in numpy.flatnonzero(self._maybe[_mixed(words)]).tolist():
                at = 8 * index + shift
                for needle, name in self._by_head.get(data[at : at + SHORTEST_NEEDLE_BYTES], ()):
                    if data.startswith(needle, at):
                        yield name


def _mixed(words: "numpy.typing.NDArray[numpy.uint64]") -> "numpy.typing.NDArray[numpy.uint64]":
    """Multiplicative hashing to the 22 bits of the table."""
    mixed: numpy.typing.NDArray[numpy.uint64] = (words * numpy.uint64(0x9E3779B97F4A7C15)) >> numpy.uint64(42)
    return mixed


def unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What is packed in `data`, one layer down: the layer's name and the inner bytes."""
    for found in _STREAM_HEADS.finditer(data):
        if inner := _inflated(data, found.start()):
            yield "deflate", inner
    if b"PK\x03\x04" in data:
        yield from _zip_members(data)
    for found in _ASCII85.finditer(data):
        try:
            yield "ascii85", base64.a85decode(b"".join(found[1].split()))
        except ValueError:
            continue
    for found in _BASE64.finditer(data):
        text = found[0][: len(found[0]) // 4 * 4]
        yield "base64", base64.b64decode(text, altchars=b"-_" if set(b"-_") & set(text) else None)
    for found in _HEX.finditer(data):
        yield "hex", binascii.unhexlify(found[0])
    if data.startswith(b"%PDF-"):
        yield from _pdf_text(data)
    for layer, without in (("no white space", b" \t\r\n"), ("no zero bytes", b"\0")):
        squeezed = data.translate(None, without)
        if len(squeezed) != len(data):
            yield layer, squeezed


def _inflated(data: bytes, start: int) -> bytes:
    stream = zlib.decompressobj(wbits=47)  # zlib.h: 32 + 15 knows zlib and gzip by their heads
    out = bytearray()
    try:
        for at in range(start, len(data), FED_BYTES):
            out += stream.decompress(data[at : at + FED_BYTES], LARGEST_INFLATED_BYTES)
            if stream.eof or len(out) > LARGEST_INFLATED_BYTES:
                break
    except zlib.error:
        pass  # torn, or no stream at all: what came before stays
    return bytes(out)


def _zip_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield "zip", archive.read(name)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError):
        return


def _pdf_text(data: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError:
        return
    try:
        for page in document:
            yield "pdf text", page.get_textpage().get_text_range().encode()
    finally:
        document.close()

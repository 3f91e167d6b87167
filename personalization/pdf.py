"""A small PDF writer for cards: whole released fonts, pictures as they came, and what never changes written once.

PDF 1.4 (the clauses are those of ISO 32000-1, which describes it unchanged). The same content gives the same bytes:
no date, no random identifier. A general writer makes and compresses fonts and patterns anew for every document; here
they are cached, so that a card's face costs little more than its own words and pictures.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from reportlab.pdfbase import pdfmetrics

_HEAD = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
OBJECTS_OF_A_FONT = 5
_SYMBOLIC = 4  # §9.8.2: glyphs are chosen by number, not by a standard encoding
LAST_LATIN = 0x017F
"""Of Latin Extended-A, which holds nearly every name; a place of birth may be in letters of its own."""


def number(value: float) -> str:
    """A real number as PDF writes it: at most four decimals, no exponent (§7.3.3)."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def numbers(*values: float) -> str:
    """Numbers one after the other."""
    return " ".join(map(number, values))


def stream(entries: str, data: bytes, *, deflated: bool = False, level: int = 6) -> bytes:
    """A stream object's body; `data` is compressed here unless it is already, or `entries` name a filter (§7.3.8)."""
    if "/Filter" not in entries:
        data = data if deflated else zlib.compress(data, level)
        entries += " /Filter /FlateDecode"
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries.encode("ascii"), len(data), data)


class PdfDocument:
    """Objects in the order in which they are added, numbered from 1."""

    def __init__(self) -> None:
        self._bodies: list[bytes] = []

    @property
    def next_number(self) -> int:
        """The number of the object that is added next."""
        return len(self._bodies) + 1

    def add(self, *bodies: bytes) -> int:
        """Add objects; the number of the first."""
        first = self.next_number
        self._bodies += bodies
        return first

    def add_pages(self, size_pt: tuple[float, float], contents: Iterable[bytes], resources: str) -> int:
        """Pages of one size, with the same resources; the number of the page tree."""
        shared = self.add(resources.encode("ascii"))
        pages = []
        for content in contents:
            drawn = self.add(stream("", content, level=2))  # the least work; a page is a few kB either way
            pages.append(drawn + 1)
            # §7.7.3.3; the tree follows the last page, its number is told when it is known.
            self.add(b"<< /Type /Page /Parent @ 0 R /Contents %d 0 R /Resources %d 0 R >>" % (drawn, shared))
        tree = self.next_number
        for page in pages:
            self._bodies[page - 1] = self._bodies[page - 1].replace(b"@", str(tree).encode(), 1)
        kids = " ".join(f"{page} 0 R" for page in pages)
        box = f"/MediaBox [0 0 {numbers(*size_pt)}]"
        return self.add(f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] {box} >>".encode())

    def to_bytes(self, pages: int) -> bytes:
        """The file: header, objects, cross-reference table, trailer (§7.5)."""
        catalog = self.add(b"<< /Type /Catalog /Pages %d 0 R >>" % pages)
        parts, offsets, position = [_HEAD], [], len(_HEAD)
        for count, body in enumerate(self._bodies, start=1):
            part = b"%d 0 obj\n%b\nendobj\n" % (count, body)
            offsets.append(position)
            position += len(part)
            parts.append(part)
        size = len(offsets) + 1
        parts.append(b"xref\n0 %d\n0000000000 65535 f \n" % size)
        parts += [b"%010d 00000 n \n" % offset for offset in offsets]
        parts.append(b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, catalog, position))
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class EmbeddedFont:
    """A registered TrueType font, cut to the letters of a repertoire: its file, and the glyph number of each letter."""

    name: str
    file: bytes
    glyphs: Mapping[int, int]
    written: Mapping[str, str]
    """Letter -> its glyph number in four hexadecimal digits."""

    def codes(self, text: str) -> str:
        """A text as a hexadecimal string of glyph numbers; every letter must be in the repertoire."""
        return f"<{''.join(map(self.written.__getitem__, text))}>"


@lru_cache(maxsize=32)
def embedded_font(name: str, *, everything: bool) -> EmbeddedFont:
    """With every letter the font has, or with the Latin ones alone (less than half the bytes)."""
    face = pdfmetrics.getFont(name).face
    letters = sorted(code for code in face.charToGlyph if everything or code <= LAST_LATIN)
    renumbered: dict[int, int] = {}
    for code in letters:  # glyphs are numbered as they are first met; 0 is the box of what is missing
        renumbered.setdefault(face.charToGlyph[code], len(renumbered) + 1)
    glyphs = {code: renumbered[face.charToGlyph[code]] for code in letters}
    written = {chr(code): f"{glyph:04X}" for code, glyph in glyphs.items()}
    return EmbeddedFont(name, face.makeSubset(letters), glyphs, written)


@lru_cache(maxsize=64)
def font_objects(name: str, first: int, *, everything: bool) -> tuple[bytes, ...]:
    """The objects of an embedded font for numbers from `first` on; `first` is the font.

    A composite font whose codes are glyph numbers (§9.7.4, Identity-H), with the way back to Unicode (§9.10.3).
    """
    face, font = pdfmetrics.getFont(name).face, embedded_font(name, everything=everything)
    # §9.6.4: the name of a font that lacks some of its letters begins with six capitals of our choice.
    base = f"/{'' if everything else 'LATINA+'}{name.replace('-', '')}"
    glyphs = sorted({glyph: code for code, glyph in sorted(font.glyphs.items(), reverse=True)}.items())
    widths = " ".join(f"{glyph} [{round(face.charWidths[code])}]" for glyph, code in glyphs)
    box = " ".join(str(round(value)) for value in face.bbox)
    descendant, descriptor, file, unicode = range(first + 1, first + OBJECTS_OF_A_FONT)
    identity = "<< /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"
    return (
        (
            f"<< /Type /Font /Subtype /Type0 /BaseFont {base} /Encoding /Identity-H "
            f"/DescendantFonts [{descendant} 0 R] /ToUnicode {unicode} 0 R >>"
        ).encode(),
        (
            f"<< /Type /Font /Subtype /CIDFontType2 /BaseFont {base} /CIDSystemInfo {identity} "
            f"/FontDescriptor {descriptor} 0 R /CIDToGIDMap /Identity /DW {round(face.defaultWidth)} /W [{widths}] >>"
        ).encode(),
        (
            f"<< /Type /FontDescriptor /FontName {base} /Flags {_SYMBOLIC} /FontBBox [{box}] /ItalicAngle 0 "
            f"/Ascent {round(face.ascent)} /Descent {round(face.descent)} /CapHeight {round(face.capHeight)} "
            f"/StemV {round(face.stemV)} /FontFile2 {file} 0 R >>"
        ).encode(),
        stream(f"/Length1 {len(font.file)}", font.file, level=9),
        stream("", _to_unicode(glyphs), level=9),
    )


def _to_unicode(glyphs: list[tuple[int, int]]) -> bytes:
    """A CMap in blocks of at most 100 lines (§9.10.3; Adobe technical note 5411)."""
    lines = [f"<{glyph:04X}> <{chr(code).encode('utf-16-be').hex().upper()}>" for glyph, code in glyphs]
    blocks = [lines[start : start + 100] for start in range(0, len(lines), 100)]
    mapped = "\n".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        f"1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n{mapped}\n"
        "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend"
    ).encode("ascii")

"""Parts of a printed face as PDF operators and objects: text, what stands on every card, pictures, patterns.

The clauses are those of ISO 32000-1.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Protocol

from PIL import Image
from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm

from card_profiles.model import ArtItem
from personalization.face_fonts import HIGHEST, LINE_PITCH, FaceRefused, check_letters, fit_text, width_pt
from personalization.guilloche import rosette, waves
from personalization.pdf import embedded_font, number, numbers, stream

BASELINE = 0.8  # type sizes below the top of a box
SPECIMEN_DEGREES = 18
INK = "#1B1B1F"  # where an item names no colour
ALPHAS = {"Ghost": 0.28, "Specimen": 0.30}
_OPAQUE = ("1", "L", "P", "RGB")
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_COLOURS = {"L": "/DeviceGray", "RGB": "/DeviceRGB"}
_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
PRINTED_PIXELS = (720, 960)  # more than a 600-dpi printer shows of the largest portrait
PATTERNS: Mapping[str, Callable[[float, float], str]] = {"waves": waves, "rosette": rosette}


class PrintedPicture(Protocol):
    """A picture of a record: its media type and its bytes."""

    @property
    def media_type(self) -> str:
        """For example `image/jpeg`."""

    @property
    def data(self) -> bytes:
        """The file."""


@dataclass(frozen=True, slots=True)
class Pen:
    """What a part of the face is drawn with that is the same for all cards of a profile."""

    page_height: float
    fonts: tuple[tuple[str, str], ...]
    """Font file -> registered name."""
    everything: bool
    """Whether the fonts are embedded with every letter they have."""

    def top(self, item: ArtItem) -> float:
        return self.page_height - item.y_mm * float(mm)

    def font(self, item: ArtItem) -> str:
        for file_name, name in self.fonts:
            if file_name == item.font:
                return name
        raise FaceRefused(f"{name_of(item)}: font file {item.font} is not part of the release.")

    def show(self, font: str, size: float, x: float, y: float, text: str) -> str:
        """Operators that set one line of text, its baseline beginning at x, y (ISO 32000-1 §9.4)."""
        index = [name for _, name in self.fonts].index(font)
        codes = embedded_font(font, everything=self.everything).codes(text)
        return f"BT /F{index} {number(size)} Tf {numbers(x, y)} Td {codes} Tj ET"

    def text(self, item: ArtItem, text: str) -> str:
        font = self.font(item)
        check_letters(text, font, name_of(item))
        lines, size = fit_text(text, font, item.size_pt, (item.width_mm * mm, item.height_mm * mm), name_of(item))
        # One line keeps the baseline of its neighbours when it is set smaller; two lines fill the box from its top.
        baseline = self.top(item) - (BASELINE * item.size_pt if len(lines) == 1 else HIGHEST * size)
        shown = (
            self.show(font, size, item.x_mm * mm, baseline - index * LINE_PITCH * size, line)
            for index, line in enumerate(lines)
        )
        return f"{fill(item)} {' '.join(shown)}"


@lru_cache(maxsize=32)
def pen_of(page_height: float, fonts: tuple[tuple[str, str], ...], everything: bool) -> Pen:
    """The one pen of these: what is looked up by it is found without comparing."""
    return Pen(page_height, fonts, everything)


def _text(pen: Pen, item: ArtItem) -> str:
    return pen.text(item, item.source)


def _rectangle(pen: Pen, item: ArtItem) -> str:
    height = item.height_mm * mm
    return f"{fill(item)} {numbers(item.x_mm * mm, pen.top(item) - height, item.width_mm * mm, height)} re f"


def _specimen(pen: Pen, item: ArtItem) -> str:
    font = pen.font(item)
    check_letters(item.source, font, name_of(item))
    x, y = (item.x_mm + item.width_mm / 2) * mm, pen.top(item) - item.height_mm * mm / 2
    cosine, sine = math.cos(math.radians(SPECIMEN_DEGREES)), math.sin(math.radians(SPECIMEN_DEGREES))
    left = -width_pt(item.source, font, item.size_pt) / 2
    shown = pen.show(font, item.size_pt, left, -BASELINE * item.size_pt / 2, item.source)
    return f"{fill(item)} /Specimen gs {numbers(cosine, sine, -sine, cosine, x, y)} cm {shown}"


STANDING: Mapping[str, Callable[[Pen, ArtItem], str]] = {
    "text": _text,
    "label": _text,
    "rectangle": _rectangle,
    "specimen": _specimen,
}
"""Kinds that are the same on every card of a profile."""


@lru_cache(maxsize=1024)
def drawn_once(pen: Pen, item: ArtItem) -> str:
    return apart(STANDING[item.kind](pen, item))


def apart(operators: str) -> str:
    """What an item changes of the graphics state ends with it (§8.4.2)."""
    return f"q {operators} Q"


def fill(item: ArtItem) -> str:
    return _fill(*colour_of(item))


@lru_cache(maxsize=64)
def _fill(red: float, green: float, blue: float) -> str:
    return f"{numbers(red, green, blue)} rg"


@lru_cache(maxsize=64)
def pattern_object(
    source: str, width_mm: float, height_mm: float, line_pt: float, colour: tuple[float, float, float]
) -> bytes:
    """A form with the pattern's curves (§8.10)."""
    width, height = width_mm * mm, height_mm * mm
    drawn = f"{numbers(*colour)} RG {number(line_pt)} w\n{PATTERNS[source](width, height)}".encode("ascii")
    return stream(f"/Type /XObject /Subtype /Form /BBox [0 0 {numbers(width, height)}]", drawn, level=9)


def portrait_object(portrait: PrintedPicture, name: str) -> tuple[bytes, tuple[int, int]]:
    """The portrait as a picture object, and its size in pixels."""
    if portrait.media_type == "image/jpeg":
        size, mode = _passed_jpeg(portrait.data, name)
        if mode in _JPEG_COLOURS:
            return image_object(size, _JPEG_COLOURS[mode], portrait.data, "/Filter /DCTDecode"), size  # as it came
    # Not every printer takes JPEG 2000, so its pixels go in.
    rgb = _printable(opened_picture(portrait.data, name))
    return image_object(rgb.size, "/DeviceRGB", rgb.tobytes()), rgb.size


def mask_object(data: bytes, opened: Image.Image) -> bytes:
    """A drawing whose darkness covers: grey, turned around by its /Decode. `opened` is what `data` showed."""
    size = opened.size
    packed = _grey_png_rows(data)
    if packed is not None:  # as it came: PDF has taken over PNG's compression with its filters (§7.4.4.4)
        predicted = f"/DecodeParms << /Predictor 15 /Colors 1 /BitsPerComponent 8 /Columns {size[0]} >>"
        return image_object(size, "/DeviceGray", packed, f"/Decode [1 0] /Filter /FlateDecode {predicted}")
    grey = opened.convert("L")
    if opened.mode not in _OPAQUE or "transparency" in opened.info:
        grey = Image.alpha_composite(Image.new("RGBA", size, "white"), opened.convert("RGBA")).convert("L")
    return image_object(size, "/DeviceGray", grey.tobytes(), "/Decode [1 0]")


def _grey_png_rows(data: bytes) -> bytes | None:
    """The compressed rows of a PNG that opens, where they are of 8 bits grey, opaque and not interlaced; else None."""
    if data[:8] != _PNG or data[24:29] != b"\x08\x00\x00\x00\x00":  # ISO/IEC 15948 §11.2.2: IHDR comes first
        return None
    rows, position = [], 8
    while position + 12 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if kind == b"tRNS":
            return None
        if kind == b"IDAT":
            rows.append(data[position + 8 : position + 8 + length])
        position += length + 12
    return b"".join(rows)


def ink_object(colour: tuple[float, float, float], mask: int) -> bytes:
    """One pixel of ink, shown through the mask of this number."""
    ink = bytes(round(part * 255) for part in colour).hex().encode()
    return image_object((1, 1), "/DeviceRGB", ink + b">", f"/SMask {mask} 0 R /Filter /ASCIIHexDecode")


def image_object(size_px: tuple[int, int], colours: str, data: bytes, entries: str = "") -> bytes:
    """A picture of 8 bits a component (§8.9.5)."""
    size = f"/Width {size_px[0]} /Height {size_px[1]}"
    return stream(
        f"/Type /XObject /Subtype /Image {size} /ColorSpace {colours} /BitsPerComponent 8 {entries}", data, level=1
    )


def _printable(picture: Image.Image) -> Image.Image:
    rgb = picture.convert("RGB")
    rgb.thumbnail(PRINTED_PIXELS, Image.Resampling.LANCZOS)
    return rgb


def _passed_jpeg(data: bytes, name: str) -> tuple[tuple[int, int], str]:
    """Size and mode of a JPEG that opens: read to its last coefficient, but an eighth of its pixels is made of them."""
    try:
        picture = Image.open(BytesIO(data), formats=("JPEG",))
        size, mode = picture.size, picture.mode
        picture.draft("L", (1, 1))
        picture.load()
    except _UNREADABLE:
        raise FaceRefused(f"{name}: the picture does not open.") from None
    return size, mode


def opened_picture(data: bytes, name: str) -> Image.Image:
    try:
        picture = Image.open(BytesIO(data))
        picture.load()
    except _UNREADABLE:
        raise FaceRefused(f"{name}: the picture does not open.") from None
    return picture


def colour_of(item: ArtItem) -> tuple[float, float, float]:
    """Red, green and blue, 0 to 1. Raises `FaceRefused`."""
    try:
        return _colour(item.colour or INK)
    except ValueError:
        raise FaceRefused(f"{name_of(item)}: the colour is not written as #rrggbb.") from None


@lru_cache(maxsize=64)
def _colour(written: str) -> tuple[float, float, float]:
    red, green, blue = HexColor(written).rgb()
    return red, green, blue


def name_of(item: ArtItem) -> str:
    return f"{item.kind} {item.source}" if item.kind == "field" else item.kind

"""The printed face of a card: a two-page PDF of CR80 size, the same bytes for the same content.

Layout is data of the card profile (`ArtItem` says what its fields mean); this module draws the items in order. A text
stands whole in its box: shrunk, or broken in two where it is too long, never clipped. A field the content does not
have draws nothing. Pictures keep their proportions and stand in the middle of their box; a portrait whose `source` is
`ghost` is a pale copy. The lines of the MRZ are the items `mrz1`, `mrz2`, `mrz3`. The words of a `specimen` item go
slanting and pale across its box.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

from PIL import Image, ImageOps
from reportlab import rl_config
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.pdfgen.pathobject import PDFPathObject

import card_profiles
from card_profiles.model import ArtItem, CardProfile
from personalization.face_fonts import HIGHEST, LINE_PITCH, FaceRefused, check_letters, fit_text, load_fonts, width_pt
from personalization.guilloche import rosette, waves

__all__ = ["RELEASED_FONTS", "FaceContent", "FaceRefused", "compose_face"]

RELEASED_FONTS = Path(card_profiles.__file__).parent / "art" / "fonts"
SIDES = ("front", "back")
FIELDS = frozenset(
    (
        "surname", "given_names", "nationality", "sex", "birth_date", "personal_code", "document_number", "expiry_date",
        "can", "birth_place", "height", "issue_date", "authority",
    )
)  # fmt: skip
MRZ_ITEMS = ("mrz1", "mrz2", "mrz3")
MRZ_COLUMNS, MRZ_PITCH_MM = 30, 2.54  # ICAO 9303-5 §4.2.2: OCR-B, ten characters to the inch
BASELINE = 0.8  # type sizes below the top of a box
SPECIMEN_DEGREES = 18
INK = "#1B1B1F"  # where an item names no colour
GHOST_ALPHA, SPECIMEN_ALPHA = 0.28, 0.30
PRINTED_PIXELS = (720, 960)  # more than a 600-dpi printer shows of the largest portrait

_PATTERNS: Mapping[str, Callable[[float, float], tuple[PDFPathObject, ...]]] = {"waves": waves, "rosette": rosette}


class PrintedPicture(Protocol):
    """A picture of a record: its media type and its bytes."""

    @property
    def media_type(self) -> str:
        """For example `image/jpeg`."""

    @property
    def data(self) -> bytes:
        """The file."""


@dataclass(frozen=True, slots=True)
class FaceContent:
    """What is printed of one order.

    `fields` holds names of `FIELDS`; dates are ISO `YYYY-MM-DD` with 00 for an unknown part; what is not known is
    absent or empty. `mrz` is 3 lines of 30 characters. `portrait` is the order's original (`image/jpeg` or
    `image/jp2`), `signature` dark ink on a light ground, or None.
    """

    fields: Mapping[str, str]
    mrz: tuple[str, ...]
    portrait: PrintedPicture
    signature: PrintedPicture | None


def compose_face(profile: CardProfile, content: FaceContent, fonts: Path = RELEASED_FONTS) -> bytes:
    """The PDF (front, back) of one card; nothing touches the disk, and the same input gives the same bytes.

    Raises `FaceRefused` when a text does not fit or has a letter the fonts do not draw, when a picture does not open,
    or when the fonts are not those of the release.
    """
    unknown = content.fields.keys() - FIELDS
    if unknown:
        raise FaceRefused(f"The face knows no field {', '.join(sorted(unknown))}.")
    names = load_fonts(fonts, profile.face.fonts)
    # ASCII85 would make every picture a quarter larger; it is a setting of the module, not of a document.
    rl_config.useA85 = 0
    out = BytesIO()
    size = profile.face.width_mm * mm, profile.face.height_mm * mm
    first = next(iter(names.values()), None)
    # Without a font of ours to begin with, an unembedded Helvetica appears in the document.
    canvas = Canvas(out, pagesize=size, invariant=1, pageCompression=1, initialFontName=first)
    drawing = _Drawing(canvas, size[1], content, names)
    for side in SIDES:
        for item in profile.face.items:
            if item.side == side:
                drawing.draw(item)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


class _Drawing:
    """One document while it is drawn."""

    def __init__(self, canvas: Canvas, page_height: float, content: FaceContent, fonts: Mapping[str, str]) -> None:
        self._canvas = canvas
        self._page_height = page_height
        self._content = content
        self._fonts = fonts
        self._portrait_picture: ImageReader | None = None
        self._forms: dict[tuple[str, float, float, float, str], str] = {}
        self._kinds: Mapping[str, Callable[[ArtItem], None]] = {
            "text": lambda item: self._text(item, item.source),
            "label": lambda item: self._text(item, item.source),
            "field": self._field,
            "portrait": self._portrait,
            "signature": self._signature,
            "mrz": self._mrz,
            "guilloche": self._guilloche,
            "rectangle": self._rectangle,
            "specimen": self._specimen,
        }

    def draw(self, item: ArtItem) -> None:
        """Raises `FaceRefused`."""
        if item.kind not in self._kinds:
            raise FaceRefused(f"The face cannot draw the kind {item.kind}.")
        self._canvas.saveState()
        self._kinds[item.kind](item)
        self._canvas.restoreState()

    def _top(self, item: ArtItem) -> float:
        return self._page_height - item.y_mm * float(mm)

    def _font(self, item: ArtItem) -> str:
        try:
            return self._fonts[item.font]
        except KeyError:
            raise FaceRefused(f"{_name(item)}: font file {item.font} is not part of the release.") from None

    def _field(self, item: ArtItem) -> None:
        if item.source not in FIELDS:
            raise FaceRefused(f"The face knows no field {item.source}.")
        if value := self._content.fields.get(item.source):
            self._text(item, _printed(item.source, value))

    def _text(self, item: ArtItem, text: str) -> None:
        font = self._font(item)
        check_letters(text, font, _name(item))
        lines, size = fit_text(text, font, item.size_pt, (item.width_mm * mm, item.height_mm * mm), _name(item))
        self._canvas.setFillColor(_colour(item))
        self._canvas.setFont(font, size)
        # One line keeps the baseline of its neighbours when it is set smaller; two lines fill the box from its top.
        baseline = self._top(item) - (BASELINE * item.size_pt if len(lines) == 1 else HIGHEST * size)
        for index, line in enumerate(lines):
            self._canvas.drawString(item.x_mm * mm, baseline - index * LINE_PITCH * size, line)

    def _mrz(self, item: ArtItem) -> None:
        font = self._font(item)
        if item.source not in MRZ_ITEMS:
            raise FaceRefused(f"The face knows no MRZ line {item.source}.")
        if [len(line) for line in self._content.mrz] != [MRZ_COLUMNS] * len(MRZ_ITEMS):
            raise FaceRefused("The machine readable zone is not 3 lines of 30 characters.")
        line = self._content.mrz[MRZ_ITEMS.index(item.source)]
        check_letters(line, font, _name(item))
        if abs(width_pt(line, font, item.size_pt) - MRZ_COLUMNS * MRZ_PITCH_MM * mm) > 0.01 * mm:
            raise FaceRefused("The machine readable zone would not have ten characters to the inch.")
        self._canvas.setFillColor(_colour(item))
        self._canvas.setFont(font, item.size_pt)
        self._canvas.drawString(item.x_mm * mm, self._top(item) - BASELINE * item.size_pt, line)

    def _portrait(self, item: ArtItem) -> None:
        if self._portrait_picture is None:
            portrait = self._content.portrait
            opened = _opened(portrait.data, _name(item))
            # JPEG goes into the document as it came; the PDF writer cannot embed JPEG 2000, so its pixels go in.
            as_is = portrait.media_type == "image/jpeg"
            self._portrait_picture = ImageReader(BytesIO(portrait.data) if as_is else _printable(opened))
        if item.source == "ghost":
            self._canvas.setFillAlpha(GHOST_ALPHA)
        self._place(self._portrait_picture, self._portrait_picture.getSize(), item)

    def _signature(self, item: ArtItem) -> None:
        if self._content.signature is None:
            return
        opened = _opened(self._content.signature.data, _name(item))
        # Ink on the background of the card: the darker the pixel, the less transparent.
        grey = Image.alpha_composite(Image.new("RGBA", opened.size, "white"), opened.convert("RGBA")).convert("L")
        colour = _colour(item)
        ink = Image.new("RGBA", opened.size, tuple(round(part * 255) for part in colour.rgb()))
        ink.putalpha(ImageOps.invert(grey))
        self._place(ImageReader(ink), opened.size, item)

    def _place(self, reader: ImageReader, size_px: tuple[int, int], item: ArtItem) -> None:
        scale = min(item.width_mm * mm / size_px[0], item.height_mm * mm / size_px[1])
        width, height = size_px[0] * scale, size_px[1] * scale
        left = item.x_mm * mm + (item.width_mm * mm - width) / 2
        bottom = self._top(item) - item.height_mm * mm + (item.height_mm * mm - height) / 2
        self._canvas.drawImage(reader, left, bottom, width, height, mask="auto")

    def _guilloche(self, item: ArtItem) -> None:
        if item.source not in _PATTERNS:
            raise FaceRefused(f"The face knows no pattern {item.source}.")
        key = item.source, item.width_mm, item.height_mm, item.size_pt, item.colour
        self._canvas.translate(item.x_mm * mm, self._top(item) - item.height_mm * mm)
        if key not in self._forms:
            self._forms[key] = f"guilloche{len(self._forms)}"
            self._canvas.beginForm(self._forms[key], upperx=item.width_mm * mm, uppery=item.height_mm * mm)
            self._canvas.setStrokeColor(_colour(item))
            self._canvas.setLineWidth(item.size_pt)
            for path in _PATTERNS[item.source](item.width_mm * mm, item.height_mm * mm):
                self._canvas.drawPath(path)
            self._canvas.endForm()
        self._canvas.doForm(self._forms[key])

    def _rectangle(self, item: ArtItem) -> None:
        self._canvas.setFillColor(_colour(item))
        height = item.height_mm * mm
        self._canvas.rect(item.x_mm * mm, self._top(item) - height, item.width_mm * mm, height, stroke=0, fill=1)

    def _specimen(self, item: ArtItem) -> None:
        font = self._font(item)
        check_letters(item.source, font, _name(item))
        self._canvas.setFillColor(_colour(item))
        self._canvas.setFillAlpha(SPECIMEN_ALPHA)
        self._canvas.setFont(font, item.size_pt)
        self._canvas.translate((item.x_mm + item.width_mm / 2) * mm, self._top(item) - item.height_mm * mm / 2)
        self._canvas.rotate(SPECIMEN_DEGREES)
        self._canvas.drawCentredString(0, -BASELINE * item.size_pt / 2, item.source)


def _printed(field: str, value: str) -> str:
    """How a value is written on the card: dates dd.mm.yyyy with XX for what is unknown."""
    if field.endswith("_date"):
        year, month, day = value.split("-")
        return ".".join("XX" if part == "00" else part for part in (day, month)) + f".{year}"
    return value


def _printable(picture: Image.Image) -> Image.Image:
    rgb = picture.convert("RGB")
    rgb.thumbnail(PRINTED_PIXELS, Image.Resampling.LANCZOS)
    return rgb


def _opened(data: bytes, name: str) -> Image.Image:
    try:
        picture = Image.open(BytesIO(data))
        picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise FaceRefused(f"{name}: the picture does not open.") from None
    return picture


def _colour(item: ArtItem) -> Color:
    try:
        return HexColor(item.colour or INK)
    except ValueError:
        raise FaceRefused(f"{_name(item)}: the colour is not written as #rrggbb.") from None


def _name(item: ArtItem) -> str:
    return f"{item.kind} {item.source}" if item.kind == "field" else item.kind

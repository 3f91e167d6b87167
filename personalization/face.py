"""The printed face of a card: a two-page PDF of CR80 size, the same bytes for the same content.

Layout is data of the card profile (`ArtItem` says what its fields mean); this module draws the items in order. A text
stands whole in its box: shrunk, or broken in two where it is too long, never clipped. A field the content does not
have draws nothing. Pictures keep their proportions and stand in the middle of their box; a portrait whose `source` is
`ghost` is a pale copy. The lines of the MRZ are the items `mrz1`, `mrz2`, `mrz3`. The words of a `specimen` item go
slanting and pale across its box.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reportlab.lib.units import mm

import card_profiles
from card_profiles.model import ArtItem, CardProfile
from personalization.face_fonts import FaceRefused, check_letters, load_fonts, width_pt
from personalization.face_parts import (
    ALPHAS,
    BASELINE,
    PATTERNS,
    STANDING,
    PrintedPicture,
    apart,
    colour_of,
    drawn_once,
    fill,
    ink_object,
    mask_object,
    name_of,
    opened_picture,
    pattern_object,
    pen_of,
    portrait_object,
)
from personalization.pdf import (
    LAST_LATIN,
    OBJECTS_OF_A_FONT,
    PdfDocument,
    font_objects,
    number,
    numbers,
)

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
    size = profile.face.width_mm * mm, profile.face.height_mm * mm
    drawing = _Drawing(size[1], content, names, _is_latin(profile, content))
    sides = [
        "\n".join(drawing.draw(item) for item in profile.face.items if item.side == side).encode("ascii")
        for side in SIDES
    ]
    return drawing.document(size, sides)


class _Drawing:
    """One document while it is drawn; every item becomes operators between `q` and `Q`."""

    def __init__(self, page_height: float, content: FaceContent, fonts: Mapping[str, str], is_latin: bool) -> None:
        self._content = content
        self._pen = pen_of(page_height, tuple(fonts.items()), not is_latin)
        self._document = PdfDocument()
        for name in fonts.values():
            first = self._document.next_number
            self._document.add(*font_objects(name, first, everything=not is_latin))
        self._pictures: dict[str, int] = {}
        self._portrait_px: tuple[int, int] | None = None
        self._kinds: Mapping[str, Callable[[ArtItem], str]] = {
            "field": self._field,
            "portrait": self._portrait,
            "signature": self._signature,
            "mrz": self._mrz,
            "guilloche": self._guilloche,
        }

    def draw(self, item: ArtItem) -> str:
        """Operators of one item. Raises `FaceRefused`."""
        if item.kind in STANDING:
            return drawn_once(self._pen, item)
        if item.kind not in self._kinds:
            raise FaceRefused(f"The face cannot draw the kind {item.kind}.")
        return apart(self._kinds[item.kind](item))

    def document(self, size_pt: tuple[float, float], sides: Sequence[bytes]) -> bytes:
        """The finished file."""
        fonts = " ".join(f"/F{i} {1 + i * OBJECTS_OF_A_FONT} 0 R" for i in range(len(self._pen.fonts)))
        pictures = " ".join(f"/{name} {number} 0 R" for name, number in self._pictures.items())
        alphas = " ".join(f"/{name} << /Type /ExtGState /ca {number(alpha)} >>" for name, alpha in ALPHAS.items())
        resources = f"<< /Font << {fonts} >> /XObject << {pictures} >> /ExtGState << {alphas} >> >>"
        return self._document.to_bytes(self._document.add_pages(size_pt, sides, resources))

    def _field(self, item: ArtItem) -> str:
        if item.source not in FIELDS:
            raise FaceRefused(f"The face knows no field {item.source}.")
        value = self._content.fields.get(item.source)
        return self._pen.text(item, _printed(item.source, value)) if value else ""

    def _mrz(self, item: ArtItem) -> str:
        font = self._pen.font(item)
        if item.source not in MRZ_ITEMS:
            raise FaceRefused(f"The face knows no MRZ line {item.source}.")
        if [len(line) for line in self._content.mrz] != [MRZ_COLUMNS] * len(MRZ_ITEMS):
            raise FaceRefused("The machine readable zone is not 3 lines of 30 characters.")
        line = self._content.mrz[MRZ_ITEMS.index(item.source)]
        check_letters(line, font, name_of(item))
        if abs(width_pt(line, font, item.size_pt) - MRZ_COLUMNS * MRZ_PITCH_MM * mm) > 0.01 * mm:
            raise FaceRefused("The machine readable zone would not have ten characters to the inch.")
        baseline = self._pen.top(item) - BASELINE * item.size_pt
        return f"{fill(item)} {self._pen.show(font, item.size_pt, item.x_mm * mm, baseline, line)}"

    def _portrait(self, item: ArtItem) -> str:
        if self._portrait_px is None:
            body, self._portrait_px = portrait_object(self._content.portrait, name_of(item))
            self._pictures["Portrait"] = self._document.add(body)
        alpha = "/Ghost gs " if item.source == "ghost" else ""
        return alpha + self._place("Portrait", self._portrait_px, item)

    def _signature(self, item: ArtItem) -> str:
        if self._content.signature is None:
            return ""
        opened = opened_picture(self._content.signature.data, name_of(item))
        # Ink on the background of the card: the darker the pixel, the less transparent (§11.6.5.3).
        mask = self._document.add(mask_object(self._content.signature.data, opened))
        name = f"Signature{len(self._pictures)}"
        self._pictures[name] = self._document.add(ink_object(colour_of(item), mask))
        return self._place(name, opened.size, item)

    def _place(self, name: str, size_px: tuple[int, int], item: ArtItem) -> str:
        scale = min(item.width_mm * mm / size_px[0], item.height_mm * mm / size_px[1])
        width, height = size_px[0] * scale, size_px[1] * scale
        left = item.x_mm * mm + (item.width_mm * mm - width) / 2
        bottom = self._pen.top(item) - item.height_mm * mm + (item.height_mm * mm - height) / 2
        return f"{numbers(width, 0, 0, height, left, bottom)} cm /{name} Do"

    def _guilloche(self, item: ArtItem) -> str:
        if item.source not in PATTERNS:
            raise FaceRefused(f"The face knows no pattern {item.source}.")
        body = pattern_object(item.source, item.width_mm, item.height_mm, item.size_pt, colour_of(item))
        name = f"Guilloche{item.source}{item.width_mm}x{item.height_mm}x{item.size_pt}x{item.colour.lstrip('#')}"
        if name not in self._pictures:
            self._pictures[name] = self._document.add(body)
        return f"1 0 0 1 {numbers(item.x_mm * mm, self._pen.top(item) - item.height_mm * mm)} cm /{name} Do"


def _is_latin(profile: CardProfile, content: FaceContent) -> bool:
    """Whether the fonts need no letters beyond the Latin ones."""
    standing = (item.source for item in profile.face.items if item.kind in STANDING)
    return max("".join((*content.fields.values(), *content.mrz, *standing)), default="") <= chr(LAST_LATIN)


def _printed(field: str, value: str) -> str:
    """How a value is written on the card: dates dd.mm.yyyy with XX for what is unknown."""
    if field.endswith("_date"):
        year, month, day = value.split("-")
        return ".".join("XX" if part == "00" else part for part in (day, month)) + f".{year}"
    return value

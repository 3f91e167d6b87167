"""Fonts of the released art: loaded by file and digest, never by asking the machine for a name; and measured text."""

import hashlib
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

SMALLEST_SHARE = 0.72
"""A line is shrunk to this share of its size before it is broken in two."""
SMALLEST_SIZE_PT = 4.4
"""Nothing is set smaller, unless the profile asks for small type itself (then 72 % of that)."""
HIGHEST, DEEPEST = 1.01, 0.25
"""How far the letters of a name reach above and below the baseline, in sizes: Ů and Ģ with their marks."""
LINE_PITCH = HIGHEST + DEEPEST
"""Distance of two baselines of one broken text, in sizes: no mark touches the other line."""


class FaceRefused(Exception):
    """This content cannot be printed as the profile asks; the message names the item, never its value."""


def load_fonts(directory: Path, digests: Mapping[str, str]) -> Mapping[str, str]:
    """Font file name -> name under which the PDF writer knows it.

    Raises `FaceRefused` for a file that is missing, is not the released one (SHA-256) or cannot be embedded.
    """
    return dict(_load_fonts(directory, tuple(sorted(digests.items()))))


@lru_cache(maxsize=8)
def _load_fonts(directory: Path, digests: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    loaded = []
    for file_name, digest in digests:
        try:
            content = (directory / file_name).read_bytes()
        except OSError:
            raise FaceRefused(f"Font file {file_name} is missing.") from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise FaceRefused(f"Font file {file_name} is not the one the profile was released with.")
        name = f"{Path(file_name).stem}-{digest[:8]}"
        try:
            pdfmetrics.registerFont(TTFont(name, BytesIO(content)))
        except TTFError:
            raise FaceRefused(f"Font file {file_name} cannot be embedded.") from None
        loaded.append((file_name, name))
    return tuple(loaded)


def check_letters(text: str, font: str, item: str) -> None:
    """Raise `FaceRefused` unless the text is NFC and the font draws every letter (the PDF writer would print a box)."""
    if not unicodedata.is_normalized("NFC", text):
        raise FaceRefused(f"{item}: the text is not in Unicode form NFC.")
    glyphs = pdfmetrics.getFont(font).face.charToGlyph
    for letter in text:
        if ord(letter) not in glyphs:
            category = unicodedata.category(letter)
            raise FaceRefused(f"{item}: the font has no glyph for a character of general category {category}.")


def width_pt(text: str, font: str, size_pt: float) -> float:
    """The advance of a text in points."""
    return float(pdfmetrics.stringWidth(text, font, size_pt))


def fit_text(text: str, font: str, size_pt: float, box_pt: tuple[float, float], item: str) -> tuple[list[str], float]:
    """Lines (one or two) and their size in points, so that the text stands whole in the box (width, height).

    One line is shrunk to 72 % of its size; then the text is broken in two, and shrunk further if it must be. The
    height of the box counts for two lines alone: all their marks stand inside it.
    Raises `FaceRefused` when it still does not fit: a name is never clipped.
    """
    width, height = box_pt
    floor = min(SMALLEST_SIZE_PT, SMALLEST_SHARE * size_pt)
    single = size_pt * min(1.0, width / max(width_pt(text, font, size_pt), 1e-9))
    if single >= max(SMALLEST_SHARE * size_pt, floor):
        return [text], single
    two_high = min(size_pt, height / (HIGHEST + LINE_PITCH + DEEPEST))
    for breaks in (_natural_breaks(text), _any_breaks(text)):
        # The most even break is the one that needs least shrinking.
        even = sorted(breaks, key=lambda pair: max(width_pt(line, font, size_pt) for line in pair))
        lines, size = _pair(even[0], font, two_high, width) if even else ([text], 0.0)
        if size >= floor:
            return lines, size
    if single >= floor:
        return [text], single
    raise FaceRefused(f"{item}: the text does not fit into its place, not even on two lines.")


def _pair(lines: list[str], font: str, size_pt: float, width: float) -> tuple[list[str], float]:
    widest = max(width_pt(line, font, size_pt) for line in lines)
    return lines, size_pt * min(1.0, width / max(widest, 1e-9))


def _natural_breaks(text: str) -> list[list[str]]:
    at = [index for index, letter in enumerate(text[1:-1], start=1) if letter in " -"]
    return [[text[: index + 1].rstrip(" "), text[index + 1 :]] for index in at]


def _any_breaks(text: str) -> list[list[str]]:
    return [[text[:index], text[index:]] for index in range(1, len(text))]

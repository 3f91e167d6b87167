"""Released art: what is drawn where on the two sides of a card."""

import hashlib
import re

from card_profiles.errors import UnknownProfile
from card_profiles.model import ArtItem, FaceSpec
from card_profiles.released import Kind, font_bytes, read_released
from card_profiles.table import Table

FIELD_SOURCES = frozenset(
    {
        *("surname", "given_names", "nationality", "sex", "birth_date", "personal_code", "document_number"),
        *("expiry_date", "can", "birth_place", "height", "issue_date", "authority"),
    }
)
"""Fields that items of kind `field` may draw."""

_SOURCES = {
    "field": FIELD_SOURCES,
    "portrait": frozenset({"portrait", "ghost"}),
    "signature": frozenset({"signature"}),
    "mrz": frozenset({"mrz1", "mrz2", "mrz3"}),
    "guilloche": frozenset({"waves", "rosette"}),
    "rectangle": frozenset({""}),
}
_WRITTEN = frozenset({"text", "label", "specimen"})
_WITH_FONT = _WRITTEN | {"field", "mrz"}


def load_art(identifier: str, titles: dict[str, str]) -> FaceSpec:
    """The released art `name@version`, with `{title_lv}` and `{title_en}` filled in from `titles`.

    Raises `UnknownProfile` or `ProfileRefused`.
    """
    return read_art(Table(read_released(Kind.ART, identifier), f"art {identifier}"), titles)


def read_art(table: Table, titles: dict[str, str]) -> FaceSpec:
    """Checks art as written: every item inside the card, of a known kind and source, in a font that is shipped.

    `marks` are items drawn after all others. Raises `ProfileRefused`.
    """
    width = table.real("width_mm", 10, 200)
    height = table.real("height_mm", 10, 200)
    with table.table("fonts") as fonts_table:
        fonts = {name: fonts_table.text(name, r"[0-9a-f]{64}") for name in fonts_table.remaining()}
        _check_fonts(fonts_table, fonts)
    items = [_read_item(inner, width, height, fonts, titles) for inner in table.tables("items")]
    if "marks" in table:
        items += [_read_item(inner, width, height, fonts, titles) for inner in table.tables("marks")]
    table.finish()
    return FaceSpec(width, height, tuple(items), fonts)


def _check_fonts(table: Table, fonts: dict[str, str]) -> None:
    for name, digest in fonts.items():
        try:
            found = hashlib.sha256(font_bytes(name)).hexdigest()
        except UnknownProfile:
            raise table.refuse(f"{name} is not shipped") from None
        if found != digest:
            raise table.refuse(f"{name} is not the file with this digest")


def _read_item(table: Table, width: float, height: float, fonts: dict[str, str], titles: dict[str, str]) -> ArtItem:
    kind = table.text("kind", "|".join([*_SOURCES, *sorted(_WRITTEN)]))
    written = kind in _WITH_FONT
    lined = kind == "guilloche"
    item = ArtItem(
        kind=kind,
        side=table.text("side", "front|back"),
        x_mm=table.real("x", 0, width),
        y_mm=table.real("y", 0, height),
        width_mm=table.real("w", 0.1, width),
        height_mm=table.real("h", 0.1, height),
        source=_fill(table.text("source") if kind != "rectangle" else "", titles),
        font=table.text("font") if written else "",
        size_pt=table.real("size", 0.05, 100) if written or lined else 0.0,
        colour=table.text("colour", r"#[0-9A-F]{6}") if written or lined or kind == "rectangle" else "",
    )
    _check_item(table, item, width, height, fonts)
    return item


def _check_item(table: Table, item: ArtItem, width: float, height: float, fonts: dict[str, str]) -> None:
    known = _SOURCES.get(item.kind)
    if known is not None and item.source not in known:
        raise table.refuse(f"source is none of {', '.join(sorted(known))}")
    if item.font and item.font not in fonts:
        raise table.refuse("font is not among the fonts of this art")
    if item.x_mm + item.width_mm > width + 1e-9 or item.y_mm + item.height_mm > height + 1e-9:
        raise table.refuse("the box reaches beyond the card")
    if re.search(r"[{}]", item.source):
        raise table.refuse("source has a place that no title fills")


def _fill(text: str, titles: dict[str, str]) -> str:
    for name, title in titles.items():
        text = text.replace("{" + name + "}", title)
    return text

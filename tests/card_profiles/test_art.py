"""The released art: fonts draw every letter a record may bring, items stand apart, zones are where ICAO wants them."""

import hashlib
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from itertools import combinations, pairwise
from typing import Any

import pytest
from fontTools.ttLib import TTFont

from card_profiles.art_layout import FIELD_SOURCES, read_art
from card_profiles.codecs.transliteration import letters_allowed, punctuation_allowed
from card_profiles.errors import ProfileRefused, UnknownProfile
from card_profiles.model import ArtItem, CardProfile
from card_profiles.profile import load_profile, published
from card_profiles.released import FONTS, Kind, font_bytes, read_released
from card_profiles.table import Table

MM_PER_POINT = 25.4 / 72
TITLES = {"title_lv": "PERSONAS APLIECĪBA", "title_en": "IDENTITY CARD"}
ON_FACES = letters_allowed | punctuation_allowed | set("0123456789/()")
IN_THE_ZONE = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<")
CONTACTS = (10.25, 19.23, 22.87, 28.55)
"""Outline of contacts C1-C8, millimetres from the left and top edge (ISO/IEC 7816-2 figure 2)."""


@pytest.fixture(params=published())
def profile(request: pytest.FixtureRequest) -> CardProfile:
    return load_profile(request.param)


@cache
def read_font(name: str) -> TTFont:
    return TTFont(BytesIO(font_bytes(name)))


@cache
def width_units(name: str, text: str) -> float:
    """Advance of a text in units of the em."""
    font = read_font(name)
    names = font.getBestCmap()
    return float(sum(font["hmtx"][names[ord(character)]][0] for character in text) / font["head"].unitsPerEm)


@pytest.mark.parametrize("name", ["NotoSans-Regular.ttf", "NotoSans-Bold.ttf"])
def test_fonts_draw_every_letter_of_a_record(name: str) -> None:
    missing = {character for character in ON_FACES if ord(character) not in read_font(name).getBestCmap()}
    assert not missing


def test_ocrb_has_the_zone_at_ten_characters_to_the_inch() -> None:
    """ICAO 9303-3 §4.4; Debian's OCRB.otf sets 723/1000 em."""
    font = read_font("OCRB.ttf")
    names = font.getBestCmap()
    widths = {font["hmtx"][names[ord(character)]][0] for character in IN_THE_ZONE}
    assert widths == {723}
    assert pytest.approx(2.54, abs=0.0005) == 723 / 1000 * 9.959 * MM_PER_POINT


def test_fonts_are_small_and_may_be_embedded() -> None:
    for path in sorted(FONTS.glob("*.ttf")):
        font = TTFont(path)
        assert path.stat().st_size < 800_000
        assert font["OS/2"].fsType == 0
        assert "glyf" in font
    assert {path.name for path in FONTS.glob("*.txt")} == {"NotoSans.OFL.txt", "OCRB.notice.txt"}


def test_fonts_are_asked_for_by_file_alone() -> None:
    for name in ("Helvetica", "../fonts/OCRB.ttf", "make_fonts.py", "OCRC.ttf"):
        with pytest.raises(UnknownProfile):
            font_bytes(name)


def test_digests_are_those_of_the_files(profile: CardProfile) -> None:
    for name, digest in profile.face.fonts.items():
        assert hashlib.sha256(font_bytes(name)).hexdigest() == digest


def test_every_field_is_printed_once(profile: CardProfile) -> None:
    drawn = [item.source for item in profile.face.items if item.kind in ("field", "signature", "mrz", "portrait")]
    assert sorted(drawn) == sorted([*FIELD_SOURCES, "signature", "mrz1", "mrz2", "mrz3", "portrait", "ghost"])


def test_texts_fit_into_their_boxes(profile: CardProfile) -> None:
    for item in profile.face.items:
        if item.kind in ("text", "label", "specimen"):
            width_mm = width_units(item.font, item.source) * item.size_pt * MM_PER_POINT
            assert width_mm <= item.width_mm, item.source


def boxes(profile: CardProfile, side: str) -> list[ArtItem]:
    """What must not touch: everything but grounds, patterns, marks and the ornament of the sign of the Union."""
    ornament = {"*", "LV"}
    ground = {"rectangle", "guilloche", "specimen"}
    return [one for one in profile.face.items
            if one.side == side and one.kind not in ground and one.source not in ornament]  # fmt: skip


def ends(item: ArtItem) -> tuple[float, float]:
    return item.x_mm + item.width_mm, item.y_mm + item.height_mm


@pytest.mark.parametrize("side", ["front", "back"])
def test_nothing_overlaps(profile: CardProfile, side: str) -> None:
    for one, other in combinations(boxes(profile, side), 2):
        right, bottom = ends(one)
        other_right, other_bottom = ends(other)
        apart = right <= other.x_mm or other_right <= one.x_mm or bottom <= other.y_mm or other_bottom <= one.y_mm
        assert apart, (one.source, other.source)


@pytest.mark.parametrize("side", ["front", "back"])
def test_there_is_a_margin(profile: CardProfile, side: str) -> None:
    for item in boxes(profile, side):
        right, bottom = ends(item)
        assert item.x_mm >= 3.5
        assert right <= profile.face.width_mm - 3.5
        assert bottom <= profile.face.height_mm - 1.2


def test_the_contacts_stay_free(profile: CardProfile) -> None:
    left, top, right, bottom = CONTACTS
    for item in boxes(profile, "back"):
        item_right, item_bottom = ends(item)
        assert item_right <= left or item.x_mm >= right or item_bottom <= top or item.y_mm >= bottom, item.source


def test_the_zone_stands_where_readers_look(profile: CardProfile) -> None:
    """9303-5 §4.2.1.3: OCR-B, in the 23.2 mm at the bottom of the back, first character 5.0 ± 1.0 mm from the left."""
    lines = {item.source: item for item in profile.face.items if item.kind == "mrz"}
    side_bearing = read_font("OCRB.ttf")["hmtx"]["I"][1] / 1000 * 9.959 * MM_PER_POINT
    baselines = []
    for name in ("mrz1", "mrz2", "mrz3"):
        item = lines[name]
        assert (item.side, item.font, item.size_pt, item.colour) == ("back", "OCRB.ttf", 9.959, "#000000")
        assert item.x_mm + side_bearing == pytest.approx(5.0, abs=1.0)
        assert item.width_mm >= 30 * 2.54
        baselines.append(item.y_mm + 0.8 * item.size_pt * MM_PER_POINT)
    assert baselines[0] - 2.6 > profile.face.height_mm - 23.2
    assert [round(later - earlier, 2) for earlier, later in pairwise(baselines)] == [6.35, 6.35]


def test_portrait_and_can_as_icao_wants_them(profile: CardProfile) -> None:
    """9303-5 §4.1.1.1: at least 32 x 26 mm; §3.2.3: the CAN in OCR-B on the height of a line of the zone."""
    (portrait,) = (item for item in profile.face.items if item.source == "portrait")
    assert 26.0 <= portrait.width_mm <= 35.0
    assert 32.0 <= portrait.height_mm <= 45.0
    (can,) = (item for item in profile.face.items if item.source == "can")
    heights = {item.y_mm for item in profile.face.items if item.kind == "mrz"}
    assert (can.side, can.font, can.size_pt) == ("front", "OCRB.ttf", 9.959)
    assert can.y_mm in heights


def test_titles_are_those_of_the_document(profile: CardProfile) -> None:
    texts = {item.source for item in profile.face.items if item.kind == "text"}
    assert {profile.title_lv, profile.title_en, "LATVIJAS REPUBLIKA", "REPUBLIC OF LATVIA"} <= texts


def broken_art() -> Iterator[tuple[str, dict[str, Any]]]:
    def changed(**change: object) -> dict[str, Any]:
        art = read_released(Kind.ART, "eid@1")
        field = next(item for item in art["items"] if item["kind"] == "field")
        field |= change
        return art

    yield "unknown weight", changed(weight=1)
    yield "source is none of", changed(source="religion")
    yield "font is not among", changed(font="Comic.ttf")
    yield "beyond the card", changed(x=80.0)
    yield "colour is not of the form", changed(colour="red")
    yield "kind is not of the form", changed(kind="hologram")
    yield "size is not from", changed(size=0)
    yield "no title fills", changed(kind="text", source="{title_fr}")
    yield "not shipped", read_released(Kind.ART, "eid@1") | {"fonts": {"Arial.ttf": "0" * 64}}
    yield "not the file with this digest", read_released(Kind.ART, "eid@1") | {"fonts": {"OCRB.ttf": "0" * 64}}


@pytest.mark.parametrize(("why", "art"), list(broken_art()))
def test_what_art_must_not_say(why: str, art: dict[str, Any]) -> None:
    with pytest.raises(ProfileRefused, match=why):
        read_art(Table(art, "art"), TITLES)

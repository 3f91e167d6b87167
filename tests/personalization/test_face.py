"""The card face: exact geometry, whole texts, equal bytes, and an MRZ that a program nobody here wrote can read."""

import base64
import json
import os
import random
import shutil
import string
import subprocess
import sys
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from fontTools.ttLib import TTFont
from PIL import Image, ImageChops

from card_profiles.codecs.transliteration import letters_allowed, punctuation_allowed
from card_profiles.model import ArtItem, CardProfile, FaceSpec
from card_profiles.profile import load_profile
from personalization.face import FaceContent, FaceRefused, compose_face
from personalization.face_fonts import DEEPEST, HIGHEST, fit_text, load_fonts, width_pt

ROOT = Path(__file__).parents[2]
OCR_MODEL = ROOT / "tests" / "data" / "ocr"
MM = 72 / 25.4
MRZ = ("IDLVAPA12345674<<<<<<<<<<<<<<<", "7809046F3111225LVA<<<<<<<<<<<4", "KALNINA<<LIGA<<<<<<<<<<<<<<<<<")
MRZ_LETTERS = string.ascii_uppercase + string.digits + "<"


@pytest.fixture(scope="module")
def profile() -> CardProfile:
    return load_profile("eid-citizen-specimen@1")


@pytest.fixture(scope="module")
def content() -> FaceContent:
    record = json.loads((ROOT / "simulators" / "records" / "PADIS-2026-0000002.json").read_text("utf-8"))
    holder, images = record["holder"], record["images"]
    names = ("surname", "given_names", "nationality", "sex", "birth_date", "personal_code", "birth_place")
    fields = {name: holder[name] for name in names} | {
        "document_number": "PA1234567",
        "expiry_date": "2031-11-22",
        "can": "123456",
        "height": "178 cm",
        "issue_date": "2026-11-23",
        "authority": "PMLP",
    }
    return FaceContent(fields, MRZ, picture(images["portrait"]), picture(images["signature"]))


@dataclass(frozen=True)
class Drawn:
    media_type: str
    data: bytes


def picture(image: dict[str, str]) -> Drawn:
    return Drawn(image["media_type"], base64.b64decode(image["data"]))


def with_fields(content: FaceContent, **fields: str) -> FaceContent:
    return replace(content, fields={**content.fields, **fields})


def page_text(document: bytes, page: int) -> str:
    return str(pypdfium2.PdfDocument(document)[page].get_textpage().get_text_range())


def raster(document: bytes, page: int) -> Image.Image:
    drawn: Image.Image = pypdfium2.PdfDocument(document)[page].render(scale=300 / 72).to_pil()
    return drawn


def test_two_pages_of_the_size_of_a_card(profile: CardProfile, content: FaceContent) -> None:
    document = pypdfium2.PdfDocument(compose_face(profile, content))
    assert len(document) == 2
    for page in document:
        assert page.get_size() == pytest.approx((85.60 * MM, 53.98 * MM), abs=0.001)


def test_same_content_same_bytes(profile: CardProfile, content: FaceContent) -> None:
    first = compose_face(profile, content)
    compose_face(profile, with_fields(content, surname="Žagars"))
    assert compose_face(profile, content) == first


def test_same_bytes_in_another_process(profile: CardProfile, content: FaceContent) -> None:
    plain = replace(content, portrait=tiny_jpeg(), signature=None)
    program = (
        "import sys; from card_profiles.profile import load_profile; from personalization.face import *;"
        "from card_profiles.model import Portrait;"
        "fields, mrz, portrait = eval(sys.stdin.read());"
        "content = FaceContent(fields, mrz, Portrait('image/jpeg', 24, 32, portrait), None);"
        "sys.stdout.buffer.write(compose_face(load_profile('eid-citizen-specimen@1'), content))"
    )
    told = repr((dict(plain.fields), plain.mrz, plain.portrait.data))
    made = subprocess.run(
        [sys.executable, "-c", program], input=told.encode(), capture_output=True, cwd=ROOT, timeout=60, check=True
    )
    assert made.stdout == compose_face(profile, plain)


def test_all_values_are_printed(profile: CardProfile, content: FaceContent) -> None:
    document = compose_face(profile, content)
    front, back = page_text(document, 0), page_text(document, 1)
    for value in ("Kalniņa", "Līga", "040978-11027", "04.09.1978", "22.11.2031", "PA1234567", "123456", "LVA"):
        assert value in front
    for value in ("Liepāja", "178 cm", "23.11.2026", "PMLP", *MRZ):
        assert value in back
    assert "SPECIMEN" in front
    assert "SPECIMEN" in back


def test_production_face_is_not_marked(content: FaceContent) -> None:
    document = compose_face(load_profile("eid-citizen@1"), content)
    assert "SPECIMEN" not in page_text(document, 0) + page_text(document, 1)


def test_unknown_parts_of_dates(profile: CardProfile, content: FaceContent) -> None:
    assert "XX.XX.1950" in page_text(compose_face(profile, with_fields(content, birth_date="1950-00-00")), 0)
    assert "XX.10.2000" in page_text(compose_face(profile, with_fields(content, birth_date="2000-10-00")), 0)


def test_absent_fields_draw_nothing(profile: CardProfile, content: FaceContent) -> None:
    fields = {name: value for name, value in content.fields.items() if name not in ("height", "personal_code")}
    text = page_text(compose_face(profile, replace(content, fields=fields, signature=None)), 1)
    assert "cm" not in text
    assert "None" not in text


def test_mrz_pitch(profile: CardProfile, content: FaceContent) -> None:
    text = pypdfium2.PdfDocument(compose_face(profile, content))[1].get_textpage()
    letters = [chr(pdfium.FPDFText_GetUnicode(text, index)) for index in range(text.count_chars())]
    x, y = pdfium.c_double(), pdfium.c_double()
    baselines = []
    for line in MRZ:
        start = "".join(letters).index(line)
        places = []
        for index in range(start, start + 30):
            assert pdfium.FPDFText_GetCharOrigin(text, index, x, y)
            places.append(x.value)
        pitches = [(after - before) / MM for before, after in pairwise(places)]
        assert pitches == pytest.approx([2.54] * 29, abs=0.002)
        assert places[0] / MM == pytest.approx(4.0, abs=1.0)  # ICAO 9303-5: 4.0 mm from the left edge
        baselines.append(y.value / MM)
    gaps = [above - below for above, below in pairwise(baselines)]
    assert gaps == pytest.approx([6.35, 6.35], abs=0.01)


def test_only_our_fonts_and_embedded(profile: CardProfile, content: FaceContent) -> None:
    document = compose_face(profile, content)
    assert b"Helvetica" not in document
    assert document.count(b"/FontFile2") == 3


def test_jpeg_is_passed_through(profile: CardProfile, content: FaceContent) -> None:
    document = compose_face(profile, content)
    assert content.portrait.data in document
    assert b"ASCII85Decode" not in document


def test_jpeg_2000_is_drawn(profile: CardProfile, content: FaceContent) -> None:
    out = BytesIO()
    Image.open(BytesIO(content.portrait.data)).save(out, "JPEG2000", irreversible=True, mct=1)
    from_jpeg = raster(compose_face(profile, content), 0)
    from_jp2 = raster(compose_face(profile, replace(content, portrait=Drawn("image/jp2", out.getvalue()))), 0)
    left, top, right, bottom = (round(value * 300 / 25.4) for value in (6, 14, 26, 41))
    box = (left, top, right, bottom)
    differences = [
        abs(one - two) for one, two in zip(from_jpeg.crop(box).tobytes(), from_jp2.crop(box).tobytes(), strict=True)
    ]
    assert sum(differences) / len(differences) < 3


@pytest.mark.parametrize("size", [(400, 100), (600, 400)], ids=["one block", "several blocks"])
def test_a_grey_signature_goes_in_as_it_came_and_looks_as_any_other(
    profile: CardProfile, content: FaceContent, size: tuple[int, int]
) -> None:
    grey = Image.frombytes("L", size, random.Random(7).randbytes(size[0] * size[1]))
    grey.paste(30, (20, 20, 200, 60))
    as_it_came, *drawn = (
        compose_face(profile, replace(content, signature=Drawn("image/png", as_png(form))))
        for form in (grey, grey.convert("RGB"), grey.convert("RGBA"))
    )
    assert b"/Predictor 15" in as_it_came
    for document in drawn:
        assert b"/Predictor 15" not in document
        assert ImageChops.difference(raster(as_it_came, 0), raster(document, 0)).getbbox() is None


def test_what_is_transparent_in_a_grey_signature_draws_nothing(profile: CardProfile, content: FaceContent) -> None:
    signature = Drawn("image/png", as_png(Image.new("L", (400, 100), 0), transparency=0))
    blank = Drawn("image/png", as_png(Image.new("L", (400, 100), 255)))
    seen, nothing = (raster(compose_face(profile, replace(content, signature=s)), 0) for s in (signature, blank))
    assert ImageChops.difference(seen, nothing).getbbox() is None


def test_a_grey_signature_that_is_cut_off_is_refused(profile: CardProfile, content: FaceContent) -> None:
    whole = as_png(Image.frombytes("L", (400, 100), random.Random(7).randbytes(40_000)))
    with pytest.raises(FaceRefused, match="signature: the picture does not open"):
        compose_face(profile, replace(content, signature=Drawn("image/png", whole[: len(whole) // 2])))


@pytest.mark.parametrize(
    "surname",
    [
        "W" * 60,
        "Anna-Marija-Elizabete-Vilhelmīne-Karolīne-Šarlote-Ģertrūde-Ņu",
        "Ļoti garš uzvārds ar daudziem vārdiem un vēl dažiem burtiem",
        "A " + "W" * 58,
        "Þórðarson-Łukaszewicz-Đorđević-Großmann",
    ],
)
def test_long_names_stand_whole(profile: CardProfile, content: FaceContent, surname: str) -> None:
    surname = surname[:60]
    document = compose_face(profile, with_fields(content, surname=surname, given_names=surname))
    printed = "".join(page_text(document, 0).replace("\ufffe", "-").split())
    assert printed.count("".join(surname.split())) == 2


@pytest.mark.parametrize("length", [32, 45, 60])
@pytest.mark.parametrize("word", ["ŽŠČŮĢĶĻŅ", "ģķļņŗžšč", "Ģjgž Ůpyq ", "Ž-ģ", "Ŵ", "œ", "l "])
def test_long_names_stand_inside_their_places(content: FaceContent, word: str, length: int) -> None:
    """Marks above and below stay between the label of the field and the label of the next one."""
    profile = load_profile("eid-citizen@1")
    bare = replace(content, portrait=tiny_jpeg(), signature=None)
    name = (word * length)[:length].strip()
    empty = raster(compose_face(profile, with_fields(bare, surname="", given_names="")), 0).convert("L")
    for field in ("surname", "given_names"):
        (item,) = (item for item in profile.face.items if (item.kind, item.source) == ("field", field))
        names = {"surname": "", "given_names": "", field: name}
        page = raster(compose_face(profile, with_fields(bare, **names)), 0).convert("L")
        ink = ImageChops.difference(page, empty).getbbox()
        assert ink is not None
        left, top, right, bottom = (value * 25.4 / 300 for value in ink)
        # The brackets of the label end 0.69 mm above the box; the next label begins below it. A pixel is 0.085 mm.
        assert top >= item.y_mm - 0.67
        assert bottom <= item.y_mm + item.height_mm + 0.1
        assert item.x_mm - 0.1 <= left
        assert right <= item.x_mm + item.width_mm + 0.2


def test_no_mark_reaches_further_than_two_lines_allow(profile: CardProfile) -> None:
    for name in ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"):
        font = TTFont(ROOT / "card_profiles" / "art" / "fonts" / name)
        glyphs, em = font["glyf"], font["head"].unitsPerEm
        marks = [glyphs[font.getBestCmap()[ord(one)]] for one in letters_allowed | punctuation_allowed - {" "}]
        assert max(glyph.yMax for glyph in marks) <= HIGHEST * em
        assert min(glyph.yMin for glyph in marks) >= -DEEPEST * em


@pytest.mark.parametrize("birth_place", ["Даўгаўпілс", "Θεσσαλονίκη", "Šiauliai"])
def test_a_place_of_birth_is_printed_in_its_own_letters(
    profile: CardProfile, content: FaceContent, birth_place: str
) -> None:
    document = compose_face(profile, with_fields(content, birth_place=birth_place))
    assert birth_place in page_text(document, 1)


def test_what_does_not_fit_is_refused(profile: CardProfile, content: FaceContent) -> None:
    with pytest.raises(FaceRefused, match=r"field surname.*does not fit") as refused:
        compose_face(profile, with_fields(content, surname="W" * 90))
    assert "WW" not in str(refused.value)


@pytest.mark.parametrize(("letter", "category"), [("Ա", "Lu"), ("漢", "Lo"), ("\x07", "Cc"), ("\ue000", "Co")])
def test_missing_glyph_is_refused_without_the_name(
    profile: CardProfile, content: FaceContent, letter: str, category: str
) -> None:
    with pytest.raises(FaceRefused, match=f"field given_names: .* general category {category}") as refused:
        compose_face(profile, with_fields(content, given_names=f"Anna{letter}"))
    assert "Anna" not in str(refused.value)


def test_decomposed_names_are_refused(profile: CardProfile, content: FaceContent) -> None:
    with pytest.raises(FaceRefused, match="NFC"):
        compose_face(profile, with_fields(content, given_names="Lı\u0304ga".replace("ı", "i")))


def test_damaged_pictures_are_refused(profile: CardProfile, content: FaceContent) -> None:
    for data in (content.portrait.data[:4000], b"", b"GIF89a"):
        portrait = Drawn("image/jpeg", data)
        with pytest.raises(FaceRefused, match="portrait: the picture does not open"):
            compose_face(profile, replace(content, portrait=portrait))


def test_a_portrait_that_lacks_its_last_lines_is_refused(profile: CardProfile, content: FaceContent) -> None:
    cut = content.portrait.data[: len(content.portrait.data) * 9 // 10]
    with pytest.raises(FaceRefused, match="portrait: the picture does not open"):
        compose_face(profile, replace(content, portrait=Drawn("image/jpeg", cut)))


def test_words_of_the_profile_may_have_any_letter_of_the_font(content: FaceContent) -> None:
    item = ArtItem("text", "front", 1, 1, 60, 3, "Θεσσαλονίκη – Даўгаўпілс", "NotoSans-Bold.ttf", 6, "#000000")
    profile = load_profile("eid-citizen@1")
    face = FaceSpec(85.6, 53.98, (item,), profile.face.fonts)
    assert item.source in page_text(compose_face(replace(profile, face=face), content), 0)


@pytest.mark.services
@pytest.mark.skipif(shutil.which("pdffonts") is None, reason="poppler-utils is not installed")
def test_poppler_finds_the_fonts_embedded_with_the_way_back_to_unicode(
    profile: CardProfile, content: FaceContent, tmp_path: Path
) -> None:
    file = tmp_path / "face.pdf"
    file.write_bytes(compose_face(profile, content))
    said = subprocess.run(["pdffonts", str(file)], capture_output=True, text=True, timeout=60, check=True)
    assert said.stderr == ""
    rows = [line.split() for line in said.stdout.splitlines()[2:]]
    # name | type: CID TrueType | encoding | embedded | subset | to Unicode | object
    assert [row[1:7] for row in rows] == [["CID", "TrueType", "Identity-H", "yes", "yes", "yes"]] * 3


def test_mrz_of_another_shape_is_refused(profile: CardProfile, content: FaceContent) -> None:
    with pytest.raises(FaceRefused, match="3 lines of 30"):
        compose_face(profile, replace(content, mrz=(MRZ[0], MRZ[1], MRZ[2][:-1])))
    with pytest.raises(FaceRefused, match="general category"):
        compose_face(profile, replace(content, mrz=(MRZ[0], MRZ[1], "Ņ" + MRZ[2][1:])))


def test_other_fonts_than_the_released_are_refused(profile: CardProfile, content: FaceContent, tmp_path: Path) -> None:
    for name in profile.face.fonts:
        (tmp_path / name).write_bytes(b"another font")
    with pytest.raises(FaceRefused, match="not the one"):
        compose_face(profile, content, tmp_path)
    with pytest.raises(FaceRefused, match="missing"):
        compose_face(profile, content, tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "hologram"}, "kind hologram"),
        ({"kind": "field", "source": "religion"}, "no field religion"),
        ({"kind": "guilloche", "source": "stars"}, "no pattern stars"),
        ({"kind": "text", "font": "Arial.ttf"}, "not part of the release"),
        ({"kind": "rectangle", "colour": "reddish"}, "#rrggbb"),
        ({"kind": "mrz", "source": "mrz4"}, "no MRZ line"),
        ({"kind": "mrz", "source": "mrz1", "font": "OCRB.ttf", "size_pt": 9.0}, "ten characters"),
    ],
)
def test_items_that_cannot_be_drawn(
    profile: CardProfile, content: FaceContent, change: dict[str, object], why: str
) -> None:
    item = ArtItem("text", "front", 1, 1, 30, 3, "text", "NotoSans-Bold.ttf", 6, "#000000")
    face = FaceSpec(85.6, 53.98, (replace(item, **change),), profile.face.fonts)  # type: ignore[arg-type]
    with pytest.raises(FaceRefused, match=why):
        compose_face(replace(profile, face=face), content)


def test_fit_prefers_spaces_and_never_overflows(profile: CardProfile) -> None:
    font = load_fonts(ROOT / "card_profiles" / "art" / "fonts", profile.face.fonts)["NotoSans-Bold.ttf"]
    dice = random.Random(7)
    for _ in range(200):
        words = ["".join(dice.choices("abcdefgšžwWM", k=dice.randint(1, 9))) for _ in range(dice.randint(1, 7))]
        text = " ".join(words)
        lines, size = fit_text(text, font, 8.0, (110.0, 14.0), "field surname")
        assert " ".join(lines) == text
        assert all(width_pt(line, font, size) <= 110.01 for line in lines)
        assert 4.4 <= size <= 8.0


def as_png(picture: Image.Image, **options: int) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def tiny_jpeg() -> Drawn:
    out = BytesIO()
    Image.new("RGB", (24, 32), "grey").save(out, "JPEG")
    return Drawn("image/jpeg", out.getvalue())


@pytest.mark.services
@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_tesseract_reads_the_mrz(profile: CardProfile, content: FaceContent) -> None:
    dice = random.Random(20261123)
    mrzs = [MRZ] + [tuple("".join(dice.choices(MRZ_LETTERS, k=30)) for _ in range(3)) for _ in range(4)]
    for mrz in mrzs:
        page = raster(compose_face(profile, replace(content, mrz=mrz, portrait=tiny_jpeg())), 1).convert("L")
        assert read_mrz(page.crop((0, page.height * 30 // 54, page.width, page.height))) == mrz


def read_mrz(band: Image.Image) -> tuple[str, ...]:
    out = BytesIO()
    band.save(out, "PNG", dpi=(300, 300))
    command = ["tesseract", "stdin", "stdout", "--tessdata-dir", str(OCR_MODEL), "-l", "mrz", "--psm", "6"]
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    said = subprocess.run(
        command, input=out.getvalue(), capture_output=True, env=environment, timeout=60, check=True
    ).stdout
    return tuple(line for line in said.decode().split() if line)

"""The search for clear text is itself seen to find: every form and every packing, alone and inside each other.

A search that cannot find proves nothing, so each form is planted and must be found, and a value that differs in one
character must not be.
"""

import base64
import gzip
import io
import json
import os
import quopri
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import resources
from urllib.parse import quote

import numpy
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from reportlab import rl_config
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from tests.chaos.clear_text_search import ClearTextSearch
from tests.chaos.marked_records import GOOD, REFUSED, Person
from tests.chaos.marker_forms import PRIVATE_KEY_SHAPES, bytes_marker, date_texts, text_marker

Code = Callable[[bytes], bytes]
TEXT = "Žvirgzdkāpaiņš"
OTHER = "Žvirgzdkāpeiņš"
"""One letter differs: it must not be taken for the other."""
PIN = "730184629517"
FONT = resources.files("card_profiles").joinpath("art/fonts/NotoSans-Regular.ttf")

FORMS: dict[str, Callable[[str], bytes]] = {
    "utf-8": lambda t: t.encode(),
    "utf-8, decomposed": lambda t: unicodedata.normalize("NFD", t).encode(),
    "upper case": lambda t: t.upper().encode(),
    "lower case": lambda t: t.lower().encode(),
    "without marks": lambda t: _without_marks(t).encode(),
    "transliterated": lambda t: _without_marks(t).upper().encode(),
    "machine readable zone": lambda t: b"I<LVA" + _without_marks(t).upper().encode() + b"<<ANNA<<<",
    "utf-16 le": lambda t: t.encode("utf-16-le"),
    "utf-16 be": lambda t: t.encode("utf-16-be"),
    "utf-16 with its mark": lambda t: t.encode("utf-16"),
    "utf-32": lambda t: t.encode("utf-32"),
    "code page": lambda t: t.encode("cp1257"),
    "percent": lambda t: quote(t).encode(),
    "quoted-printable": lambda t: quopri.encodestring(t.encode()),
    "json": lambda t: json.dumps(t).encode(),
    "json in json": lambda t: json.dumps(json.dumps(t)).encode(),
    "xml": lambda t: t.encode("ascii", "xmlcharrefreplace"),
    "python": lambda t: ascii(t).encode(),
    "python bytes": lambda t: repr(t.encode()).encode(),
    "pdf string": lambda t: b"(" + b"".join(b"\\%03o" % octet for octet in t.encode("utf-16-be")) + b")",
}
CODES: dict[str, Code] = {
    "hex": lambda d: d.hex().encode(),
    "hex, upper case": lambda d: d.hex().upper().encode(),
    "hex with colons": lambda d: d.hex(":").encode(),
    "hex with spaces": lambda d: d.hex(" ").upper().encode(),
    "hex as C has it": lambda d: ", ".join(f"0x{octet:02x}" for octet in d).encode(),
    "hex dump": lambda d: _dump(d),  # noqa: PLW0108 - defined below
    "base64": base64.b64encode,
    "base64, one before": lambda d: base64.b64encode(b"#" + d + b"!"),
    "base64, two before": lambda d: base64.b64encode(b"##" + d + b"!!"),
    "base64 for URLs": lambda d: base64.urlsafe_b64encode(b"\xfb\xff\xfe" + d + b"\xff\xef\xbe"),
    "base64 in lines": lambda d: base64.encodebytes(bytes(50) + d + bytes(50)),
    "base64 in lines in json": lambda d: json.dumps(base64.encodebytes(bytes(50) + d + bytes(50)).decode()).encode(),
    "utf-16 le": lambda d: d.decode("latin-1").encode("utf-16-le"),
    "utf-16 be": lambda d: d.decode("latin-1").encode("utf-16-be"),
    "zlib": zlib.compress,
    "zlib, fast": lambda d: zlib.compress(d, 1),
    "zlib, small window": lambda d: _deflated(d, 9),
    "zlib, torn": lambda d: zlib.compress(d + _noise(5, 1200), 6)[:-600],
    "gzip": gzip.compress,
    "deflate": lambda d: _deflated(d, -15),
    "deflate, long": lambda d: _deflated(json.dumps(list(range(150))).encode() + d, -15),
    "zip": lambda d: _zipped(d),  # noqa: PLW0108 - defined below
    "pdf stream, flate": lambda d: _pdf_object(b"/FlateDecode", zlib.compress(d)),
    "pdf stream, ascii85": lambda d: _pdf_object(b"/ASCII85Decode", base64.a85encode(d) + b"~>"),
    "pdf stream, both": lambda d: _pdf_object(
        b"[ /ASCII85Decode /FlateDecode ]", base64.a85encode(zlib.compress(d), wrapcol=72) + b"~>"
    ),
    "pdf stream, hex": lambda d: _pdf_object(b"/ASCIIHexDecode", d.hex().encode() + b">"),
}
READ_FROM_ITS_END = "zip"
INSIDE = (
    "hex", "hex, upper case", "base64", "base64, one before", "base64, two before", "base64 for URLs", "utf-16 le",
    "utf-16 be", "zlib", "gzip", "deflate", "deflate, long", "zip", "pdf stream, both",
)  # fmt: skip
"""What is tried inside every code."""


def _noise(seed: int, size: int) -> bytes:
    return numpy.random.default_rng(seed).bytes(size)


def _without_marks(text: str) -> str:
    return unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()


def _deflated(data: bytes, window: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    return packer.compress(data) + packer.flush()


def _dump(data: bytes) -> bytes:
    rows = (data[at : at + 16] for at in range(0, len(data), 16))
    return b"".join(
        b"%08x  %-48s |%s|\n" % (16 * number, row.hex(" ").encode(), bytes(c if 32 <= c < 127 else 46 for c in row))
        for number, row in enumerate(rows)
    )


def _zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", data * 3)
    return out.getvalue()


def _pdf_object(filters: bytes, stream: bytes) -> bytes:
    head = b"7 0 obj\n<< /Length %d /Filter %b >>\nstream\n" % (len(stream), filters)
    return head + stream + b"\nendstream\nendobj\n"


def _surrounded(planted: bytes, *, at_the_end: bool) -> Iterator[bytes]:
    after = b"" if at_the_end else b"|" + _noise(11, 1001)
    for before in (b"", b"x" * 13, _noise(12, 1001) + b"|", _noise(13, 1501) + b"\n"):
        yield before + planted + after


def _names(search: ClearTextSearch, data: bytes) -> set[str]:
    return {found.marker for found in search.find(data)}


@pytest.fixture(scope="module")
def search() -> ClearTextSearch:
    return ClearTextSearch([text_marker("planted", TEXT), text_marker("absent", "Sudrabkalnietis")])


@pytest.mark.parametrize("form", FORMS)
def test_a_text_is_found_in_every_form_and_another_is_not(search: ClearTextSearch, form: str) -> None:
    for data in _surrounded(FORMS[form](TEXT), at_the_end=False):
        assert _names(search, data) == {"planted"}
    for data in _surrounded(FORMS[form](OTHER), at_the_end=False):
        assert _names(search, data) == set()


@pytest.mark.parametrize("code", CODES)
def test_every_form_is_found_through_every_code_and_another_text_is_not(search: ClearTextSearch, code: str) -> None:
    for number, (form, written) in enumerate(FORMS.items()):
        planted = list(_surrounded(CODES[code](written(TEXT)), at_the_end=code == READ_FROM_ITS_END))
        assert _names(search, planted[number % len(planted)]) == {"planted"}, f"{form} in {code}"
    for data in _surrounded(CODES[code](OTHER.encode()), at_the_end=code == READ_FROM_ITS_END):
        assert _names(search, data) == set()


@pytest.mark.parametrize("outer", CODES)
def test_codes_are_seen_through_inside_each_other(search: ClearTextSearch, outer: str) -> None:
    body = json.dumps({"surname": TEXT, "height_cm": 172}, ensure_ascii=False).encode()
    other = json.dumps({"surname": OTHER, "height_cm": 172}, ensure_ascii=False).encode()
    for number, inner in enumerate(INSIDE):
        code = CODES[inner]
        assert _names(search, CODES[outer](code(body))) == {"planted"}, f"{inner} in {outer}"
        if number % 7 == len(outer) % 7:
            assert _names(search, CODES[outer](code(other))) == set(), f"{inner} in {outer}"


def test_short_packed_texts_are_found_in_much_else(search: ClearTextSearch) -> None:
    """Beyond 4 KiB a raw stream with the fixed code is found where it has the text as literals."""
    for data in (_deflated(TEXT.encode(), -15), _deflated(TEXT.upper().encode(), -15)):
        assert _names(search, _noise(1, 100_001) + data + _noise(2, 100_001)) == {"planted"}


def test_three_layers_are_seen_through(search: ClearTextSearch) -> None:
    body = json.dumps({"a": base64.b64encode(zlib.compress(TEXT.encode() + bytes(range(99)))).decode()}).encode()
    assert _names(search, gzip.compress(body)) == {"planted"}
    assert _names(search, _pdf_object(b"/FlateDecode", zlib.compress(zlib.compress(TEXT.encode()).hex().encode())))


@pytest.mark.parametrize("code", CODES)
def test_pins_and_the_bytes_of_pictures_are_found_through_every_code(code: str) -> None:
    picture = _noise(3, 2000)
    search = ClearTextSearch([text_marker("PIN", PIN), bytes_marker("picture", picture[1200:1232])])
    planted = CODES[code](b"PIN1=" + PIN.encode() + b";" + picture)
    if code != "zlib, torn":
        assert _names(search, planted) == {"PIN", "picture"}
    others = CODES[code](b"PIN1=" + PIN[::-1].encode() + b";" + picture[:1216] + picture[1217:])
    assert _names(search, others) == set()


# --- dates --------------------------------------------------------------------------------------------------------
BORN, ANOTHER_DAY = "1987-03-14", "1987-04-13"


@pytest.mark.parametrize("written", date_texts(BORN, "F"))
def test_a_birth_date_is_found_however_it_is_written(written: str) -> None:
    search = ClearTextSearch([text_marker("born", *date_texts(BORN, "F"))])
    for data in (written, f'{{"born": "{written}"}}', f"born {written}, in Riga"):
        assert _names(search, data.encode()) == {"born"}
        assert _names(search, zlib.compress(data.encode())) == {"born"}
        assert _names(search, base64.b64encode(b"{'a': 1, 'b': 2}" + data.encode() + bytes(20))) == {"born"}


def test_six_digits_count_where_they_stand_alone() -> None:
    search = ClearTextSearch([text_marker("born", *date_texts(BORN, "F"))])
    for text in ("870314", "dob=870314&", "[870314]", "140387-", "1,870314"):
        assert _names(search, text.encode()), text
    for text in ("1870314", "8703145", "a870314", "18:00:00.870314+00:00", "x870314f", *date_texts(ANOTHER_DAY, "F")):
        assert not _names(search, text.encode()), text


# --- whole PDF files ----------------------------------------------------------------------------------------------
def _drawn(draw: Callable[[Canvas], None], *, compressed: bool = True) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=int(compressed))
    draw(canvas)
    canvas.save()
    return out.getvalue()


@pytest.mark.parametrize("ascii85", [0, 1])
@pytest.mark.parametrize("compressed", [False, True])
def test_text_drawn_in_a_pdf_is_found(monkeypatch: pytest.MonkeyPatch, ascii85: int, compressed: bool) -> None:
    monkeypatch.setattr(rl_config, "useA85", ascii85)
    file = _drawn(lambda canvas: canvas.drawString(50, 50, "Name: Sudrabkalnietis"), compressed=compressed)
    search = ClearTextSearch([text_marker("drawn", "Sudrabkalnietis"), text_marker("absent", TEXT)])
    for data in (file, b"0123" + file + b"4567", zlib.compress(file), b"{" + base64.b64encode(b"..." + file) + b"}"):
        assert _names(search, data) == {"drawn"}
    found = {found.layers for found in search.find(file)}
    assert any("pdf text" not in layers for layers in found), "in the stream itself, not only in the drawn page"


def test_text_drawn_in_a_subset_font_and_a_title_are_found(search: ClearTextSearch) -> None:
    pdfmetrics.registerFont(TTFont("planted", str(FONT)))

    def draw(canvas: Canvas) -> None:
        canvas.setFont("planted", 12)
        canvas.drawString(50, 50, TEXT)

    assert "/pdf text" in {found.layers for found in search.find(_drawn(draw))}
    assert _names(search, _drawn(lambda canvas: canvas.setTitle(TEXT))) == {"planted"}
    assert _names(search, _drawn(lambda canvas: canvas.setTitle(OTHER))) == set()


# --- keys ---------------------------------------------------------------------------------------------------------
def test_private_keys_are_known_by_their_shape() -> None:
    search = ClearTextSearch([PRIVATE_KEY_SHAPES])
    for curve in (ec.SECP384R1(), ec.SECP256R1()):
        key = ec.generate_private_key(curve)
        for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
            for encoding in (serialization.Encoding.DER, serialization.Encoding.PEM):
                assert search.find(b"." + key.private_bytes(encoding, form, serialization.NoEncryption()))
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        assert not search.find(public)


def test_bytes_of_a_key_are_found_in_hex_with_colons() -> None:
    key = os.urandom(32)
    assert _names(ClearTextSearch([bytes_marker("key", key)]), b"key " + key.hex(":").encode()) == {"key"}


# --- nothing is found where nothing is ----------------------------------------------------------------------------
def _everything(*people: Person) -> ClearTextSearch:
    return ClearTextSearch([*(marker for person in people for marker in person.markers()), PRIVATE_KEY_SHAPES])


def test_random_bytes_hold_no_marker() -> None:
    search = _everything(*GOOD, REFUSED)
    assert not search.find(os.urandom(500_000))
    assert not search.find(base64.b64encode(os.urandom(50_000)))
    assert not search.find(os.urandom(50_000).hex().encode())


def test_a_log_of_times_and_numbers_holds_no_birth_date() -> None:
    noise = numpy.random.default_rng(17)
    lines = (
        f"{datetime.fromtimestamp(noise.uniform(1.7e9, 1.9e9), UTC).isoformat()} job PADIS-2026-{number * 487:07d}"
        for number in range(4000)
    )
    assert not _everything(*GOOD, REFUSED).find("\n".join(lines).encode())


@pytest.mark.parametrize("code", CODES)
def test_one_person_is_not_taken_for_another(code: str) -> None:
    texts = json.dumps({marker.name: sorted(marker.name) for marker in GOOD[1].markers()} | {"n": GOOD[1].surname})
    assert not _everything(GOOD[0]).find(CODES[code](texts.encode()))
    assert _everything(GOOD[1]).find(CODES[code](texts.encode()))

"""The strict readers against other encoders: what they write is read, in all its variants; what is damaged is not."""

import contextlib
import random
import struct
import warnings

import numpy
import pytest
import wsq  # noqa: F401 - registers the WSQ encoder with Pillow
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from personalization.rules.pictures.decode import decode, outline
from personalization.rules.pictures.errors import PictureDamaged, PictureError, PictureTooLarge
from personalization.rules.pictures.wsq import read_wsq
from tests.personalization.record_vectors import CITIZEN, drawing, encoded, jpeg, picture_bytes

PIXELS = 8_000_000
WSQ = picture_bytes(CITIZEN, "/images/fingerprints/0/image")


def read(data: bytes, media_type: str) -> tuple[int, int]:
    facts = decode(data, media_type, outline(data, media_type, maximum_pixels=PIXELS))
    return facts.width_px, facts.height_px


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (16, 16), (17, 33), (250, 330)])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [
        {"subsampling": 0},
        {"subsampling": 1, "quality": 95},
        {"subsampling": 2, "quality": 5},
        {"optimize": True},
        {"restart_marker_blocks": 3},
        {"restart_marker_rows": 1},
        {"progressive": True},
        {"comment": b"\xff\xd9"},
    ],
    ids=str,
)
def test_jpeg_variants(size: tuple[int, int], mode: str, options: dict[str, object]) -> None:
    assert read(encoded(drawing(*size, mode), "JPEG", **options), "image/jpeg") == size


@pytest.mark.parametrize("size", [(1, 1), (33, 65), (250, 330)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize(
    "options",
    [{}, {"irreversible": True, "quality_mode": "rates", "quality_layers": [40, 20]}, {"tile_size": (64, 64)}],
    ids=str,
)
def test_jp2_variants(size: tuple[int, int], mode: str, options: dict[str, object]) -> None:
    assert read(encoded(drawing(*size, mode), "JPEG2000", **options), "image/jp2") == size


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_variants(mode: str) -> None:
    image = Image.new(mode, (40, 30)) if mode == "I;16" else drawing(40, 30).convert(mode)
    assert read(encoded(image, "PNG"), "image/png") == (40, 30)


@settings(max_examples=25, deadline=None)
@given(st.integers(40, 400), st.integers(40, 400), st.integers(0, 40))
def test_wsq_of_any_size_has_the_coefficients_that_it_needs(width: int, height: int, noise: int) -> None:
    y, x = numpy.mgrid[0:height, 0:width]
    ridges = 128 + 90 * numpy.sin(x / 3 + numpy.cos(y / 20) * 3) + numpy.random.default_rng(1).normal(0, noise, x.shape)
    data = encoded(Image.fromarray(ridges.clip(0, 255).astype("uint8")), "WSQ")
    found = read_wsq(data, PIXELS)
    assert (found.width_px, found.height_px, found.resolution_dpi) == (width, height, 500)


def test_every_cut_of_a_fingerprint_is_refused() -> None:
    for length in range(0, len(WSQ), 37):
        for tail in (b"", b"\xff\xa1"):
            with pytest.raises(PictureError):
                read_wsq(WSQ[:length] + tail, PIXELS)


def test_a_fingerprint_with_another_size_is_refused() -> None:
    place = WSQ.index(b"\xff\xa2") + 6
    assert struct.unpack_from(">HH", WSQ, place) == (400, 300)
    with pytest.raises(PictureDamaged, match="coefficients"):
        read_wsq(WSQ[:place] + struct.pack(">HH", 401, 300) + WSQ[place + 4 :], PIXELS)
    with pytest.raises(PictureTooLarge):
        read_wsq(WSQ[:place] + b"\xff\xff\xff\xff" + WSQ[place + 4 :], PIXELS)


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("image/jpeg", jpeg(250, 330)),
        ("image/jpeg", jpeg(250, 330, progressive=True)),
        ("image/jp2", encoded(drawing(250, 330), "JPEG2000", quality_mode="rates", quality_layers=[20])),
        ("image/png", encoded(drawing(60, 40), "PNG")),
        ("image/x-wsq", WSQ),
    ],
)
def test_damage_is_refused_and_nothing_else_is_raised(media_type: str, data: bytes) -> None:
    refused = 0
    for seed in range(120):
        chance = random.Random(seed)
        spoiled = bytearray(data)
        for _ in range(chance.randrange(1, 6)):
            spoiled[chance.randrange(chance.choice((200, len(spoiled))))] = chance.randrange(256)
        try:
            read(bytes(spoiled), media_type)
        except PictureError:
            refused += 1
    assert refused > 30


def test_a_progressive_picture_without_its_last_scans_is_refused() -> None:
    data = jpeg(progressive=True)
    last_scan = data.rindex(b"\xff\xda")
    with pytest.raises(PictureDamaged, match="never sent"):
        read(data[:last_scan] + b"\xff\xd9", "image/jpeg")


def test_scans_without_end_are_refused() -> None:
    data = jpeg(250, 330, progressive=True)
    scan = data.rindex(b"\xff\xda")
    with pytest.raises(PictureDamaged):
        read(data[:-2] + data[scan:-2] * 200 + b"\xff\xd9", "image/jpeg")


def test_a_picture_of_thousands_of_tiles_is_refused() -> None:
    data = bytearray(encoded(drawing(250, 330), "JPEG2000"))
    size = data.index(b"\xff\x4f\xff\x51") + 4
    struct.pack_into(">II", data, size + 20, 1, 1)
    with pytest.raises(PictureTooLarge):
        outline(bytes(data), "image/jp2", maximum_pixels=PIXELS)


def test_no_warning_of_a_decoder_gets_out() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exif_of_nonsense = jpeg(250, 330, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
        with contextlib.suppress(PictureDamaged):
            read(exif_of_nonsense, "image/jpeg")


def test_a_quantization_table_of_nothing_is_refused() -> None:
    place = WSQ.index(b"\xff\xa5") + 4 + 3
    with pytest.raises(PictureDamaged, match="quantization"):
        read_wsq(WSQ[:place] + b"\xff" + WSQ[place + 1 :], PIXELS)

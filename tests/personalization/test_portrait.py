"""The portrait for the chip: unchanged where it fits, else JPEG 2000 within the limit, the same each time."""

import hashlib
import io

import numpy
import pytest
from PIL import Image

from personalization.portrait import PortraitTooLarge, chip_portrait
from personalization.records import Picture
from tests.personalization.record_vectors import CITIZEN, drawing, encoded, jpeg, picture_bytes

LIMIT = 15_000


def original(data: bytes, media_type: str = "image/jpeg") -> Picture:
    with Image.open(io.BytesIO(data)) as image:
        return Picture(media_type, hashlib.sha256(data).hexdigest(), *image.size, data)


def test_a_portrait_within_the_limit_is_not_touched() -> None:
    data = picture_bytes(CITIZEN, "/images/portrait")
    made = chip_portrait(original(data), len(data))
    assert made.portrait.data == data
    assert not made.encoded_anew
    assert made.original_sha256 == made.chip_sha256


@pytest.mark.parametrize(
    ("size", "chip_size"),
    [((413, 531), (413, 531)), ((1600, 2100), (405, 531)), ((240, 2100), (61, 531)), ((240, 320), (240, 320))],
)
def test_a_larger_one_is_encoded_anew(size: tuple[int, int], chip_size: tuple[int, int]) -> None:
    source = original(jpeg(*size, noise=12, quality=100))
    made = chip_portrait(source, LIMIT)
    assert made.encoded_anew
    assert made.original_sha256 == source.sha256
    assert made.chip_sha256 == hashlib.sha256(made.portrait.data).hexdigest()
    assert made.portrait.media_type == "image/jp2"
    assert (made.portrait.width_px, made.portrait.height_px) == chip_size
    assert len(made.portrait.data) <= LIMIT
    assert chip_portrait(source, LIMIT) == made
    with Image.open(io.BytesIO(made.portrait.data)) as image:
        image.load()
        assert (image.format, image.size, image.mode) == ("JPEG2000", chip_size, "RGB")
        with Image.open(io.BytesIO(source.data)) as before:
            difference = numpy.asarray(image, float) - numpy.asarray(before.resize(chip_size), float)
    assert numpy.sqrt((difference**2).mean()) < 12  # the noise of the drawing is what is lost


def test_most_of_the_limit_is_used() -> None:
    made = chip_portrait(original(jpeg(noise=12, quality=100)), LIMIT)
    assert len(made.portrait.data) > 0.9 * LIMIT


def test_a_grey_portrait_stays_grey() -> None:
    made = chip_portrait(original(encoded(drawing(413, 531, "L", 12), "JPEG", quality=100)), LIMIT)
    with Image.open(io.BytesIO(made.portrait.data)) as image:
        assert image.mode == "L"


@pytest.mark.parametrize("limit", [800, 2_000, 6_000, 20_000, 60_000])
def test_the_limit_holds_for_any_profile(limit: int) -> None:
    assert len(chip_portrait(original(jpeg(800, 1050, noise=12, quality=90)), limit).portrait.data) <= limit


def test_a_limit_that_nothing_fits() -> None:
    with pytest.raises(PortraitTooLarge):
        chip_portrait(original(jpeg(240, 320)), 100)

"""Images and fingerprints of a record: one good and one bad vector per rule."""

import base64
from typing import Any

import pytest
from PIL import Image

from tests.personalization.record_vectors import (
    CHILD,
    CITIZEN,
    REMOVED,
    changed,
    chipless,
    drawing,
    encoded,
    failures,
    failures_with,
    jpeg,
    picture,
    picture_bytes,
)

PORTRAIT = "/images/portrait"
SIGNATURE = "/images/signature"
FINGERS = "/images/fingerprints"
EXEMPTION = "/images/fingerprint_exemption"
WSQ = picture_bytes(CITIZEN, f"{FINGERS}/0/image")
OTHER_WSQ = picture_bytes(CITIZEN, f"{FINGERS}/1/image")


def with_portrait(data: bytes, media_type: str = "image/jpeg") -> set[tuple[str, str]]:
    return failures_with({PORTRAIT: picture(data, media_type)})


def test_digest() -> None:
    place = f"{FINGERS}/1/image/sha256"
    assert failures_with({place: "0" * 64}) == {(place, "image-digest")}
    assert failures_with({place: "0" * 63}) == {(place, "schema/pattern")}


@pytest.mark.parametrize(
    "spoil", [lambda t: t + "\n", lambda t: t[:76] + "\n" + t[76:], lambda t: t + "=", lambda t: t[:-1]]
)
def test_strict_base64(spoil: Any) -> None:
    text = base64.b64encode(jpeg()).decode()
    assert failures_with({f"{PORTRAIT}/data": spoil(text)}) == {(f"{PORTRAIT}/data", "image-base64")}


def test_base64_has_no_loose_bits() -> None:
    assert failures_with({SIGNATURE: picture(b"\x00", "image/png") | {"data": "AB=="}}) == {
        (f"{SIGNATURE}/data", "image-base64")
    }


def test_data_beyond_the_schemas_length_are_not_read() -> None:
    assert failures_with({f"{PORTRAIT}/data": "A" * 400_001}) == {(f"{PORTRAIT}/data", "schema/maxLength")}


@pytest.mark.parametrize(
    ("data", "stated"),
    [
        (encoded(drawing(250, 330, "L"), "PNG"), "image/jpeg"),
        (jpeg(), "image/jp2"),
        (WSQ, "image/jpeg"),
        (
            encoded(
                drawing(413, 531), "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[40], no_jp2=True
            ),
            "image/jp2",
        ),  # a bare codestream
        (b"", "image/jpeg"),
        (b"GIF89a", "image/jpeg"),
    ],
)
def test_bytes_are_of_the_stated_type(data: bytes, stated: str) -> None:
    assert with_portrait(data, stated) == {(f"{PORTRAIT}/media_type", "image-type")}


@pytest.mark.parametrize(
    ("place", "media_type", "data"),
    [
        (PORTRAIT, "image/jpeg", jpeg()),
        (
            PORTRAIT,
            "image/jp2",
            encoded(drawing(413, 531), "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[40]),
        ),
        (SIGNATURE, "image/png", encoded(drawing(100, 40), "PNG")),
        (f"{FINGERS}/0/image", "image/x-wsq", WSQ),
    ],
)
def test_pictures_decode_in_full(place: str, media_type: str, data: bytes) -> None:
    assert not failures_with({place: picture(data, media_type)})
    half = data[: len(data) // 2]
    end = data[-2:] if media_type != "image/png" else data[-12:]
    for spoiled in (half, half + end, data[:-1], data + b"\0", data + data):
        assert failures_with({place: picture(spoiled, media_type)}) == {(f"{place}/data", "image-decode")}


@pytest.mark.parametrize("size", [(240, 320), (1600, 2100), (240, 2100), (413, 531)])
def test_portrait_sizes(size: tuple[int, int]) -> None:
    assert not with_portrait(jpeg(*size, quality=40))


@pytest.mark.parametrize("size", [(239, 320), (240, 319), (1601, 2100), (1600, 2101), (10, 20)])
def test_portraits_of_other_sizes(size: tuple[int, int]) -> None:
    assert with_portrait(jpeg(*size, quality=40)) == {(f"{PORTRAIT}/data", "portrait-size")}


def test_a_huge_declared_size_is_not_decoded() -> None:
    data = jpeg()
    frame = data.index(b"\xff\xc0") + 5
    bomb = data[:frame] + b"\xff\xff\xff\xff" + data[frame + 4 :]
    assert with_portrait(bomb) == {(f"{PORTRAIT}/data", "portrait-size")}
    assert failures_with({SIGNATURE: picture(encoded(Image.new("1", (4000, 2001)), "PNG"), "image/png")}) == {
        (f"{SIGNATURE}/data", "image-size")
    }


def test_a_portrait_is_upright() -> None:
    assert failures_with({PORTRAIT: picture(jpeg(531, 413), "image/jpeg")}) == {
        (f"{PORTRAIT}/data", "portrait-upright")
    }
    assert with_portrait(jpeg(400, 400)) == {(f"{PORTRAIT}/data", "portrait-upright")}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        expected = set() if orientation == 1 else {(f"{PORTRAIT}/data", "portrait-upright")}
        assert with_portrait(jpeg(exif=exif)) == expected


def test_an_orientation_in_a_jp2_counts_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    payload = b"JpgTiffExif->JP2" + exif.tobytes()
    data = encoded(drawing(413, 531), "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[40])
    data += (len(payload) + 8).to_bytes(4, "big") + b"uuid" + payload
    assert with_portrait(data, "image/jp2") == {(f"{PORTRAIT}/data", "portrait-upright")}


def test_a_portrait_is_jpeg_or_jpeg_2000_in_grey_or_rgb() -> None:
    assert not with_portrait(encoded(drawing(413, 531, "L"), "JPEG"))
    assert with_portrait(encoded(drawing(413, 531, "CMYK"), "JPEG")) == {(f"{PORTRAIT}/data", "portrait-colour")}
    assert with_portrait(encoded(drawing(250, 330, "L"), "PNG"), "image/png") == {
        (f"{PORTRAIT}/media_type", "portrait-type")
    }
    assert failures_with({SIGNATURE: picture(WSQ, "image/x-wsq")}) == {(f"{SIGNATURE}/media_type", "signature-type")}


def test_fingerprints_are_wsq() -> None:
    place = f"{FINGERS}/0/image"
    grey = encoded(drawing(300, 400, "L"), "JPEG")
    assert failures_with({place: picture(grey, "image/jpeg")}) == {(f"{place}/media_type", "fingerprint-type")}


@pytest.mark.parametrize("resolution", [b"PPI 999", b"PPI 050", b"QPI 500", b"PPI -50", b"PPI abc"])
def test_fingerprints_are_of_500_dpi(resolution: bytes) -> None:
    place = f"{FINGERS}/1/image"
    data = OTHER_WSQ.replace(b"PPI 500", resolution)
    assert failures_with({place: picture(data, "image/x-wsq")}) == {(f"{place}/data", "fingerprint-resolution")}


def test_a_resolution_that_is_not_said_is_none() -> None:
    place = f"{FINGERS}/1/image"
    start = OTHER_WSQ.index(b"\xff\xa8")
    end = start + 2 + int.from_bytes(OTHER_WSQ[start + 2 : start + 4], "big")
    data = OTHER_WSQ[:start] + OTHER_WSQ[end:]
    assert failures_with({place: picture(data, "image/x-wsq")}) == {(f"{place}/data", "fingerprint-resolution")}


def test_two_different_fingers() -> None:
    assert failures_with({f"{FINGERS}/1/position": 2}) == {(f"{FINGERS}/1/position", "fingerprint-different")}
    assert failures_with({f"{FINGERS}/1/image": CITIZEN["images"]["fingerprints"][0]["image"]}) == {
        (f"{FINGERS}/1/image/data", "fingerprint-different")
    }
    assert failures_with({f"{FINGERS}/1": REMOVED}) == {(FINGERS, "fingerprint-count")}
    assert failures_with({f"{FINGERS}/1/position": 11}) == {(f"{FINGERS}/1/position", "schema/maximum")}


def test_no_fingerprints_on_a_chip_only_with_an_exemption() -> None:
    assert failures_with({FINGERS: []}) == {(FINGERS, "fingerprint-required")}
    assert failures_with({FINGERS: [], EXEMPTION: REMOVED}) == {(FINGERS, "fingerprint-required")}
    assert failures_with({FINGERS: [], EXEMPTION: "lost"}) == {(EXEMPTION, "schema/enum")}
    for exemption in ("temporarily-impossible", "permanently-impossible"):
        assert not failures_with({FINGERS: [], EXEMPTION: exemption})


def test_under_age_is_below_twelve_on_the_issue_date() -> None:
    new_code = {"/holder/personal_code": "320000-00000"}
    older = changed(CHILD, new_code)
    assert not failures(changed(older, {"/holder/birth_date": "2014-11-24"}))
    assert failures(changed(older, {"/holder/birth_date": "2014-11-23"})) == {(EXEMPTION, "fingerprint-exemption")}
    assert not failures(changed(older, {"/holder/birth_date": "2014-00-00"}))  # may have been born in December
    assert failures(changed(older, {"/holder/birth_date": "2013-00-00"})) == {(EXEMPTION, "fingerprint-exemption")}
    assert failures_with({FINGERS: [], EXEMPTION: "under-age"}) == {(EXEMPTION, "fingerprint-exemption")}


def test_fingerprints_or_an_exemption_not_both() -> None:
    assert failures_with({EXEMPTION: "temporarily-impossible"}) == {(EXEMPTION, "fingerprint-exemption")}


def test_never_on_a_chipless_card() -> None:
    assert not failures(chipless())
    fingers = CITIZEN["images"]["fingerprints"]
    assert failures(changed(chipless(), {FINGERS: fingers})) == {(FINGERS, "fingerprint-chipless")}


def test_a_signature_may_be_missing() -> None:
    assert not failures_with({SIGNATURE: None})
    assert not failures_with({SIGNATURE: REMOVED})
    assert failures_with({f"{SIGNATURE}/media_type": "image/gif"}) == {(f"{SIGNATURE}/media_type", "schema/enum")}

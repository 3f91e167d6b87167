"""Approved records for the tests of the rules: the synthetic samples, changed at one place or several."""

import base64
import copy
import hashlib
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from personalization.records import CheckedRecord, check_record, load_places

SAMPLES = sorted((Path(__file__).parents[2] / "simulators" / "records").glob("*.json"))
NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
PLACES = load_places()
REMOVED = object()
"""As a value in `changed`: the member is taken away."""

CITIZEN = json.loads(next(p for p in SAMPLES if p.stem == "PADIS-2026-0000002").read_text("utf-8"))
"""A woman born on 1978-09-04 with an old-form code, two fingerprints and certificates; approved 2026-11-12."""
CHILD = json.loads(next(p for p in SAMPLES if p.stem == "PADIS-2026-0000003").read_text("utf-8"))
"""A boy born on 2022-04-19 (four years old), exempt from fingerprints; no signature."""


def changed(record: Any, changes: Mapping[str, object]) -> Any:
    """A copy of `record` with other values at some JSON pointers."""
    result = copy.deepcopy(record)
    for pointer, value in changes.items():
        *path, last = pointer.split("/")[1:]
        place = result
        for token in path:
            place = place[int(token)] if isinstance(place, list) else place[token]
        if value is REMOVED:
            del place[int(last) if isinstance(place, list) else last]
        elif isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
    return result


def failures(record: object, *, now: datetime = NOW) -> set[tuple[str, str]]:
    """(pointer, rule) of each failure; empty for an accepted record."""
    result = check_record(record, PLACES, now=now)
    return set() if isinstance(result, CheckedRecord) else {(f.pointer, f.rule) for f in result}


def failures_with(changes: Mapping[str, object], record: Any = CITIZEN, *, now: datetime = NOW) -> set[tuple[str, str]]:
    """The failures of a sample that is changed at some places."""
    return failures(changed(record, changes), now=now)


def chipless(document_type: str = "temporary-id") -> Any:
    """A record for a card without a chip: no fingerprints, no certificates, no term."""
    return changed(
        CITIZEN,
        {
            "/document/type": document_type,
            "/document/expiry_date": None,
            "/images/fingerprints": [],
            "/certificates/wanted": False,
        },
    )


def picture(data: bytes, media_type: str) -> dict[str, str]:
    """The wire form of a picture."""
    return {
        "media_type": media_type,
        "sha256": hashlib.sha256(data).hexdigest(),
        "data": base64.b64encode(data).decode("ascii"),
    }


def picture_bytes(record: Any, pointer: str) -> bytes:
    """The bytes of a record's picture."""
    place = record
    for token in pointer.split("/")[1:]:
        place = place[int(token)] if isinstance(place, list) else place[token]
    return base64.b64decode(place["data"])


@cache
def drawing(width: int, height: int, mode: str = "RGB", noise: int = 0) -> Image.Image:
    """A soft pattern with some noise, the same each time."""
    y, x = numpy.mgrid[0:height, 0:width].astype(numpy.float32)
    grain = numpy.random.default_rng(7).integers(0, noise + 1, (height, width))
    bands = [120 + 100 * numpy.sin(x / (90 + k) + y / (130 - k)) + grain for k in range(3)]
    return Image.fromarray(numpy.stack(bands, axis=2).clip(0, 255).astype("uint8")).convert(mode)


def encoded(image: Image.Image, pillow_format: str, **options: object) -> bytes:
    """A picture's bytes in one of Pillow's formats."""
    buffer = io.BytesIO()
    image.save(buffer, pillow_format, **options)
    return buffer.getvalue()


def jpeg(width: int = 413, height: int = 531, *, noise: int = 0, **options: object) -> bytes:
    """A JPEG of the drawing."""
    return encoded(drawing(width, height, noise=noise), "JPEG", **options)

"""One picture of a record: its strict reader, then its decoder."""

import io
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from personalization.rules.pictures.errors import PictureDamaged
from personalization.rules.pictures.jp2 import read_jp2
from personalization.rules.pictures.jpeg import read_jpeg
from personalization.rules.pictures.outline import Outline
from personalization.rules.pictures.png import read_png
from personalization.rules.pictures.wsq import read_wsq

JPEG, JP2, PNG, WSQ = "image/jpeg", "image/jp2", "image/png", "image/x-wsq"
_READERS = {JPEG: read_jpeg, JP2: read_jp2, PNG: read_png, WSQ: read_wsq}
_PILLOW: dict[str, Literal["JPEG", "JPEG2000", "PNG"]] = {JPEG: "JPEG", JP2: "JPEG2000", PNG: "PNG"}
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What decoding found: size, Pillow's mode (`L` for WSQ), EXIF orientation (1 where none), dpi if WSQ says it."""

    width_px: int
    height_px: int
    mode: str
    orientation: int
    resolution_dpi: int | None


def outline(data: bytes, media_type: str, *, maximum_pixels: int) -> Outline:
    """The size by the strict reader of the type. Raises `WrongType`, `PictureTooLarge` or `PictureDamaged`."""
    return _READERS[media_type](data, maximum_pixels)


def decode(data: bytes, media_type: str, found: Outline) -> PictureFacts:
    """Decode every pixel of a picture that `outline` has passed. Raises `PictureDamaged`."""
    if media_type == WSQ:
        # Read to the last coefficient already; what is left of the decoding is arithmetic that cannot fail.
        return PictureFacts(found.width_px, found.height_px, "L", 1, found.resolution_dpi)
    try:
        with Image.open(io.BytesIO(data), formats=(_PILLOW[media_type],)) as image:
            image.load()
            orientation = found.orientation or int(image.getexif().get(_ORIENTATION, 1))
            size, mode, frames = image.size, image.mode, getattr(image, "n_frames", 1)
    except Exception:  # noqa: BLE001 - Pillow's decoders raise whatever the damage leads to
        raise PictureDamaged("The picture does not decode.") from None
    if size != (found.width_px, found.height_px) or frames != 1:
        raise PictureDamaged("The picture decodes to another one than it declares.")
    return PictureFacts(found.width_px, found.height_px, mode, orientation, None)

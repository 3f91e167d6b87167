"""The portrait for the chip: the record's own bytes where they fit, else encoded anew as JPEG 2000.

The print always uses the original. What was done and both digests are kept, so that the inspection can show them.
"""

import hashlib
import io
from dataclasses import dataclass

from PIL import Image

from card_profiles.model import Portrait
from personalization.approved_record import Picture

CHIP_WIDTH_PX = 413
CHIP_HEIGHT_PX = 531
"""35 x 45 mm at 300 dpi."""
AIM = 0.985
"""OpenJPEG takes the rate as a wish and overshoots by up to 0.1 %; asking for 1.5 % less fits at once."""
STEP = 0.9
FEWEST_BYTES_ASKED = 0.3
SMALLEST_SHARE = 0.5
"""Of the size that the chip's frame allows: a smaller picture shows less than its bytes could."""


class PortraitTooLarge(ValueError):
    """No encoding of the portrait fits the profile's limit: the profile is wrong."""


@dataclass(frozen=True, slots=True)
class ChipPortrait:
    """The portrait as it goes on the chip, whether it was encoded anew, and SHA-256 (hex) of both byte strings."""

    portrait: Portrait
    encoded_anew: bool
    original_sha256: str
    chip_sha256: str


def chip_portrait(original: Picture, maximum_bytes: int) -> ChipPortrait:
    """The chip's portrait, of at most `maximum_bytes`; the same original gives the same bytes.

    Raises `PortraitTooLarge` for a limit that nothing recognizable fits.
    """
    if len(original.data) <= maximum_bytes:
        unchanged = Portrait(original.media_type, original.width_px, original.height_px, original.data)
        return ChipPortrait(unchanged, False, original.sha256, original.sha256)
    with Image.open(io.BytesIO(original.data), formats=("JPEG", "JPEG2000")) as opened:
        image = opened.convert("L" if opened.mode == "L" else "RGB")
    scale = min(1.0, CHIP_WIDTH_PX / image.width, CHIP_HEIGHT_PX / image.height)
    smallest = scale * SMALLEST_SHARE
    while scale >= smallest:
        size = (round(image.width * scale), round(image.height * scale))
        scaled = image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)
        data = _encode(scaled, maximum_bytes)
        if data is not None:
            portrait = Portrait("image/jp2", *size, data)
            return ChipPortrait(portrait, True, original.sha256, hashlib.sha256(data).hexdigest())
        scale *= STEP
    raise PortraitTooLarge(f"no portrait fits {maximum_bytes} bytes")


def _encode(image: Image.Image, maximum_bytes: int) -> bytes | None:
    """JPEG 2000 within the limit, asking for less and less; None where even a third of the limit comes out larger."""
    share = AIM
    while share > FEWEST_BYTES_ASKED:
        buffer = io.BytesIO()
        rate = max(1.0, image.width * image.height * len(image.getbands()) / (maximum_bytes * share))
        image.save(
            buffer,
            "JPEG2000",
            quality_mode="rates",
            quality_layers=[rate],
            irreversible=True,
            mct=1 if image.mode == "RGB" else 0,  # the colour transform: said, or 1.6 dB are lost
        )
        if buffer.tell() <= maximum_bytes:
            return buffer.getvalue()
        share *= STEP
    return None

"""What a strict reader says of a picture before its pixels are decoded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outline:
    """Declared size; `orientation` is the EXIF value where the container itself shows one (JP2)."""

    width_px: int
    height_px: int
    resolution_dpi: int | None = None
    orientation: int | None = None

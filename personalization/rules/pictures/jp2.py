"""JP2 (ISO/IEC 15444-1 annex I) read box by box, and its codestream (annex A) tile-part by tile-part.

OpenJPEG repairs cut codestreams in silence; here every length must lead exactly to the next part and to EOC.
"""

import struct
from collections.abc import Iterator
from math import ceil

from PIL import Image

from personalization.rules.pictures.errors import PictureDamaged, PictureTooLarge, WrongType
from personalization.rules.pictures.outline import Outline

SIGNATURE = bytes.fromhex("0000000c6a5020200d0a870a")
EXIF_UUID = b"JpgTiffExif->JP2"
ORIENTATION = 0x0112
SOC, SIZ, SOT, SOD, EOC = 0xFF4F, 0xFF51, 0xFF90, 0xFF93, 0xFFD9
MAXIMUM_COMPONENTS = 4
MAXIMUM_TILES = 1024
MAXIMUM_TILE_PARTS = 4096


def read_jp2(data: bytes, maximum_pixels: int) -> Outline:
    """Size of a JP2 picture whose parts are all there. Raises `WrongType`, `PictureTooLarge` or `PictureDamaged`."""
    if not data.startswith(SIGNATURE):
        raise WrongType("The bytes do not begin as JP2 does.")
    boxes = list(_boxes(data, len(SIGNATURE), len(data)))
    kinds = [kind for kind, _, _ in boxes]
    if kinds[:1] != [b"ftyp"] or kinds.count(b"jp2h") != 1 or kinds.count(b"jp2c") != 1:
        raise PictureDamaged("the picture lacks one of its boxes")
    orientation: int | None = None
    outline: Outline | None = None
    for kind, start, end in boxes:
        if kind == b"ftyp" and b"jp2 " not in [data[i : i + 4] for i in range(start, end, 4)]:
            raise WrongType("The file type box does not name JP2.")
        if kind == b"jp2c":
            outline = _codestream(data, start, end, maximum_pixels)
        if kind == b"uuid" and data[start : start + 16] == EXIF_UUID:
            orientation = _orientation(data[start + 16 : end])
    if outline is None or _header_size(data, boxes) != (outline.width_px, outline.height_px):
        raise PictureDamaged("header and codestream do not agree on the size")
    return Outline(outline.width_px, outline.height_px, orientation=orientation)


def _boxes(data: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the contents of each box; they fill the span from `position` to `end` exactly."""
    while position < end:
        if position + 8 > end:
            raise PictureDamaged("a box is cut short")
        length, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if length == 1 and position + 16 <= end:
            (length,) = struct.unpack_from(">Q", data, position + 8)
            header = 16
        elif length == 0:
            length = end - position
        if length < header or position + length > end:
            raise PictureDamaged("a box is cut short")
        yield kind, position + header, position + length
        position += length


def _header_size(data: bytes, boxes: list[tuple[bytes, int, int]]) -> tuple[int, int]:
    start, end = next((start, end) for kind, start, end in boxes if kind == b"jp2h")
    inner = list(_boxes(data, start, end))
    if not inner or inner[0][0] != b"ihdr" or inner[0][2] - inner[0][1] != 14:
        raise PictureDamaged("the image header box is wrong")
    height, width = struct.unpack_from(">II", data, inner[0][1])
    return width, height


def _codestream(data: bytes, start: int, end: int, maximum_pixels: int) -> Outline:
    if end - start < 52 or struct.unpack_from(">HH", data, start) != (SOC, SIZ):
        raise PictureDamaged("the codestream does not begin as one")
    # §A.5.1: Lsiz, Rsiz, size and offset of the reference grid, size and offset of the tiles, components
    _, _, right, bottom, left, top, tile_width, tile_height, _, _, components = struct.unpack_from(
        ">HHIIIIIIIIH", data, start + 4
    )
    width, height = right - left, bottom - top
    if width <= 0 or height <= 0 or not tile_width or not tile_height or not 1 <= components <= MAXIMUM_COMPONENTS:
        raise PictureDamaged("the codestream's size marker is wrong")
    if right * bottom > 2 * maximum_pixels or width * height > maximum_pixels:
        raise PictureTooLarge("The picture declares too many pixels.")
    if ceil(right / tile_width) * ceil(bottom / tile_height) > MAXIMUM_TILES:
        raise PictureTooLarge("The picture declares too many tiles.")
    _tile_parts(data, _first_tile_part(data, start + 2, end), end)
    return Outline(width, height)


def _first_tile_part(data: bytes, position: int, end: int) -> int:
    while True:
        if position + 4 > end:
            raise PictureDamaged("the codestream breaks off in its header")
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == SOT:
            return position
        if marker < 0xFF00 or length < 2:
            raise PictureDamaged("the codestream's header is wrong")
        position += 2 + length


def _tile_parts(data: bytes, position: int, end: int) -> None:
    for _ in range(MAXIMUM_TILE_PARTS):
        if position + 2 == end and struct.unpack_from(">H", data, position) == (EOC,):
            return
        if position + 12 > end or struct.unpack_from(">HH", data, position) != (SOT, 10):
            break
        (length,) = struct.unpack_from(">I", data, position + 6)
        if length == 0:  # §A.4.2: the last tile-part, up to EOC
            length = end - 2 - position
        if length < 14:
            break
        position += length
    raise PictureDamaged("the tile-parts do not lead to the end of the codestream")


def _orientation(payload: bytes) -> int:
    exif = Image.Exif()
    try:
        exif.load(payload)
        return int(exif.get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - Pillow's EXIF reader raises whatever the damage leads to
        raise PictureDamaged("the EXIF data cannot be read") from None

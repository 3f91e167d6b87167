"""PNG (ISO/IEC 15948) read chunk by chunk: every CRC right, IEND the last bytes."""

import struct
import zlib

from personalization.rules.pictures.errors import PictureDamaged, PictureTooLarge, WrongType
from personalization.rules.pictures.outline import Outline

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_png(data: bytes, maximum_pixels: int) -> Outline:
    """Size of a PNG picture whose chunks are all there. Raises `WrongType`, `PictureTooLarge` or `PictureDamaged`."""
    if not data.startswith(SIGNATURE):
        raise WrongType("The bytes do not begin as PNG does.")
    kinds: list[bytes] = []
    width = height = 0
    position = len(SIGNATURE)
    while kinds[-1:] != [b"IEND"]:
        if position + 12 > len(data):
            raise PictureDamaged("a chunk is cut short")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data) or zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise PictureDamaged("a chunk is damaged")
        if not kinds:
            if kind != b"IHDR" or length != 13:
                raise PictureDamaged("the header chunk is missing")
            width, height = struct.unpack_from(">II", data, position + 8)
        kinds.append(kind)
        position = end
    if position != len(data) or b"IDAT" not in kinds or not width or not height:
        raise PictureDamaged("the picture lacks a part or goes on after its end")
    if width * height > maximum_pixels:
        raise PictureTooLarge("The picture declares too many pixels.")
    return Outline(width, height)

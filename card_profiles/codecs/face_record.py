"""Facial records with one image (ISO/IEC 19794-5:2005 §5), all numbers big-endian."""

import struct

from card_profiles.codecs.errors import CodecError
from card_profiles.model import Portrait

_IDENTIFIER = b"FAC\x00010\x00"
_HEADER = struct.Struct(">8sIH")  # §5.4: identifier and version, length of the record, number of images
_INFORMATION = struct.Struct(">IHBBB3sH3s3s")  # §5.5: length of the block, feature points, then traits left unspecified
_IMAGE = struct.Struct(">BBHHBBHH")  # §5.7
_FULL_FRONTAL = 0x01
_RGB24 = 0x01
_MEDIA_TYPES = ("image/jpeg", "image/jp2")  # §5.7.2: image data type 0 and 1
_FEATURE_POINT_BYTES = 8


class FaceRecordError(CodecError):
    """Not a facial record with one image."""


def encode_face_record(portrait: Portrait) -> bytes:
    """A record with one full frontal colour image, no feature points, nothing said of the person."""
    if portrait.media_type not in _MEDIA_TYPES:
        raise FaceRecordError("a facial record holds JPEG or JPEG 2000")
    if not (0 < portrait.width_px < 0x10000 and 0 < portrait.height_px < 0x10000 and portrait.data):
        raise FaceRecordError("the picture is empty or too large")
    image = _IMAGE.pack(
        _FULL_FRONTAL,
        _MEDIA_TYPES.index(portrait.media_type),
        portrait.width_px,
        portrait.height_px,
        _RGB24,
        0,  # source type, device type and quality are not specified
        0,
        0,
    )
    block_length = _INFORMATION.size + len(image) + len(portrait.data)
    block = _INFORMATION.pack(block_length, 0, 0, 0, 0, bytes(3), 0, bytes(3), bytes(3))
    header = _HEADER.pack(_IDENTIFIER, _HEADER.size + block_length, 1)
    return header + block + image + portrait.data


def decode_face_record(data: bytes) -> Portrait:
    """The one image of a record; every length must agree. Raises `FaceRecordError`."""
    if len(data) < _HEADER.size + _INFORMATION.size + _IMAGE.size:
        raise FaceRecordError("the record is cut off")
    identifier, length, count = _HEADER.unpack_from(data)
    if identifier != _IDENTIFIER or count != 1:
        raise FaceRecordError("not a facial record of version 010 with one image")
    block_length, points = _INFORMATION.unpack_from(data, _HEADER.size)[:2]
    if length != len(data) or block_length != length - _HEADER.size:
        raise FaceRecordError("a length inside the record is wrong")
    start = _HEADER.size + _INFORMATION.size + points * _FEATURE_POINT_BYTES
    if start + _IMAGE.size >= len(data):
        raise FaceRecordError("the record holds no picture")
    _, data_type, width, height = _IMAGE.unpack_from(data, start)[:4]
    if data_type >= len(_MEDIA_TYPES):
        raise FaceRecordError("the picture is neither JPEG nor JPEG 2000")
    return Portrait(_MEDIA_TYPES[data_type], width, height, data[start + _IMAGE.size :])

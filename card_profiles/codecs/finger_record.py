"""Finger image records with one WSQ image of 500 dpi (ISO/IEC 19794-4:2005 §7), all numbers big-endian."""

import struct

from card_profiles.codecs.errors import CodecError
from card_profiles.model import Fingerprint

_IDENTIFIER = b"FIR\x00010\x00"
_HEADER = struct.Struct(">8s6sHHBBHHHHBBH")  # §7.1: 32 bytes; the length has six
_VIEW = struct.Struct(">IBBBBBHHB")  # §7.2: 14 bytes
_LEVEL_500_PPI = 31  # §6, table 1: setting level 31
_PIXELS_PER_INCH = 1
_RESOLUTION = 500
_GREY_8_BITS = 8
_WSQ = 2
_QUALITY_UNDEFINED = 254
_LIVE_SCAN_PLAIN = 0


class FingerRecordError(CodecError):
    """Not a finger image record with one WSQ image."""


def encode_finger_record(finger: Fingerprint) -> bytes:
    """A record with one plain live-scan image."""
    if not 1 <= finger.position <= 10:
        raise FingerRecordError("a finger position is 1 to 10")
    if not (0 < finger.width_px < 0x10000 and 0 < finger.height_px < 0x10000 and finger.data):
        raise FingerRecordError("the picture is empty or too large")
    view_length = _VIEW.size + len(finger.data)
    header = _HEADER.pack(
        _IDENTIFIER,
        (_HEADER.size + view_length).to_bytes(6, "big"),
        0,  # capture device not specified
        _LEVEL_500_PPI,
        1,  # fingers in the record
        _PIXELS_PER_INCH,
        _RESOLUTION,  # scan horizontal and vertical, image horizontal and vertical
        _RESOLUTION,
        _RESOLUTION,
        _RESOLUTION,
        _GREY_8_BITS,
        _WSQ,
        0,
    )
    view = _VIEW.pack(
        view_length,
        finger.position,
        1,  # views of this finger, and which one this is
        1,
        _QUALITY_UNDEFINED,
        _LIVE_SCAN_PLAIN,
        finger.width_px,
        finger.height_px,
        0,
    )
    return header + view + finger.data


def decode_finger_record(data: bytes) -> Fingerprint:
    """The one image of a record; every length must agree. Raises `FingerRecordError`."""
    if len(data) <= _HEADER.size + _VIEW.size:
        raise FingerRecordError("the record is cut off")
    header = _HEADER.unpack_from(data)
    if header[0] != _IDENTIFIER or header[4] != 1:
        raise FingerRecordError("not a finger image record of version 010 with one finger")
    if header[5:10] != (_PIXELS_PER_INCH, *[_RESOLUTION] * 4) or header[11] != _WSQ:
        raise FingerRecordError("the image is not WSQ of 500 pixels per inch")
    view_length, position, _, _, _, _, width, height, _ = _VIEW.unpack_from(data, _HEADER.size)
    if int.from_bytes(header[1], "big") != len(data) or view_length != len(data) - _HEADER.size:
        raise FingerRecordError("a length inside the record is wrong")
    if not 1 <= position <= 10:
        raise FingerRecordError("the finger position is not 1 to 10")
    return Fingerprint(position, width, height, data[_HEADER.size + _VIEW.size :])

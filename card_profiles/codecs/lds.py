"""Files of the travel document's logical data structure, version 1 (ICAO 9303-10 §4.6-4.7): EF.COM, DG1, DG2, DG3."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from card_profiles.codecs import tlv
from card_profiles.codecs.biometrics import (
    BiometricsError,
    FingerTemplate,
    build_dg2,
    build_dg3,
    finger_subtype,
    parse_dg2,
    parse_dg3,
)
from card_profiles.codecs.errors import CodecError
from card_profiles.codecs.face_record import FaceRecordError
from card_profiles.codecs.finger_record import FingerRecordError

__all__ = [
    "DATA_GROUP_TAGS",
    "LDS_VERSION",
    "UNICODE_VERSION",
    "BiometricsError",
    "EfCom",
    "FaceRecordError",
    "FingerRecordError",
    "FingerTemplate",
    "LdsError",
    "build_dg1",
    "build_dg2",
    "build_dg3",
    "build_ef_com",
    "finger_subtype",
    "parse_dg1",
    "parse_dg2",
    "parse_dg3",
    "parse_ef_com",
]

LDS_VERSION = "0108"
UNICODE_VERSION = "040000"
DATA_GROUP_TAGS: Mapping[int, int] = MappingProxyType(
    dict(enumerate(bytes.fromhex("61 75 63 76 65 66 67 68 69 6A 6B 6C 6D 6E 6F 70"), 1))
)
"""Tag of each data group by its number (9303-10 table 36)."""

_EF_COM, _LDS_VERSION, _UNICODE_VERSION, _TAG_LIST = 0x60, 0x5F01, 0x5F36, 0x5C
_DG1, _MRZ = 0x61, 0x5F1F
_TD1_CHARACTERS, _LINE_LENGTH = 90, 30


class LdsError(CodecError):
    """Not a file of the form this centre writes."""


@dataclass(frozen=True, slots=True)
class EfCom:
    """What EF.COM says: versions, and the numbers of the data groups present."""

    lds_version: str
    unicode_version: str
    data_groups: tuple[int, ...]


def build_ef_com(data_groups: Iterable[int]) -> bytes:
    """EF.COM listing the data groups in ascending order (9303-10 §4.6.1)."""
    numbers = sorted(data_groups)
    if not numbers or not DATA_GROUP_TAGS.keys() >= set(numbers):
        raise LdsError("data groups have the numbers 1 to 16")
    return tlv.encode(
        _EF_COM,
        tlv.encode(_LDS_VERSION, LDS_VERSION.encode("ascii"))
        + tlv.encode(_UNICODE_VERSION, UNICODE_VERSION.encode("ascii"))
        + tlv.encode(_TAG_LIST, bytes(DATA_GROUP_TAGS[number] for number in numbers)),
    )


def parse_ef_com(data: bytes) -> EfCom:
    """Raises `TlvError` or `LdsError`."""
    com = tlv.decode(data, _EF_COM)
    numbers = {tag: number for number, tag in DATA_GROUP_TAGS.items()}
    tags = com.child(_TAG_LIST).value
    if not numbers.keys() >= set(tags) or len(set(tags)) != len(tags):
        raise LdsError("the tag list of EF.COM holds an unknown tag, or one twice")
    return EfCom(
        lds_version=_ascii(com.child(_LDS_VERSION).value),
        unicode_version=_ascii(com.child(_UNICODE_VERSION).value),
        data_groups=tuple(numbers[tag] for tag in tags),
    )


def build_dg1(lines: tuple[str, str, str]) -> bytes:
    """DG1 of an ID-1 card: the three lines of the machine readable zone (9303-10 §4.7.1)."""
    zone = "".join(lines)
    if len(zone) != _TD1_CHARACTERS or not zone.isascii():
        raise LdsError("a TD1 zone has 90 characters")
    return tlv.encode(_DG1, tlv.encode(_MRZ, zone.encode("ascii")))


def parse_dg1(data: bytes) -> tuple[str, str, str]:
    """The three lines; what they say is for `mrz.parse_td1`. Raises `TlvError` or `LdsError`."""
    zone = _ascii(tlv.decode(data, _DG1).child(_MRZ).value)
    if len(zone) != _TD1_CHARACTERS:
        raise LdsError("a TD1 zone has 90 characters")
    first, second, third = (zone[start : start + _LINE_LENGTH] for start in range(0, _TD1_CHARACTERS, _LINE_LENGTH))
    return first, second, third


def _ascii(value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise LdsError("a text is not ASCII") from None

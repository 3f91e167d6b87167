"""DG2 (face) and DG3 (fingers): biometric information group templates (ICAO 9303-10 §4.7.2-4.7.3, ISO/IEC 7816-11)."""

from dataclasses import dataclass

from card_profiles.codecs import tlv
from card_profiles.codecs.errors import CodecError
from card_profiles.codecs.face_record import decode_face_record, encode_face_record
from card_profiles.codecs.finger_record import decode_finger_record, encode_finger_record
from card_profiles.model import Fingerprint, Portrait

_DG2, _DG3 = 0x75, 0x63
_GROUP, _INSTANCE, _HEADER, _DATA, _COUNT = 0x7F61, 0x7F60, 0xA1, 0x5F2E, 0x02
_VERSION, _TYPE, _SUBTYPE, _OWNER, _FORMAT = 0x80, 0x81, 0x82, 0x87, 0x88
_FILLER = 0x53
_HEADER_VERSION = bytes.fromhex("0101")
_SC37 = bytes.fromhex("0101")  # format owner ISO/IEC JTC 1/SC 37
_FACE_TYPE, _FACE_FORMAT = b"\x02", bytes.fromhex("0008")
_FINGER_TYPE, _FINGER_FORMAT = b"\x08", bytes.fromhex("0007")
_SMALLEST_FILLER_BYTES = 8
_RIGHT, _LEFT = 0b01, 0b10


class BiometricsError(CodecError):
    """Not a data group of the form this centre writes."""


@dataclass(frozen=True, slots=True)
class FingerTemplate:
    """What DG3 holds: the fingers, or none and the random filler that keeps its hash from being guessed."""

    fingerprints: tuple[Fingerprint, ...]
    filler: bytes


def finger_subtype(position: int) -> int:
    """The CBEFF biometric sub-type of a finger (9303-10 §4.7.3.1; ISO/IEC 7816-11 table C.3).

    `position` is the ISO/IEC 19794-2 code: 1-5 right thumb to little finger, 6-10 left. Bits 2-1 say the hand, 5-3
    the finger, thumb 1 to little finger 5.
    """
    if not 1 <= position <= 10:
        raise BiometricsError("a finger position is 1 to 10")
    hand, finger = (_RIGHT, position) if position <= 5 else (_LEFT, position - 5)
    return finger << 2 | hand


def build_dg2(portrait: Portrait) -> bytes:
    """DG2 with one face."""
    header = _biometric_header(_FACE_TYPE, 0, _FACE_FORMAT)
    return tlv.encode(_DG2, _group([_instance(header, encode_face_record(portrait))]))


def parse_dg2(data: bytes) -> Portrait:
    """The one face of DG2. Raises `TlvError`, `BiometricsError` or `FaceRecordError`."""
    instances = _read_group(tlv.decode(data, _DG2).child(_GROUP))
    if len(instances) != 1:
        raise BiometricsError("DG2 holds one face")
    _check_header(instances[0], _FACE_TYPE, _FACE_FORMAT)
    return decode_face_record(instances[0].child(_DATA).value)


def build_dg3(fingerprints: tuple[Fingerprint, ...], filler: bytes) -> bytes:
    """DG3, one image in each template; without fingerprints the empty group and `filler` (9303-10 §4.7.3.2)."""
    if not fingerprints:
        if len(filler) < _SMALLEST_FILLER_BYTES:
            raise BiometricsError(f"the filler is at least {_SMALLEST_FILLER_BYTES} random bytes")
        return tlv.encode(_DG3, _group([]) + tlv.encode(_FILLER, filler))
    if len({finger.position for finger in fingerprints}) != len(fingerprints):
        raise BiometricsError("one finger stands twice")
    instances = [
        _instance(
            _biometric_header(_FINGER_TYPE, finger_subtype(finger.position), _FINGER_FORMAT),
            encode_finger_record(finger),
        )
        for finger in fingerprints
    ]
    return tlv.encode(_DG3, _group(instances))


def parse_dg3(data: bytes) -> FingerTemplate:
    """The fingers of DG3, or its filler. Raises `TlvError`, `BiometricsError` or `FingerRecordError`."""
    template = tlv.decode(data, _DG3)
    fingerprints = tuple(_read_finger(instance) for instance in _read_group(template.child(_GROUP)))
    expected = [_GROUP] if fingerprints else [_GROUP, _FILLER]
    if [inner.tag for inner in template.children()] != expected:
        raise BiometricsError("DG3 holds fingers, or a filler when there are none")
    return FingerTemplate(fingerprints, b"" if fingerprints else template.child(_FILLER).value)


def _read_finger(instance: tlv.Tlv) -> Fingerprint:
    finger = decode_finger_record(instance.child(_DATA).value)
    header = _check_header(instance, _FINGER_TYPE, _FINGER_FORMAT)
    if header.child(_SUBTYPE).value != bytes([finger_subtype(finger.position)]):
        raise BiometricsError("the sub-type is not that of the finger in the record")
    return finger


def _biometric_header(biometric_type: bytes, subtype: int, record_format: bytes) -> bytes:
    return tlv.encode(
        _HEADER,
        tlv.encode(_VERSION, _HEADER_VERSION)
        + tlv.encode(_TYPE, biometric_type)
        + tlv.encode(_SUBTYPE, bytes([subtype]))
        + tlv.encode(_OWNER, _SC37)
        + tlv.encode(_FORMAT, record_format),
    )


def _instance(header: bytes, record: bytes) -> bytes:
    return tlv.encode(_INSTANCE, header + tlv.encode(_DATA, record))


def _group(instances: list[bytes]) -> bytes:
    return tlv.encode(_GROUP, tlv.encode(_COUNT, bytes([len(instances)])) + b"".join(instances))


def _read_group(group: tlv.Tlv) -> tuple[tlv.Tlv, ...]:
    instances = group.children()[1:]
    if group.child(_COUNT).value != bytes([len(instances)]):
        raise BiometricsError("the number of instances is wrong")
    if any(instance.tag != _INSTANCE for instance in instances):
        raise BiometricsError("the group holds something that is not an instance")
    return instances


def _check_header(instance: tlv.Tlv, biometric_type: bytes, record_format: bytes) -> tlv.Tlv:
    header = instance.child(_HEADER)
    found = (header.child(_TYPE).value, header.child(_OWNER).value, header.child(_FORMAT).value)
    if found != (biometric_type, _SC37, record_format):
        raise BiometricsError("the biometric header is of another type, owner or format")
    return header

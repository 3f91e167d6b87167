"""Everything of ours that reads bytes from outside, each as a function that is given bytes.

A target returns whether anything could be read, or raises what is a defect: any exception but the typed error that its
reader promises, or a value that does not come back when it is written again.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from card_profiles.codecs import der, ec_parameters, iso7816_15, lds, tlv
from card_profiles.codecs.atr import AtrError, parse_atr
from card_profiles.codecs.errors import CodecError
from card_profiles.codecs.mrz import MrzError, parse_td1
from card_profiles.errors import ImageRefused
from card_profiles.image import image_from_bytes, image_to_bytes
from hsm.ceremony import KeyLetter
from hsm.errors import KeyLetterRefused
from hsm.ports import CardFunction
from personalization.records import CheckedRecord, check_record, load_places, record_from_bytes, record_to_bytes
from personalization.rules.pictures.decode import JP2, JPEG, PNG, WSQ, PictureFacts, decode, outline
from personalization.rules.pictures.errors import PictureError
from personalization.sources.http import cancellations_of, page_of
from personalization.sources.port import SourceError
from personalization.station import ipp, ipp_decode
from personalization.station.apdu import CommandApdu
from personalization.station.errors import ChannelBroken
from personalization.station.scp03 import Scp03Session
from personalization.strict_json import JsonMalformed, loads
from pki.certificate_reading import read_certificate, read_tbs
from pki.errors import CertificateRefused
from pki.sod_reading import read_ef_sod, read_security_object, read_signing_time
from simulators.chip import apdu as chip_apdu
from simulators.chip import tlv as chip_tlv

S = TypeVar("S")
T = TypeVar("T")
Target = Callable[[bytes], bool]
PLACES = load_places()
NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
PICTURE_TYPES = (JPEG, JP2, PNG, WSQ)
MOST_PIXELS = 100_000
DEEPEST = 8


class NotTheSame(AssertionError):
    """What was read and written again is not what was read."""


def same(written: object, read: object) -> None:
    """Raises `NotTheSame` without the values."""
    if written != read:
        raise NotTheSame


def read_tlv(data: bytes) -> bool:
    """BER-TLV, every constructed object opened."""
    try:
        objects = tlv.decode_all(data)
    except tlv.TlvError:
        return False
    same(b"".join(tlv.encode(one.tag, one.value) for one in objects), data)
    for one in objects:
        if one.is_constructed and len(one.value) < len(data):
            read_tlv(one.value)
    return bool(objects)


def read_der(data: bytes) -> bool:
    """DER elements and all values that an element may be read as."""
    try:
        elements = der.parse_all(data)
    except der.DerError:
        return False
    same(b"".join(der.encode(element.tag, element.content) for element in elements), data)
    for element in elements:
        _read_values(element, 0)
    return bool(elements)


def _read_values(element: der.Element, depth: int) -> None:
    _again(der.read_integer, der.integer, element)
    _again(der.read_boolean, der.boolean, element)
    _again(der.read_oid, der.oid, element)
    _again(der.read_octet_string, der.octet_string, element)
    _again(der.read_bit_string, lambda value: der.bit_string(*value), element)
    _again(der.read_time, der.utc_time if element.tag == der.UTC_TIME else der.generalized_time, element)
    for read in (der.read_text, der.read_named_bits):
        try:
            read(element)
        except der.DerError:
            continue
    try:
        inside = der.children(element)
    except der.DerError:
        return
    for child in inside if depth < DEEPEST else ():
        _read_values(child, depth + 1)


def _again(read: Callable[[der.Element], T], write: Callable[[T], bytes], element: der.Element) -> None:
    try:
        value = read(element)
    except der.DerError:
        return
    same(write(value), element.whole)


def read_lds(data: bytes) -> bool:
    """The travel document's files."""
    found = _read_by_any((lds.parse_ef_com, lds.parse_dg2, lds.parse_dg3), data, CodecError)
    if (lines := _read(lds.parse_dg1, data, CodecError)) is not None:
        same(lds.build_dg1(lines), data)
    return found or lines is not None


def read_mrz(data: bytes) -> bool:
    """A machine readable zone of any number of lines."""
    return _read(parse_td1, data.decode("utf-8", "surrogateescape").split("\n"), MrzError) is not None


def read_directory(data: bytes) -> bool:
    """The eID application's directory files."""
    readers = (
        iso7816_15.parse_document_number,
        iso7816_15.parse_ef_od,
        iso7816_15.parse_ef_prkd,
        iso7816_15.parse_ef_cd,
    )
    return _read_by_any(readers, data, CodecError)


def read_answer_to_reset(data: bytes) -> bool:
    """An ATR."""
    return _read(parse_atr, data, AtrError) is not None


def read_public_key(data: bytes) -> bool:
    """A SubjectPublicKeyInfo with a curve's name or its parameters."""
    _read(ec_parameters.has_explicit_parameters, data, CodecError)
    if (read := _read(ec_parameters.read_public_key_info, data, CodecError)) is not None:
        ec_parameters.public_key_info(*read, explicit=False)
    return read is not None


def read_image(data: bytes) -> bool:
    """A stored chip image."""
    if (image := _read(image_from_bytes, data, ImageRefused)) is not None:
        same(image_to_bytes(image), data)
    return image is not None


def read_certificates(data: bytes) -> bool:
    """A certificate, or its to-be-signed octets."""
    whole = _read(read_certificate, data, CertificateRefused)
    body = whole.body if whole is not None else _read(read_tbs, data, CertificateRefused)
    if body is not None:
        _read(lambda one: one.public_key(), body, CertificateRefused)
        _read(lambda one: one.key_identifier(), body, CodecError)
    return body is not None


def read_security_objects(data: bytes) -> bool:
    """EF.SOD, what is signed in it, and its time."""
    return _read_by_any((read_ef_sod, read_security_object, read_signing_time), data, der.DerError)


def read_ipp(data: bytes) -> bool:
    """A printer's answer; what is read can be written, and is then read as the same."""
    if (message := _read(ipp_decode.decode, data, ipp.IppError)) is not None:
        same(ipp_decode.decode(ipp.encode(message)), message)
    return message is not None


def read_source(data: bytes) -> bool:
    """Pages of a document information system."""
    page = _read(lambda octets: page_of(octets, None), data, SourceError)
    cancelled = _read(lambda octets: cancellations_of(octets, None), data, SourceError)
    return page is not None or cancelled is not None


def read_record(data: bytes) -> bool:
    """A record as it comes off the wire."""
    try:
        value = loads(data)
    except JsonMalformed:
        return False
    checked = check_record(value, PLACES, now=NOW)
    if isinstance(checked, CheckedRecord):
        same(record_from_bytes(record_to_bytes(checked)), checked)
    elif not checked:
        raise NotTheSame
    return True


def read_pictures(data: bytes) -> bool:
    """A picture of each type."""
    return _read_by_any([_decoded_as(media_type) for media_type in PICTURE_TYPES], data, PictureError)


def _decoded_as(media_type: str) -> Callable[[bytes], PictureFacts]:
    return lambda data: decode(data, media_type, outline(data, media_type, maximum_pixels=MOST_PIXELS))


def read_key_letter(data: bytes) -> bool:
    """The chip maker's key letter."""
    if (letter := _read(KeyLetter.from_json, data, KeyLetterRefused)) is not None:
        same(set(letter.masters), set(CardFunction))
    return letter is not None


def read_protected_answer(data: bytes) -> bool:
    """An answer of a chip inside the secure channel; its status is the last two bytes."""
    session = Scp03Session(bytes(32), bytes(32), bytes(32), bytes(16), 0x33)
    session.wrap(CommandApdu(0x80, 0xCA, 0, 0x66, answer_bytes=256))
    status = int.from_bytes(data[-2:], "big")
    return _read(lambda octets: session.unwrap(0, octets, status), data[:-2], ChannelBroken) is not None


def read_command(data: bytes) -> bool:
    """The simulated chip's own readers: whatever a terminal sends, the answer is a status word."""
    command = _read(chip_apdu.parse, data, chip_apdu.StatusError)
    if command is not None:
        _read(chip_tlv.unique, command.data, chip_tlv.TlvError)
    return command is not None


def _read_by_any(readers: Sequence[Callable[[bytes], object]], data: bytes, promised: type[Exception]) -> bool:
    """All of them are tried."""
    return sum(_read(read, data, promised) is not None for read in readers) > 0


def _read(read: Callable[[S], T], data: S, promised: type[Exception]) -> T | None:
    try:
        return read(data)
    except promised:
        return None


TARGETS: dict[str, Target] = {
    "tlv": read_tlv,
    "der": read_der,
    "lds": read_lds,
    "mrz": read_mrz,
    "directory": read_directory,
    "atr": read_answer_to_reset,
    "public-key": read_public_key,
    "image": read_image,
    "certificate": read_certificates,
    "ef-sod": read_security_objects,
    "ipp": read_ipp,
    "source": read_source,
    "record": read_record,
    "picture": read_pictures,
    "key-letter": read_key_letter,
    "answer": read_protected_answer,
    "command": read_command,
}

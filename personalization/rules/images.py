"""Images: digest, type, full decoding; what a portrait and a fingerprint must be."""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from personalization.approved_record import Failure, Picture
from personalization.rules.pictures.decode import JP2, JPEG, WSQ, PictureFacts, decode, outline
from personalization.rules.pictures.errors import PictureDamaged, PictureTooLarge, WrongType
from personalization.rules.view import RecordView

PORTRAIT = "/images/portrait"
SIGNATURE = "/images/signature"
FINGERPRINTS = "/images/fingerprints"
PORTRAIT_WIDTH_PX = range(240, 1600 + 1)
PORTRAIT_HEIGHT_PX = range(320, 2100 + 1)
MAXIMUM_PORTRAIT_PIXELS = 1600 * 2100
MAXIMUM_PIXELS = 8_000_000
"""Of any other picture: more than a scan of a finger or a signature needs, little enough to decode at once."""
FINGERPRINT_DPI = 500


@dataclass(slots=True)
class RecordPictures:
    """The pictures that could be read, by pointer, and what was wrong with the others."""

    pictures: dict[str, Picture] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


def read_pictures(view: RecordView) -> RecordPictures:
    """Decode every picture of the record and judge it alone (how many fingerprints there are is another rule)."""
    read = RecordPictures()
    _read(read, view, PORTRAIT)
    _read(read, view, SIGNATURE)
    for index in range(view.count(FINGERPRINTS) or 0):
        _read(read, view, f"{FINGERPRINTS}/{index}/image")
    return read


def _read(read: RecordPictures, view: RecordView, pointer: str) -> None:
    media_type, sha256 = view.text(f"{pointer}/media_type"), view.text(f"{pointer}/sha256")
    if media_type is not None:
        read.failures += _type_failures(pointer, media_type)
    text = view.text(f"{pointer}/data")
    if text is None:
        return
    try:
        data = _from_base64(text)
    except ValueError:
        read.failures.append(
            Failure(f"{pointer}/data", "image-base64", "The image is not base64 as RFC 4648 section 4 has it.")
        )
        return
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        read.failures.append(
            Failure(f"{pointer}/sha256", "image-digest", "The digest is not the SHA-256 of the image's bytes.")
        )
    if media_type is None:
        return
    facts = _decode(read, pointer, data, media_type)
    if facts is not None and sha256 is not None:
        read.failures += _facts_failures(pointer, media_type, facts)
        read.pictures[pointer] = Picture(media_type, sha256, facts.width_px, facts.height_px, data)


def _from_base64(text: str) -> bytes:
    """Strictly: no line breaks, the padding complete, the unused bits zero. Raises `ValueError`."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as wrong:
        raise ValueError("not base64") from wrong
    if base64.b64encode(data).decode("ascii") != text:
        raise ValueError("not canonical base64")
    return data


def _decode(read: RecordPictures, pointer: str, data: bytes, media_type: str) -> PictureFacts | None:
    maximum = MAXIMUM_PORTRAIT_PIXELS if pointer == PORTRAIT else MAXIMUM_PIXELS
    try:
        return decode(data, media_type, outline(data, media_type, maximum_pixels=maximum))
    except WrongType:
        failure = Failure(f"{pointer}/media_type", "image-type", "The bytes of the image are not of the stated type.")
    except PictureTooLarge:
        rule, sentence = "image-size", f"The image declares more than {maximum} pixels and was not decoded."
        if pointer == PORTRAIT:
            rule, sentence = "portrait-size", _PORTRAIT_SIZE
        failure = Failure(f"{pointer}/data", rule, sentence)
    except PictureDamaged:
        failure = Failure(f"{pointer}/data", "image-decode", "The image does not decode in full; its data are damaged.")
    read.failures.append(failure)
    return None


_PORTRAIT_SIZE = (
    f"The portrait must be {PORTRAIT_WIDTH_PX[0]} to {PORTRAIT_WIDTH_PX[-1]} pixels wide and "
    f"{PORTRAIT_HEIGHT_PX[0]} to {PORTRAIT_HEIGHT_PX[-1]} pixels high."
)


def _type_failures(pointer: str, media_type: str) -> Iterator[Failure]:
    if pointer == PORTRAIT and media_type not in {JPEG, JP2}:
        yield Failure(f"{pointer}/media_type", "portrait-type", "A portrait must be JPEG or JPEG 2000.")
    if pointer == SIGNATURE and media_type == WSQ:
        yield Failure(
            f"{pointer}/media_type", "signature-type", "A signature must be PNG or JPEG; WSQ is for fingerprints."
        )
    if pointer.startswith(FINGERPRINTS) and media_type != WSQ:
        yield Failure(f"{pointer}/media_type", "fingerprint-type", "A fingerprint must be WSQ.")


def _facts_failures(pointer: str, media_type: str, facts: PictureFacts) -> Iterator[Failure]:
    if pointer == PORTRAIT:
        if facts.width_px not in PORTRAIT_WIDTH_PX or facts.height_px not in PORTRAIT_HEIGHT_PX:
            yield Failure(f"{pointer}/data", "portrait-size", _PORTRAIT_SIZE)
        if facts.orientation != 1 or facts.height_px <= facts.width_px:
            yield Failure(
                f"{pointer}/data",
                "portrait-upright",
                "The portrait must be upright: higher than wide, and with no EXIF orientation that turns it.",
            )
        # ISO/IEC 19794-5 §7.3: full colour or grey of 8 bits; nothing that a reader of the chip would have to convert.
        if facts.mode not in {"L", "RGB"}:
            yield Failure(f"{pointer}/data", "portrait-colour", "The portrait must be grey or RGB of 8 bits a channel.")
    elif pointer.startswith(FINGERPRINTS) and media_type == WSQ and facts.resolution_dpi != FINGERPRINT_DPI:
        yield Failure(
            f"{pointer}/data",
            "fingerprint-resolution",
            f"A fingerprint must be of {FINGERPRINT_DPI} dpi and say so in its NISTCOM comment (PPI).",
        )

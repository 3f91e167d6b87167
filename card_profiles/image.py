"""The chip image: every file of one card, whole, in the order of writing; and its stored form.

Keys and PINs are not in it: they exist only for the chip they are meant for.
"""

from collections.abc import Mapping
from functools import lru_cache

from card_profiles.codecs import iso7816_15 as directory
from card_profiles.codecs import tlv
from card_profiles.codecs.errors import CodecError
from card_profiles.codecs.lds import build_ef_com, parse_dg1
from card_profiles.codecs.mrz import parse_td1
from card_profiles.data_groups import data_group_numbers
from card_profiles.errors import ImageRefused
from card_profiles.model import (
    ApplicationSpec,
    CardProfile,
    ChipImage,
    Function,
    ImageApplication,
    ImageFile,
    ImageKey,
    KeyOrigin,
    KeySpec,
    ProfileId,
)

_VERSION = b"\x01"
_IMAGE, _APPLICATION, _FILE, _KEY = 0xE0, 0xE1, 0xE2, 0xE3
_FORMAT, _FIRST, _SECOND, _THIRD, _FOURTH = 0xC0, 0xC1, 0xC2, 0xC3, 0xC4
_SIGNATURE_SLOT = "sign"


def build_chip_image(
    profile: CardProfile,
    *,
    document_number: str,
    data_groups: Mapping[int, bytes],
    ef_sod: bytes,
    certificates: Mapping[str, bytes],
) -> ChipImage:
    """What is written on one chip.

    `data_groups`: number -> whole file, those of the profile; `certificates`: key slot -> DER, all slots or none.
    Without certificates there are no keys, and applications that exist for a key stay empty and are left out.
    Raises `ImageRefused`.
    """
    slots = {key.slot for key in profile.keys}
    if certificates and certificates.keys() != slots:
        raise ImageRefused(f"certificates are given for all of {', '.join(sorted(slots))}, or for none")
    if data_groups.keys() != set(data_group_numbers(profile)):
        raise ImageRefused("the data groups are not those of the profile")
    _check_number(document_number, data_groups)
    keys = profile.keys if certificates else ()
    contents = {
        "EF.DocumentNumber": _document_number(document_number),
        "EF.COM": build_ef_com(data_groups),
        "EF.SOD": ef_sod,
        **{f"DG{number}": content for number, content in data_groups.items()},
    }
    for position, key in enumerate(keys, 1):
        contents |= _key_contents(profile, key, position, certificates[key.slot])
    key_applications = {key.application for key in profile.keys}
    return ChipImage(
        profile_id=profile.id,
        document_number=document_number,
        applications=tuple(
            _application(spec, contents)
            for spec in profile.applications
            if certificates or spec.name not in key_applications
        ),
        keys=tuple(ImageKey(key.slot, key.reference, key.curve) for key in keys),
    )


def image_to_bytes(image: ChipImage) -> bytes:
    """The stored form: BER-TLV of private tags, format version 1; the same image gives the same bytes."""
    return tlv.encode(
        _IMAGE,
        tlv.encode(_FORMAT, _VERSION)
        + _text(_FIRST, image.profile_id)
        + _text(_SECOND, image.document_number)
        + b"".join(_encode_application(application) for application in image.applications)
        + b"".join(_encode_key(key) for key in image.keys),
    )


def image_from_bytes(data: bytes) -> ChipImage:
    """The image that was stored. Raises `ImageRefused` for anything but what `image_to_bytes` wrote."""
    try:
        whole = tlv.decode(data, _IMAGE)
        if whole.child(_FORMAT).value != _VERSION:
            raise ImageRefused("the stored chip image has a format of another version")
        image = ChipImage(
            profile_id=ProfileId(_read_text(whole, _FIRST)),
            document_number=_read_text(whole, _SECOND),
            applications=tuple(_decode_application(one) for one in whole.children() if one.tag == _APPLICATION),
            keys=tuple(_decode_key(one) for one in whole.children() if one.tag == _KEY),
        )
    except (CodecError, UnicodeDecodeError):
        raise ImageRefused("the stored bytes are not a chip image") from None
    if image_to_bytes(image) != data:
        raise ImageRefused("the stored bytes hold more than a chip image")
    return image


def _check_number(document_number: str, data_groups: Mapping[int, bytes]) -> None:
    """The number in DG1 is the number of the card: two holders' files must never meet."""
    try:
        in_zone = parse_td1(parse_dg1(data_groups[1])).document_number
    except CodecError as error:
        raise ImageRefused(f"DG1: {error}") from None
    if in_zone != document_number:
        raise ImageRefused("DG1 holds another document number")


def _document_number(document_number: str) -> bytes:
    try:
        return directory.build_document_number(document_number)
    except CodecError as error:
        raise ImageRefused(str(error)) from None


def _key_contents(profile: CardProfile, key: KeySpec, position: int, certificate: bytes) -> dict[str, bytes]:
    """Directory files and certificate of one key; key, certificate and PIN share their position as identifier."""
    fids = {file.name: file.fid for one in profile.applications if one.name == key.application for file in one.files}
    names = f"{key.slot}.EF.OD", f"{key.slot}.EF.PrKD", f"{key.slot}.EF.CD"
    standing = _directory_files(key, position, fids[names[1]], fids[names[2]], fids[key.certificate_file])
    return {**dict(zip(names, standing, strict=True)), key.certificate_file: certificate}


@lru_cache(maxsize=64)
def _directory_files(
    key: KeySpec, position: int, private_keys_fid: int, certificates_fid: int, certificate_fid: int
) -> tuple[bytes, bytes, bytes]:
    """EF.OD, EF.PrKD and EF.CD: the same on every card of a profile."""
    for_signature = key.slot == _SIGNATURE_SLOT
    label = "Signature" if for_signature else "Authentication"
    entry = directory.KeyEntry(
        label=label,
        identifier=position,
        pin_identifier=position,
        reference=key.reference,
        for_signature=for_signature,
        made_on_chip=key.origin is KeyOrigin.CHIP,
    )
    return (
        directory.build_ef_od(private_keys_fid, certificates_fid),
        directory.build_ef_prkd(entry),
        directory.build_ef_cd(label, position, certificate_fid),
    )


def _application(spec: ApplicationSpec, contents: Mapping[str, bytes]) -> ImageApplication:
    empty = [file.name for file in spec.files if not contents.get(file.name)]
    if empty:
        raise ImageRefused(f"nothing to write in {', '.join(empty)}")
    files = (ImageFile(file.name, file.fid, file.written_by, contents[file.name]) for file in spec.files)
    return ImageApplication(spec.name, spec.aid, tuple(files))


def _text(tag: int, text: str) -> bytes:
    return tlv.encode(tag, text.encode("utf-8"))


def _read_text(parent: tlv.Tlv, tag: int) -> str:
    return parent.child(tag).value.decode("utf-8")


def _encode_application(application: ImageApplication) -> bytes:
    files = b"".join(_encode_file(file) for file in application.files)
    return tlv.encode(_APPLICATION, _text(_FIRST, application.name) + tlv.encode(_SECOND, application.aid) + files)


def _decode_application(data: tlv.Tlv) -> ImageApplication:
    files = tuple(_decode_file(one) for one in data.children() if one.tag == _FILE)
    return ImageApplication(_read_text(data, _FIRST), data.child(_SECOND).value, files)


def _encode_file(file: ImageFile) -> bytes:
    return tlv.encode(_FILE, _file_head(file.name, file.fid, file.written_by) + tlv.encode(_FOURTH, file.content))


@lru_cache(maxsize=256)
def _file_head(name: str, fid: int, written_by: str) -> bytes:
    return _text(_FIRST, name) + tlv.encode(_SECOND, fid.to_bytes(2, "big")) + _text(_THIRD, written_by)


def _decode_file(data: tlv.Tlv) -> ImageFile:
    writer = _read_text(data, _THIRD)
    if writer not in set(Function):
        raise ImageRefused("the stored chip image names an unknown function")
    fid = _read_number(data, _SECOND, 2)
    return ImageFile(_read_text(data, _FIRST), fid, Function(writer), data.child(_FOURTH).value)


def _encode_key(key: ImageKey) -> bytes:
    return tlv.encode(
        _KEY, _text(_FIRST, key.slot) + tlv.encode(_SECOND, bytes([key.reference])) + _text(_THIRD, key.curve)
    )


def _decode_key(data: tlv.Tlv) -> ImageKey:
    return ImageKey(_read_text(data, _FIRST), _read_number(data, _SECOND, 1), _read_text(data, _THIRD))


def _read_number(parent: tlv.Tlv, tag: int, octets: int) -> int:
    value = parent.child(tag).value
    if len(value) != octets:
        raise ImageRefused("a number in the stored chip image has a wrong length")
    return int.from_bytes(value, "big")

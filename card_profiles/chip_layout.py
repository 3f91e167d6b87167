"""Chip layouts: how one type of chip is talked to, and which applications, files, keys and PINs it carries."""

import re
from dataclasses import dataclass

from card_profiles.codecs.atr import AtrError, parse_atr
from card_profiles.model import Access, ApplicationSpec, ChipSpec, FileSpec, Function
from card_profiles.released import Kind, read_released
from card_profiles.table import Table

_NAME = r"[A-Za-z0-9.-]+"
_DIVERSIFICATIONS = r"CBC-DATA-1"
DIRECTORY_FILES = ("EF.OD", "EF.PrKD", "EF.CD")
"""Directory files of an application with a key, in the profile written `slot.EF.OD` and so on."""

_FIXED_CONTENTS = frozenset({"EF.DocumentNumber", "EF.COM", "EF.SOD"})
_DATA_GROUP = re.compile(r"DG([1-9]|1[0-6])")
_CERTIFICATE_FIDS = range(0x3400, 0x3500)
_DOCUMENT_NUMBER_FID = 0xD003


@dataclass(frozen=True, slots=True)
class KeySlot:
    """Where a key pair of the holder stands on the chip."""

    slot: str
    application: str
    reference: int
    certificate_file: str


@dataclass(frozen=True, slots=True)
class PinSlot:
    """A PIN or PUK object of the chip."""

    name: str
    reference: int
    minimum_digits: int
    maximum_digits: int
    maximum_tries: int


@dataclass(frozen=True, slots=True)
class ChipLayout:
    """One released chip layout, checked whole."""

    chip: ChipSpec
    applications: tuple[ApplicationSpec, ...]
    keys: tuple[KeySlot, ...]
    pins: tuple[PinSlot, ...]


def load_chip_layout(identifier: str) -> ChipLayout:
    """The released layout `name@version`. Raises `UnknownProfile` or `ProfileRefused`."""
    return read_chip_layout(Table(read_released(Kind.CHIP, identifier), f"chip layout {identifier}"))


def read_chip_layout(table: Table) -> ChipLayout:
    """Checks a layout as written. Raises `ProfileRefused`."""
    chip = _read_chip(table)
    applications = tuple(_read_application(inner) for inner in table.tables("applications"))
    keys = tuple(_read_key(inner) for inner in table.tables("keys"))
    pins = tuple(_read_pin(inner) for inner in table.tables("pins"))
    table.finish()
    _check_applications(table, applications)
    _check_keys(table, keys, applications)
    _check_contents(table, keys, applications)
    _check_different(table, "PIN name", [pin.name for pin in pins])
    _check_different(table, "PIN reference", [pin.reference for pin in pins])
    if chip.pin_application not in {application.name for application in applications}:
        raise table.refuse("pin_application is no application")
    return ChipLayout(chip, applications, keys, pins)


def _read_chip(table: Table) -> ChipSpec:
    with table.table("contact") as contact, table.table("channel") as channel, table.table("objects") as objects:
        with channel.table("key_versions") as versions:
            key_versions = {function: versions.number(function, 1, 0x7F) for function in Function}
        with objects.table("key_algorithms") as algorithms:
            key_algorithms = {curve: algorithms.number(curve, 0, 0xFF) for curve in algorithms.remaining()}
        return ChipSpec(
            atr=_read_atr(contact),
            card_manager_aid=contact.octets("card_manager_aid", 5, 16),
            diversification=channel.text("diversification", _DIVERSIFICATIONS),
            key_versions=key_versions,
            security_level=_read_security_level(channel),
            maximum_command_data_bytes=contact.number("maximum_command_data_bytes", 255, 65535),
            pin_application=objects.text("pin_application", _NAME),
            pin_dgi=objects.number("pin_dgi", 0x8000, 0xFF00),
            key_dgi=objects.number("key_dgi", 0x8000, 0xFF00),
            key_algorithms=key_algorithms,
        )


def _read_atr(contact: Table) -> bytes:
    atr = contact.octets("atr", 2, 33)
    try:
        parse_atr(atr)
    except AtrError as error:
        raise contact.refuse(f"atr: {error}") from None
    return atr


def _read_security_level(channel: Table) -> int:
    level = channel.number("security_level", 0, 0xFF)
    if level not in (0x03, 0x13, 0x33):  # Amendment D table 7-4, without those that send in clear
        raise channel.refuse("security_level is none of 0x03, 0x13, 0x33")
    return level


def _read_application(table: Table) -> ApplicationSpec:
    return ApplicationSpec(
        name=table.text("name", _NAME),
        aid=table.octets("aid", 5, 16),  # ISO/IEC 7816-4 §12.2.3
        access=table.choice("access", Access),
        files=tuple(_read_file(inner) for inner in table.tables("files")),
    )


def _read_file(table: Table) -> FileSpec:
    file = FileSpec(
        table.text("name", _NAME), table.number("fid", 0x0001, 0xFFFE), table.choice("written_by", Function)
    )
    if file.fid > 0x7FFF and file.fid != _DOCUMENT_NUMBER_FID:  # data sheet §3, §4
        raise table.refuse("fid is neither from 0001 to 7FFF nor D003")
    writer = Function.CERT if file.fid in _CERTIFICATE_FIDS else Function.PERSO  # data sheet §2
    if file.written_by is not writer:
        raise table.refuse(f"a file with this fid is written by {writer}")
    return file


def _read_key(table: Table) -> KeySlot:
    return KeySlot(
        table.text("slot", _NAME),
        table.text("application", _NAME),
        table.number("reference", 1, 0xFF),
        table.text("certificate_file", _NAME),
    )


def _read_pin(table: Table) -> PinSlot:
    return PinSlot(
        name=table.text("name", _NAME),
        reference=table.number("reference", 1, 0xFF),
        minimum_digits=table.number("minimum_digits", 4, 12),
        maximum_digits=table.number("maximum_digits", 4, 12),
        maximum_tries=table.number("maximum_tries", 1, 15),
    )


def _check_applications(table: Table, applications: tuple[ApplicationSpec, ...]) -> None:
    _check_different(table, "application", [application.name for application in applications])
    _check_different(table, "AID", [application.aid for application in applications])
    _check_different(table, "file", [file.name for application in applications for file in application.files])
    for application in applications:
        _check_different(table, f"fid in {application.name}", [file.fid for file in application.files])


def _check_keys(table: Table, keys: tuple[KeySlot, ...], applications: tuple[ApplicationSpec, ...]) -> None:
    _check_different(table, "key slot", [key.slot for key in keys])
    _check_different(table, "key reference", [key.reference for key in keys])
    by_name = {application.name: application for application in applications}
    for key in keys:
        if key.application not in by_name:
            raise table.refuse(f"key slot {key.slot}: no application {key.application}")
        files = {file.name: file for file in by_name[key.application].files}
        if key.certificate_file not in files:
            raise table.refuse(f"key slot {key.slot}: no file {key.certificate_file} in {key.application}")
        if files[key.certificate_file].written_by is not Function.CERT:
            raise table.refuse(f"key slot {key.slot}: {key.certificate_file} is not written by CERT")


def _check_contents(table: Table, keys: tuple[KeySlot, ...], applications: tuple[ApplicationSpec, ...]) -> None:
    """Every file is one whose content this room knows how to make."""
    directory = {key.application: {f"{key.slot}.{name}" for name in DIRECTORY_FILES} for key in keys}
    certificates = {key.certificate_file for key in keys}
    for application in applications:
        for file in application.files:
            known = file.name in _FIXED_CONTENTS | certificates | directory.get(application.name, set())
            if not known and not _DATA_GROUP.fullmatch(file.name):
                raise table.refuse(f"nobody knows what to write in {file.name} of {application.name}")


def _check_different(table: Table, what: str, values: list[str] | list[int] | list[bytes]) -> None:
    if len(set(values)) != len(values):
        raise table.refuse(f"one {what} stands twice")

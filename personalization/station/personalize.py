"""What is sent to a chip to make a card of it, as plain commands: built from the chip image alone, nothing is sent.

Each function returns the commands of one session in the order in which they are played (data sheet §3).
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from card_profiles.model import CardProfile, ChipImage, ChipSpec, Function, ImageApplication, PinSpec, PinState
from personalization.station.apdu import CommandApdu
from personalization.station.dgi import DataGrouping, install_for_personalization, store_data, tlv
from personalization.station.scp03 import largest_plain_bytes

PIN_BLOCK_BYTES = 12
_PIN_STATES = {PinState.ACTIVE: 0x00, PinState.BLOCKED: 0x01}
_LOCKED = 0x0F


@dataclass(frozen=True, slots=True)
class PlainCommand:
    """A command before the channel wraps it, what it is for, and how many bytes of card content it carries."""

    apdu: CommandApdu
    purpose: str
    content_bytes: int = 0


def key_commands(profile: CardProfile, image: ChipImage, wrapped: Mapping[str, bytes]) -> tuple[PlainCommand, ...]:
    """KEY session: imports the private keys of the image.

    `wrapped`: slot -> PKCS#8 wrapped (RFC 5649) under the chip's KEY-DEK. Raises ValueError when a slot has none.
    """
    spec = profile.chip
    groupings = []
    for key in image.keys:
        if key.slot not in wrapped:
            raise ValueError(f"no wrapped private key for slot {key.slot}")
        blob = wrapped[key.slot]
        value = tlv(0x81, bytes((spec.key_algorithms[key.curve],))) + tlv(0x82, blob)
        groupings.append(DataGrouping(spec.key_dgi | key.reference, value, len(blob)))
    return _stored(spec, pin_and_key_aid(profile), groupings, "private keys")


def certificate_commands(profile: CardProfile, image: ChipImage) -> tuple[PlainCommand, ...]:
    """CERT session: writes the files that CERT writes, application by application."""
    commands: list[PlainCommand] = []
    for application in image.applications:
        commands += _files(profile.chip, application, Function.CERT)
    return tuple(commands)


def perso_commands(profile: CardProfile, image: ChipImage, *, locked: Set[bytes]) -> tuple[PlainCommand, ...]:
    """PERSO session: writes all other files, then locks the applications, the card last.

    `locked`: AIDs of applications that are locked already; they are left alone.
    """
    open_applications = [application for application in image.applications if application.aid not in locked]
    commands: list[PlainCommand] = []
    for application in open_applications:
        commands += _files(profile.chip, application, Function.PERSO)
    commands += [_lock_application(application) for application in open_applications]
    return (*commands, lock_card())


def pin_commands(
    profile: CardProfile, states: Mapping[str, PinState], values: Mapping[str, bytes] | None
) -> tuple[PlainCommand, ...]:
    """PIN session: the PIN objects named in `states` get that state and, where `values` has one, that value.

    A value is ASCII digits, with or without the padding to 12 bytes of FF. Raises ValueError for a name that the
    profile does not know and for a value that its rules do not permit; the message never tells the value.
    """
    known = {pin.name: pin for pin in profile.pins}
    unknown = (set(states) | set(values or {})) - set(known)
    if unknown or set(values or {}) - set(states):
        raise ValueError("a PIN that the profile does not know, or a value without a state")
    groupings = [_pin_object(profile.chip, known[name], states[name], (values or {}).get(name)) for name in states]
    return _stored(profile.chip, pin_and_key_aid(profile), groupings, "PIN objects")


def pin_and_key_aid(profile: CardProfile) -> bytes:
    """The AID that INSTALL names for PIN and key DGIs. Raises ValueError when the profile does not have it."""
    for application in profile.applications:
        if application.name == profile.chip.pin_application:
            return application.aid
    raise ValueError(f"the profile has no application {profile.chip.pin_application}")


def lock_card() -> PlainCommand:
    """SET STATUS of the card manager: the card is secured, PERSO is dead for ever (GP §11.10)."""
    return PlainCommand(CommandApdu(0x80, 0xF0, 0x80, _LOCKED), "lock the card")


def _lock_application(application: ImageApplication) -> PlainCommand:
    # GP §11.10.2: P1 = 40 names an application in the data field, P2 its new state.
    apdu = CommandApdu(0x80, 0xF0, 0x40, _LOCKED, application.aid)
    return PlainCommand(apdu, f"lock application {application.name}")


def _files(spec: ChipSpec, application: ImageApplication, writer: Function) -> tuple[PlainCommand, ...]:
    groupings = [
        DataGrouping(file.fid, file.content, len(file.content))
        for file in application.files
        if file.written_by is writer
    ]
    return _stored(spec, application.aid, groupings, f"files of {application.name}")


def _pin_object(spec: ChipSpec, pin: PinSpec, state: PinState, value: bytes | None) -> DataGrouping:
    tries = tlv(0x81, bytes((pin.maximum_tries,)))
    digits = tlv(0x82, bytes((pin.minimum_digits,)))
    block = b"" if value is None else tlv(0x83, _pin_block(pin, value))
    content = PIN_BLOCK_BYTES if block else 0
    return DataGrouping(
        spec.pin_dgi | pin.reference, tries + digits + block + tlv(0x84, bytes((_PIN_STATES[state],))), content
    )


def _pin_block(pin: PinSpec, value: bytes) -> bytes:
    digits = value.rstrip(b"\xff")
    if not digits.isdigit() or not pin.minimum_digits <= len(digits) <= min(pin.maximum_digits, PIN_BLOCK_BYTES):
        raise ValueError(f"the value for {pin.name} does not fit the rules of its profile")
    return digits.ljust(PIN_BLOCK_BYTES, b"\xff")


def _stored(spec: ChipSpec, aid: bytes, groupings: Sequence[DataGrouping], what: str) -> tuple[PlainCommand, ...]:
    if not groupings:
        return ()
    block_bytes = largest_plain_bytes(spec.security_level, spec.maximum_command_data_bytes)
    blocks = list(store_data(groupings, block_bytes))
    # The content is told with the last block: a DGI may cross blocks, and only a whole stream is content.
    content = [0] * (len(blocks) - 1) + [sum(grouping.content_bytes for grouping in groupings)]
    stores = [PlainCommand(block, f"store {what}", size) for block, size in zip(blocks, content, strict=True)]
    return (PlainCommand(install_for_personalization(aid), f"choose the application of {what}"), *stores)

"""Encoding: a certified job's chip image becomes the contents of the chip that the job is bound to."""

from collections.abc import Mapping
from dataclasses import dataclass

from card_profiles.model import CardProfile, ChipImage, Function, PinState
from hsm.ports import ChipKeys
from personalization.station.contact import Contact
from personalization.station.errors import WrongChip
from personalization.station.personalize import certificate_commands, key_commands, perso_commands, pin_commands
from personalization.station.ports import Terminal
from personalization.station.session import ChipSessions, HostChallenge, Traffic


@dataclass(frozen=True, slots=True)
class EncodeReport:
    """What encoding cost: bytes of content (files, wrapped keys), bytes on the line both ways, exchanges."""

    content_bytes: int
    line_bytes: int
    exchanges: int


def encode_card(
    terminal: Terminal,
    chip_keys: ChipKeys,
    *,
    profile: CardProfile,
    image: ChipImage,
    contact: Contact,
    chip_keys_blobs: Mapping[str, bytes],
    host_challenge: HostChallenge,
    script_prefix: str,
    fence: int,
) -> EncodeReport:
    """Writes keys, certificates and files, locks the applications and last of all the card.

    A torn encoding is run again from the start: the chip replaces what is there until it is locked. What `contact`
    (read just before) says is locked is left alone; on a secured card nothing is left to do and the report is zero.
    `chip_keys_blobs`: slot -> private key wrapped under the storage key; it is wrapped anew for this chip in the HSM.

    Raises `WrongChip` before anything is sent, `ChannelBroken`, `ChipRefused`, `StationUnavailable`, and the errors
    of the HSM.
    """
    check_chip(profile, image, contact)
    kdd = contact.kdd
    if contact.secured:
        return EncodeReport(0, 0, 0)
    sessions = ChipSessions(terminal, chip_keys, profile.chip, kdd, host_challenge, script_prefix, fence)
    slots = [key.slot for key in image.keys if key.slot in chip_keys_blobs]
    # Wrapped for the chip only now: the blob under the chip's own key lives no longer than this call.
    wrapped = {slot: chip_keys.rewrap_for_chip(kdd, chip_keys_blobs[slot]) for slot in slots}
    plan = {
        Function.KEY: key_commands(profile, image, wrapped),
        Function.CERT: certificate_commands(profile, image),
        Function.PERSO: perso_commands(profile, image, locked=contact.locked_applications()),
    }
    traffic = Traffic(0, 0, 0)
    for function, commands in plan.items():
        if commands:
            traffic += sessions.run(function, commands, select=traffic.exchanges == 0)
    return EncodeReport(traffic.content_bytes, traffic.line_bytes, traffic.exchanges)


def check_chip(profile: CardProfile, image: ChipImage, contact: Contact) -> None:
    """That image, profile and chip belong together. Raises `WrongChip`.

    1. The image was built with this profile. 2. The chip has the ATR that the profile names.
    """
    if image.profile_id != profile.id:
        raise WrongChip("the chip image was built with another card profile")
    if contact.atr != profile.chip.atr:
        raise WrongChip("the chip's ATR is not the one that the card profile names")


def set_pins(
    terminal: Terminal,
    chip_keys: ChipKeys,
    *,
    profile: CardProfile,
    kdd: bytes,
    states: Mapping[str, PinState],
    values: Mapping[str, bytes] | None,
    host_challenge: HostChallenge,
    script_prefix: str,
    fence: int,
) -> Traffic:
    """Sets the PIN objects named in `states` to that state and, where `values` has one, to that value; tries are full.

    Works for the life of the card, also on a finished one. `values`: name -> ASCII digits, padding with FF allowed;
    None changes states alone. Raises ValueError for what the profile does not permit, and the errors of `encode_card`.
    """
    sessions = ChipSessions(terminal, chip_keys, profile.chip, kdd, host_challenge, script_prefix, fence)
    return sessions.run(Function.PIN, pin_commands(profile, states, values))

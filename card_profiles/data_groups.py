"""The data groups of a card: what the chip's travel application says of the holder."""

import re

from card_profiles.codecs.biometrics import BiometricsError, build_dg2, build_dg3
from card_profiles.codecs.errors import CodecError
from card_profiles.codecs.lds import build_dg1
from card_profiles.codecs.mrz import td1
from card_profiles.errors import HolderRefused, ProfileRefused
from card_profiles.model import CardHolder, CardProfile


def build_data_groups(profile: CardProfile, holder: CardHolder, *, filler: bytes) -> dict[int, bytes]:
    """Number -> whole file, for every data group the profile has a file for.

    `filler` is random bytes (53 are asked for; 8 at least) that make the hash of DG3 unguessable when the holder has
    no fingerprints on the card. Raises `HolderRefused` (also when the portrait is larger than the profile allows:
    making it smaller is the caller's business).
    """
    if len(holder.portrait.data) > profile.portrait_maximum_bytes:
        raise HolderRefused(f"portrait: more than {profile.portrait_maximum_bytes} bytes")
    return {number: _build(number, profile, holder, filler) for number in data_group_numbers(profile)}


def data_group_numbers(profile: CardProfile) -> tuple[int, ...]:
    """Numbers of the data groups the profile has files for, in the order of writing."""
    names = [file.name for application in profile.applications for file in application.files]
    return tuple(int(match[1]) for name in names if (match := re.fullmatch(r"DG([0-9]+)", name)))


def _build(number: int, profile: CardProfile, holder: CardHolder, filler: bytes) -> bytes:
    try:
        if number == 1:
            return build_dg1(td1(profile.mrz, holder))
        if number == 2:
            return build_dg2(holder.portrait)
        if number == 3:
            return build_dg3(holder.fingerprints, filler)
    except BiometricsError as error:
        raise HolderRefused(f"DG{number}: {error}") from None
    except CodecError as error:
        raise HolderRefused(str(error)) from None
    raise ProfileRefused(f"card profile {profile.id}: DG{number} is not made by this version of the software")

"""Errors of this room; codecs have their own in `card_profiles.codecs`."""


class CardProfileError(ValueError):
    """What this room was given cannot become what was asked for."""


class UnknownProfile(CardProfileError):
    """No published profile has this id."""


class ProfileRefused(CardProfileError):
    """A released file is not what a profile, chip layout or art file must be; the message says where and why."""


class HolderRefused(CardProfileError):
    """What is known of the holder does not fit the chip; the message names the field, never its value."""


class ImageRefused(CardProfileError):
    """A chip image would be incomplete, or its stored bytes are not a chip image."""

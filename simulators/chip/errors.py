"""What can go wrong with a simulated chip, seen from outside; a host sees status words (`apdu.StatusError`) alone."""


class ChipError(Exception):
    """Base of this room's errors."""


class NoChip(ChipError):
    """The directory holds no chip."""


class ChipDamaged(ChipError):
    """The chip's memory file holds something that no power cut leaves behind."""


class ChipInUse(ChipError):
    """Another process has this chip powered."""


class ChipUnpowered(ChipError):
    """An APDU was sent to a chip without power."""


class WireUnreachable(ChipError):
    """Nobody listens at the address of the reader."""


class MakerRefused(ChipError):
    """The chip maker cannot do what was ordered."""

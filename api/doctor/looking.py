"""What is looked at in a process of its own, where native libraries are loaded; this module itself loads none of them.

It is short so that such a process starts fast: whatever this module imports, the process imports.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hsm.inventory import Inventory
from hsm.ports import KeyLabel
from hsm.settings import TokenSettings


@dataclass(frozen=True, slots=True)
class PinWrong:
    """The token did not take the PIN."""

    sentence: str


def look_at_token(settings: TokenSettings, wanted: Sequence[KeyLabel]) -> Inventory | PinWrong:
    """What lies on the token. One try of the PIN. Raises `HsmUnavailable`."""
    from hsm.errors import PinRefused
    from hsm.pkcs11_inventory import take_inventory

    try:
        return take_inventory(settings, wanted)
    except PinRefused as error:
        return PinWrong(str(error))


def look_for_readers() -> tuple[str, ...]:
    """Names of the readers. Raises `StationUnavailable`."""
    from personalization.station.pcsc_readers import list_readers

    return list_readers()

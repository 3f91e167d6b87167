"""PIN and PUK objects: counters on disk, comparison, and the rules a value must meet."""

import hmac
from dataclasses import dataclass, replace

from simulators.chip import tlv
from simulators.chip.apdu import Status, StatusError
from simulators.chip.contents import Contents

PIN1, PUK, PIN2 = 0x01, 0x02, 0x85
REFERENCES = frozenset((PIN1, PUK, PIN2))
VALUE_BYTES = 12
_PADDING = b"\xff"
_ACTIVE, _BLOCKED = 0, 1
_WRONG_PIN = 0x63C0


@dataclass(frozen=True, slots=True, repr=False)
class Pin:
    """A PIN object; `value` is the padded value, empty while none was ever written; no tries left means blocked."""

    maximum_tries: int
    minimum_digits: int
    tries_left: int
    value: bytes

    def to_bytes(self) -> bytes:
        """The object as it is stored."""
        return bytes((self.maximum_tries, self.minimum_digits, self.tries_left)) + self.value

    @classmethod
    def from_bytes(cls, data: bytes) -> "Pin":
        """The object as it was stored."""
        return cls(data[0], data[1], data[2], data[3:])

    def check_value(self, value: bytes) -> None:
        """A value is digits, enough of them, padded with FF to 12 bytes. Raises `StatusError` 6A80."""
        digits = value.rstrip(_PADDING)
        if len(value) != VALUE_BYTES or len(digits) < self.minimum_digits or not digits.isdigit():
            raise StatusError(Status.WRONG_DATA)


def pin_cell(reference: int) -> str:
    """Name of the cell of a PIN object."""
    return f"pin.{reference:02X}"


def stored_pin(contents: Contents, reference: int) -> Pin:
    """Raises `StatusError` 6A88."""
    data = contents.cell(pin_cell(reference))
    if data is None:
        raise StatusError(Status.REFERENCE_NOT_FOUND)
    return Pin.from_bytes(data)


def compare(contents: Contents, reference: int, value: bytes) -> None:
    """Present a value. Raises `StatusError` 6983 blocked, 63Cx wrong.

    The try is taken away before the comparison, so that cutting the power after it gains nothing.
    """
    pin = stored_pin(contents, reference)
    if not pin.tries_left:
        raise StatusError(Status.BLOCKED)
    left = pin.tries_left - 1
    contents.write({pin_cell(reference): replace(pin, tries_left=left).to_bytes()})
    if not hmac.compare_digest(pin.value, value):
        raise StatusError(_WRONG_PIN | left)
    contents.write({pin_cell(reference): replace(pin, tries_left=pin.maximum_tries).to_bytes()})


def replace_value(contents: Contents, reference: int, value: bytes) -> None:
    """Set a new value and all tries. Raises `StatusError` 6A80, 6A88."""
    pin = stored_pin(contents, reference)
    pin.check_value(value)
    contents.write({pin_cell(reference): replace(pin, tries_left=pin.maximum_tries, value=value).to_bytes()})


def pin_from_dgi(value: bytes, before: bytes | None) -> Pin:
    """The PIN object a DGI C1rr makes of what was there before (data sheet §3). Raises `StatusError` 6A80."""
    fields = _pin_fields(value)
    old = Pin.from_bytes(before) if before is not None else None
    maximum = fields[0x81][0] if 0x81 in fields else old.maximum_tries if old else 0
    minimum = fields[0x82][0] if 0x82 in fields else old.minimum_digits if old else 0
    state = fields[0x84][0] if 0x84 in fields else _BLOCKED if old and not old.tries_left else _ACTIVE
    pin = Pin(maximum, minimum, 0 if state == _BLOCKED else maximum, fields.get(0x83, old.value if old else b""))
    if not 1 <= maximum <= 15 or not 4 <= minimum <= VALUE_BYTES or state not in {_ACTIVE, _BLOCKED}:
        raise StatusError(Status.WRONG_DATA)
    if pin.value or state == _ACTIVE:
        pin.check_value(pin.value)
    return pin


def _pin_fields(value: bytes) -> dict[int, bytes]:
    lengths = {0x81: 1, 0x82: 1, 0x83: VALUE_BYTES, 0x84: 1}
    try:
        fields = tlv.unique(value)
    except tlv.TlvError as error:
        raise StatusError(Status.WRONG_DATA) from error
    if any(lengths.get(tag) != len(field) for tag, field in fields.items()):
        raise StatusError(Status.WRONG_DATA)
    return fields

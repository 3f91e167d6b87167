"""The answer to reset (ISO/IEC 7816-3 §8.2)."""

from dataclasses import dataclass

from card_profiles.codecs.errors import CodecError


class AtrError(CodecError):
    """Not an answer to reset."""


@dataclass(frozen=True, slots=True)
class Atr:
    """Protocols offered (T=0, T=1, and 15 for global interface bytes), interface bytes by name, historical bytes."""

    protocols: tuple[int, ...]
    interface: dict[str, int]
    historical: bytes


def parse_atr(data: bytes) -> Atr:
    """Reads an ATR whole. Raises `AtrError` when it is cut off, too long, or TCK is missing or wrong."""
    if len(data) < 2 or data[0] not in (0x3B, 0x3F):  # §8.1: direct or inverse convention
        raise AtrError("an ATR begins with 3B or 3F and a format byte")
    # §8.2.2: the high nibble of T0 and of each TD says which of TA, TB, TC, TD follow
    present, historical_count = data[1] >> 4, data[1] & 0x0F
    interface: dict[str, int] = {}
    protocols: list[int] = []
    position, level = 2, 1
    while present:
        following = [name for bit, name in enumerate(("TA", "TB", "TC", "TD")) if present >> bit & 1]
        values = data[position : position + len(following)]
        if len(values) != len(following):
            raise AtrError("the ATR ends inside its interface bytes")
        interface |= {f"{name}{level}": value for name, value in zip(following, values, strict=True)}
        position += len(following)
        present = 0
        if "TD" in following:
            protocols.append(values[-1] & 0x0F)
            present = values[-1] >> 4
        level += 1
    historical = data[position : position + historical_count]
    _check_end(data[position + historical_count :], protocols, data)
    if len(historical) != historical_count:
        raise AtrError("the ATR ends inside its historical bytes")
    return Atr(tuple(protocols) or (0,), interface, historical)


def _check_end(rest: bytes, protocols: list[int], data: bytes) -> None:
    wants_tck = any(protocol != 0 for protocol in protocols)  # §8.2.5: absent when only T=0 is offered
    if len(rest) != int(wants_tck):
        raise AtrError("the ATR is longer or shorter than its format byte says")
    total = 0
    for octet in data[1:]:
        total ^= octet
    if wants_tck and total != 0:
        raise AtrError("the check byte TCK is wrong")

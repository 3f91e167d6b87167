"""JSON as RFC 8259 has it, read so that one bad record spoils itself alone and not the page it came in.

What `json` lets pass in silence is kept visible instead: a repeated member name as `RepeatedNames`, NaN and the
infinities as such floats, an integer of thousands of digits as an infinity. `personalization.records.check_record`
refuses each of them by pointer; a reader of anything else refuses them with `refuse_oddities`.
"""

import json
import math
from typing import Any

MAXIMUM_INTEGER_DIGITS = 300


class JsonMalformed(ValueError):
    """The bytes are not UTF-8 or not JSON. The message holds no part of them."""


class RepeatedNames(dict[str, Any]):
    """An object in which a member name stood twice; what it holds is not to be trusted (RFC 8259 §4)."""


def loads(data: bytes) -> object:
    """The value that `data` holds. Raises `JsonMalformed`."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_members, parse_int=_integer)
    except (ValueError, RecursionError):
        # The decoder's own message quotes nothing, but its attributes hold the whole document: do not chain it.
        raise JsonMalformed("the body is not JSON in UTF-8") from None


def refuse_oddities(value: object) -> None:
    """Raise `JsonMalformed` where a repeated name or a number without a value stands directly in `value`."""
    members = list(value.values()) if isinstance(value, dict) else [value]
    if isinstance(value, RepeatedNames) or any(isinstance(m, float) and not math.isfinite(m) for m in members):
        raise JsonMalformed("the body repeats a member name or holds a number without a value")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else RepeatedNames(members)


def _integer(text: str) -> int | float:
    # int() of unbounded digits takes time that grows with their square, and raises above 4300 of them.
    return int(text) if len(text) <= MAXIMUM_INTEGER_DIGITS else math.inf

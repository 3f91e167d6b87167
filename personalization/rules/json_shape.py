"""Before the schema: is this value JSON at all, and of a size that a record can have?

The wire lets more through than JSON's own grammar: lone surrogates in strings, NaN, repeated member names, nesting
and sheer number. Each place is reported, and stands as null in the copy that the schema and the rules then see.

A pointer is stored and shown, and a member name that the schema does not know may be anything, a holder's name too:
what stands below such a name is not reported by itself; the object is refused for the member.
"""

import math

from personalization.approved_record import Failure
from personalization.rules.schema import member_names
from personalization.rules.view import child_pointer
from personalization.strict_json import RepeatedNames

MAXIMUM_DEPTH = 12
MAXIMUM_VALUES = 10_000
MAXIMUM_POINTER_CHARACTERS = 200


class ShapeCheck:
    """One pass over a value: `failures` found, and `copy`, which holds only what JSON can hold."""

    def __init__(self, record: object) -> None:
        self.failures: list[Failure] = []
        self._values = 0
        self.copy = self._walk(record, "", 0)

    def _walk(self, value: object, pointer: str | None, depth: int) -> object:
        self._values += 1
        if self._values > MAXIMUM_VALUES:
            if self._values == MAXIMUM_VALUES + 1:
                self._refuse("", "json/size", f"A record holds at most {MAXIMUM_VALUES} values.")
            return None
        if isinstance(value, dict | list):
            if depth == MAXIMUM_DEPTH:
                return self._refuse(pointer, "json/depth", f"A record is nested at most {MAXIMUM_DEPTH} levels deep.")
            if isinstance(value, dict):
                return self._walk_object(value, pointer, depth)
            return [self._walk(item, _below(pointer, index), depth + 1) for index, item in enumerate(value)]
        return self._leaf(value, pointer)

    def _leaf(self, value: object, pointer: str | None) -> object:
        if isinstance(value, str) and not _is_text(value):
            return self._refuse(pointer, "json/text", "A text holds a lone surrogate.")
        if isinstance(value, float) and not math.isfinite(value):
            return self._refuse(pointer, "json/number", "A number has no finite value; JSON knows no NaN or Infinity.")
        if value is None or isinstance(value, str | bool | int | float):
            return value
        return self._refuse(pointer, "json/type", "The value is of no type that JSON has.")

    def _walk_object(self, value: dict[object, object], pointer: str | None, depth: int) -> object:
        if isinstance(value, RepeatedNames):
            self._refuse(pointer, "json/repeated-name", "An object names a member twice; each may stand once.")
        copy: dict[str, object] = {}
        for name, member in value.items():
            if not isinstance(name, str) or not _is_text(name):
                self._refuse(pointer, "json/name", "An object has a member whose name is not Unicode text.")
                continue
            copy[name] = self._walk(member, _below(pointer, name) if name in member_names() else None, depth + 1)
        return copy

    def _refuse(self, pointer: str | None, rule: str, message: str) -> object:
        """Note a failure; what stands in the value's place is null."""
        if pointer is not None:
            self.failures.append(Failure(pointer, rule, message))
        return None


def _below(pointer: str | None, token: str | int) -> str | None:
    """The pointer of a part; the whole's own where it would grow too long, None below a name that is not shown."""
    if pointer is None:
        return None
    below = child_pointer(pointer, token)
    return below if len(below) <= MAXIMUM_POINTER_CHARACTERS else pointer


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)

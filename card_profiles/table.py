"""Reads one TOML table key by key, and refuses by name what is missing, of the wrong type or not asked for."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, TypeVar

from card_profiles.errors import ProfileRefused

_Enum = TypeVar("_Enum", bound=StrEnum)


class Table:
    """One table of a released file; `where` names it in errors. Every getter takes its key out."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = dict(values)
        self.where = where

    def refuse(self, why: str) -> ProfileRefused:
        """The error to raise about this table."""
        return ProfileRefused(f"{self.where}: {why}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def remaining(self) -> tuple[str, ...]:
        """The keys not taken yet."""
        return tuple(self._values)

    def text(self, key: str, pattern: str = r".+") -> str:
        """A string that `pattern` matches whole."""
        value = self._take(key, str)
        if not re.fullmatch(pattern, value):
            raise self.refuse(f"{key} is not of the form {pattern}")
        return str(value)

    def choice(self, key: str, known: type[_Enum]) -> _Enum:
        """A member of an enumeration, written as its value."""
        value = self._take(key, str)
        try:
            return known(value)
        except ValueError:
            raise self.refuse(f"{key} is none of {', '.join(known)}") from None

    def number(self, key: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self._take(key, int)
        if isinstance(value, bool) or not low <= value <= high:
            raise self.refuse(f"{key} is not from {low} to {high}")
        return int(value)

    def real(self, key: str, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        value = self._take(key, (int, float))
        if isinstance(value, bool) or not low <= value <= high:
            raise self.refuse(f"{key} is not from {low} to {high}")
        return float(value)

    def flag(self, key: str) -> bool:
        """true or false."""
        return bool(self._take(key, bool))

    def octets(self, key: str, shortest: int, longest: int) -> bytes:
        """Bytes written in hexadecimal."""
        try:
            value = bytes.fromhex(self.text(key, r"[0-9A-F ]+"))
        except ValueError:
            raise self.refuse(f"{key} is not hexadecimal") from None
        if not shortest <= len(value) <= longest:
            raise self.refuse(f"{key} is not {shortest} to {longest} bytes long")
        return value

    def texts(self, key: str, pattern: str) -> tuple[str, ...]:
        """A list of different strings, each of the form `pattern`."""
        values = self._take(key, list)
        if not all(isinstance(value, str) and re.fullmatch(pattern, value) for value in values):
            raise self.refuse(f"{key} holds something that is not of the form {pattern}")
        if not values or len(set(values)) != len(values):
            raise self.refuse(f"{key} is empty or holds a value twice")
        return tuple(values)

    @contextmanager
    def table(self, key: str) -> Iterator["Table"]:
        """A table inside this one; leaving the block refuses what was not taken."""
        inner = Table(self._take(key, dict), f"{self.where}, {key}")
        yield inner
        inner.finish()

    def tables(self, key: str) -> Iterator["Table"]:
        """A list of tables; going on to the next refuses what was not taken."""
        values = self._take(key, list)
        for position, value in enumerate(values, 1):
            if not isinstance(value, dict):
                raise self.refuse(f"{key} holds something that is not a table")
            inner = Table(value, f"{self.where}, {key} {position}")
            yield inner
            inner.finish()

    def finish(self) -> None:
        """Refuse keys nobody asked for."""
        if self._values:
            raise self.refuse(f"unknown {', '.join(sorted(self._values))}")

    def _take(self, key: str, kind: type | tuple[type, ...]) -> Any:
        if key not in self._values:
            raise self.refuse(f"{key} is missing")
        value = self._values.pop(key)
        if not isinstance(value, kind):
            raise self.refuse(f"{key} is of the wrong type")
        return value

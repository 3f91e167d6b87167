"""Reading what people wrote in TOML: every key is asked for by name, and keys nobody asked for are refused by name."""

from collections.abc import Mapping

from pki.errors import PkiError


class Table:
    """One TOML table on the way to a checked type. `refuse` is the error raised, `where` the path said in it."""

    def __init__(self, values: Mapping[str, object], where: str, refuse: type[PkiError]) -> None:
        self._left = dict(values)
        self._where = where
        self._refuse = refuse

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def refused(self, message: str) -> PkiError:
        """The error to raise, with the table's place in front."""
        return self._refuse(f"{self._where}: {message}")

    def _take(self, key: str) -> object:
        try:
            return self._left.pop(key)
        except KeyError:
            raise self.refused(f"key '{key}' is missing") from None

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value = self._take(key)
        if not isinstance(value, str) or not value.strip():
            raise self.refused(f"key '{key}' is not a text")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._take(key)
        if not isinstance(value, bool):
            raise self.refused(f"key '{key}' is neither true nor false")
        return value

    def number(self, key: str) -> int:
        """An integer of zero or more."""
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.refused(f"key '{key}' is not a number of zero or more")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, none twice."""
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.refused(f"key '{key}' is not a list of texts")
        if len(set(value)) != len(value):
            raise self.refused(f"key '{key}' says something twice")
        return tuple(value)

    def table(self, key: str) -> "Table":
        """A table inside this one."""
        value = self._take(key)
        if not isinstance(value, dict):
            raise self.refused(f"key '{key}' is not a table")
        return Table(value, f"{self._where} [{key}]", self._refuse)

    def tables(self, key: str) -> "tuple[Table, ...]":
        """An array of tables."""
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.refused(f"key '{key}' is not a list of tables")
        return tuple(Table(item, f"{self._where} [{key} {i}]", self._refuse) for i, item in enumerate(value, 1))

    def finish(self) -> None:
        """Refuse whatever was written and not asked for."""
        if self._left:
            names = ", ".join(sorted(f"'{key}'" for key in self._left))
            raise self.refused(f"unknown key {names}")

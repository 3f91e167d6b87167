"""What a rule may look at: the parts of a record whose form is right.

So a record with a schema failure in one place and a broken rule in another is told of both, and no rule need ask
whether a value is there or of the right type.
"""

from collections.abc import Collection


def child_pointer(pointer: str, token: str | int) -> str:
    """The JSON pointer of a member or item of what stands at `pointer` (RFC 6901 §3)."""
    escaped = str(token).replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{escaped}"


class RecordView:
    """A record with the pointers of the values that failed the schema."""

    def __init__(self, record: object, failed: Collection[str]) -> None:
        self._record = record
        self._failed = failed

    def has(self, pointer: str) -> bool:
        """Whether a value (null included) stands there and its own form is right."""
        return self._find(pointer)[0]

    def has_failed(self, pointer: str) -> bool:
        """Whether what stands there is of a wrong form, which is then reported already."""
        return pointer in self._failed

    def value(self, pointer: str) -> object:
        """The value there; None where there is none, or null, or one of a wrong form."""
        return self._find(pointer)[1]

    def text(self, pointer: str) -> str | None:
        """The string there, or None."""
        value = self.value(pointer)
        return value if isinstance(value, str) else None

    def count(self, pointer: str) -> int | None:
        """How many items the list there has, or None."""
        value = self.value(pointer)
        return len(value) if isinstance(value, list) else None

    def _find(self, pointer: str) -> tuple[bool, object]:
        if "" in self._failed:
            return False, None
        value, walked = self._record, ""
        for token in pointer.split("/")[1:]:
            walked = f"{walked}/{token}"
            if walked in self._failed:
                return False, None
            if isinstance(value, dict) and token in value:
                value = value[token]
            elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
                value = value[int(token)]
            else:
                return False, None
        return True, value

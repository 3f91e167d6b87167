"""A checked record as bytes, for sealed storage: canonical JSON with the sizes that decoding found.

The same record gives the same bytes. Reading trusts them (they come out of a sealed body): no rule runs again.
"""

import base64
import json
from collections.abc import Callable
from datetime import date, datetime
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from personalization.approved_record import CheckedRecord

FORMAT = 1


def record_to_bytes(record: CheckedRecord) -> bytes:
    """Canonical JSON: UTF-8, members sorted, no spaces; bytes in base64, days and instants as ISO 8601."""
    body = {"format": FORMAT, "record": _to_plain(record)}
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def record_from_bytes(data: bytes) -> CheckedRecord:
    """The record that `record_to_bytes` wrote. Raises `ValueError` for another format."""
    body = json.loads(data)
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise ValueError("the bytes are no checked record of this format")
    read: CheckedRecord = _reader(CheckedRecord)(body["record"])
    return read


def _to_plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _to_plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, date):  # datetime is one too
        return value.isoformat()
    return value


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What turns a plain value into this kind; made once for every kind, for a record has some seventy members."""
    if get_origin(kind) in {Union, UnionType}:
        (choice,) = (choice for choice in get_args(kind) if choice is not type(None))
        read = _reader(choice)
        return lambda value: None if value is None else read(value)
    if get_origin(kind) is tuple:
        read = _reader(get_args(kind)[0])
        return lambda value: tuple(map(read, value))
    if hasattr(kind, "__dataclass_fields__"):
        members = tuple((name, _reader(hint)) for name, hint in get_type_hints(kind).items())
        return lambda value: kind(**{name: read(value[name]) for name, read in members})
    if kind is bytes:
        return base64.b64decode
    if kind in {date, datetime}:
        from_text: Callable[[Any], Any] = kind.fromisoformat
        return from_text
    return _as_it_is


def _as_it_is(value: Any) -> Any:
    return value

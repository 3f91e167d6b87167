"""A checked record as bytes, for sealed storage: canonical JSON with the sizes that decoding found.

The same record gives the same bytes. Reading trusts them (they come out of a sealed body): no rule runs again.
"""

import base64
import json
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
    read: CheckedRecord = _from_plain(CheckedRecord, body["record"])
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


_hints = cache(get_type_hints)


def _from_plain(kind: Any, value: Any) -> Any:
    if get_origin(kind) in {Union, UnionType}:
        (kind,) = (choice for choice in get_args(kind) if choice is not type(None))
        return None if value is None else _from_plain(kind, value)
    if get_origin(kind) is tuple:
        return tuple(_from_plain(get_args(kind)[0], item) for item in value)
    if hasattr(kind, "__dataclass_fields__"):
        return kind(**{name: _from_plain(hint, value[name]) for name, hint in _hints(kind).items()})
    if kind is bytes:
        return base64.b64decode(value)
    if kind in {date, datetime}:
        return kind.fromisoformat(value)
    return value

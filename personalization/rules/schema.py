"""The schema of approved records (`data/approved-record.schema.json`), with sentences of our own.

Draft 2020-12 with formats asserted. The validator's own messages are not used: they quote the instance.
"""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs

from personalization.approved_record import Failure
from personalization.rules.view import child_pointer

FAILS_THE_OBJECT_ONLY = frozenset({"schema/required", "schema/additionalProperties"})
"""Rules that say something of an object but nothing against its members that are there."""

_FORMATS = {
    "date": "a calendar date written YYYY-MM-DD",
    "date-time": "an instant in UTC as RFC 3339 writes it, for example 2026-01-31T09:30:00Z",
    "email": "an e-mail address",
}


@cache
def _schema() -> Any:
    text = resources.files("personalization.rules").joinpath("data/approved-record.schema.json").read_text("utf-8")
    return json.loads(text)


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(_schema(), validate_formats=True)


@cache
def member_names() -> frozenset[str]:
    """Every member name that the schema knows, wherever it may stand."""
    return frozenset(_member_names(_schema()))


def _member_names(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from part.get("properties", ())
        for inner in part.values():
            yield from _member_names(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _member_names(inner)


def schema_failures(record: object) -> Iterator[Failure]:
    """Every place where `record` (plain JSON types alone) is not of the schema's form."""
    for error in _validator().iter_errors(record):
        yield from _failures_of(error)


def _failures_of(error: jsonschema_rs.ValidationError) -> Iterator[Failure]:
    kind: Any = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.OneOfNotValid):
        branch = _meant_branch(error, kind.context)
        if branch is not None:
            for inner in branch:
                yield from _failures_of(inner)
            return
    pointer = ""
    for token in error.instance_path:
        pointer = child_pointer(pointer, token)
    yield Failure(pointer, f"schema/{kind.name}", _sentence(kind))


def _meant_branch(
    error: jsonschema_rs.ValidationError, branches: Iterable[list[jsonschema_rs.ValidationError]]
) -> list[jsonschema_rs.ValidationError] | None:
    """The one alternative whose type fits (`oneOf` is used for "an object or null"): its failures say more."""
    fitting = [
        branch
        for branch in branches
        if not any(e.kind.name == "type" and e.instance_path == error.instance_path for e in branch)
    ]
    return fitting[0] if len(fitting) == 1 else None


def _sentence(kind: Any) -> str:  # noqa: PLR0911 - one sentence per keyword
    """What is expected, from the schema's side alone."""
    values = kind.as_dict()
    match kind.name:
        case "required":
            return f"The member {values['property']} is missing and must be given."
        case "additionalProperties":
            return "The object has a member that its form does not know; only the members of the schema may be given."
        case "type":
            return f"The value is of the wrong type; expected: {_listed(values['types'])}."
        case "enum":
            return f"The value is none of the known ones; expected: {_listed(values['options'])}."
        case "pattern":
            return f"The text is not of the expected form {values['pattern']}."
        case "format":
            return f"The text is not {_FORMATS.get(values['format'], values['format'])}."
        case "minLength" | "maxLength":
            bound = "at least" if kind.name == "minLength" else "at most"
            return f"The text must have {bound} {values['limit']} characters."
        case "minimum" | "maximum":
            bound = "at least" if kind.name == "minimum" else "at most"
            return f"The number must be {bound} {values['limit']}."
        case "maxItems":
            return f"The list may have at most {values['limit']} items."
        case _:
            return "The value is of none of the forms that may stand here."


def _listed(names: Iterable[object]) -> str:
    return ", ".join("null" if name is None else str(name) for name in names)

"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How bad it is: a warning lets the shift begin, a failure does not."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence on one thing, and what to do about it (empty where nothing is to be done)."""

    check: str
    status: Status
    sentence: str
    what_to_do: str = ""


def ok(check: str, sentence: str) -> Finding:
    """All is well, and this is how it is."""
    return Finding(check, Status.OK, sentence)


def warning(check: str, sentence: str, what_to_do: str) -> Finding:
    """To be looked after, but not before the shift."""
    return Finding(check, Status.WARNING, sentence, what_to_do)


def failed(check: str, sentence: str, what_to_do: str) -> Finding:
    """Cards cannot or must not be made like this."""
    return Finding(check, Status.FAILED, sentence, what_to_do)


def not_applicable(check: str, sentence: str, what_to_do: str = "") -> Finding:
    """Nothing to look at here, or nothing to prove it by."""
    return Finding(check, Status.NOT_APPLICABLE, sentence, what_to_do)

"""What an inspection says: numbered steps, each with a verdict and a sentence that quotes no value of the record."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class InspectionFailed(Exception):
    """The card is not as it should be; the message is a sentence without card data."""


class NotApplicable(Exception):
    """There is nothing here to judge; the message says why."""


class Verdict(StrEnum):
    """What a step or a judge decided."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not-applicable"


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """`failed` if any failed, `ok` if at least one was ok, else `not-applicable`."""
    found = set(verdicts)
    return next((verdict for verdict in (Verdict.FAILED, Verdict.OK) if verdict in found), Verdict.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step, in the order in which it ran."""

    number: int
    name: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True, slots=True)
class CardSignature:
    """A signature that the card made: the digest that was signed (48 bytes) and the DER `ECDSA-Sig-Value`."""

    digest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """What one judge (`own`, `opensc`, `openssl`) says of one card.

    `signatures`: slot -> what the card signed for this judge; `duration`: how long the judge took.
    """

    judge: str
    steps: tuple[Step, ...]
    signatures: Mapping[str, CardSignature] = field(default_factory=dict)
    duration: timedelta = timedelta(0)

    @property
    def verdict(self) -> Verdict:
        """The verdicts of the steps together."""
        return together(step.verdict for step in self.steps)


Check = Callable[[], str]
"""Runs one step: returns the sentence of success, raises `InspectionFailed` or `NotApplicable`."""


def run_steps(checks: Sequence[tuple[str, Check]]) -> tuple[Step, ...]:
    """All steps, numbered from 1; a failed step does not keep the later ones from running."""
    return tuple(run_step(number, name, check) for number, (name, check) in enumerate(checks, start=1))


def run_step(number: int, name: str, check: Check) -> Step:
    """One step with its verdict."""
    try:
        return Step(number, name, Verdict.OK, check())
    except NotApplicable as reason:
        return Step(number, name, Verdict.NOT_APPLICABLE, str(reason))
    except InspectionFailed as reason:
        return Step(number, name, Verdict.FAILED, str(reason))


class Stopwatch:
    """Measures one judgement, from when it is made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def elapsed(self) -> timedelta:
        """Time since the start."""
        return timedelta(seconds=time.monotonic() - self._started)

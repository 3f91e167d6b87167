"""What one inspection found: all judges' reports over one card, and what was read from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from personalization.inspection.reading import CardFiles
from personalization.inspection.steps import JudgeReport, Verdict, together


@dataclass(frozen=True, slots=True)
class InspectionReport:
    """All judgements over one card, and what was read from it.

    `inspected_at` is aware; `chip_serial` 20 capital hex digits; `certificates`: slot -> DER as read.
    """

    job_id: str
    document_number: str
    chip_serial: str
    inspected_at: datetime
    judges: tuple[JudgeReport, ...]
    files: CardFiles = field(repr=False)
    certificates: Mapping[str, bytes] = field(repr=False)

    @property
    def verdict(self) -> Verdict:
        """The verdicts of the judges together."""
        return together(report.verdict for report in self.judges)

    def verdicts(self) -> dict[str, Verdict]:
        """Judge -> verdict; of a judge who sat twice, both together."""
        said: dict[str, list[Verdict]] = {}
        for report in self.judges:
            said.setdefault(report.judge, []).append(report.verdict)
        return {judge: together(verdicts) for judge, verdicts in said.items()}


def milliseconds(duration: timedelta) -> int:
    """Whole milliseconds."""
    return round(duration / timedelta(milliseconds=1))

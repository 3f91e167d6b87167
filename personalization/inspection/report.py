"""The report of one inspection, as JSON for machines and as a page for people. The engine seals what it returns."""

import json

from personalization.inspection.findings import InspectionReport, milliseconds
from personalization.inspection.report_page import report_to_html
from personalization.inspection.steps import JudgeReport

__all__ = ["InspectionReport", "report_to_html", "report_to_json"]

FORMAT = "eid-perso inspection 1"


def report_to_json(report: InspectionReport) -> bytes:
    """UTF-8 JSON: what the judges said; the card's signatures are hex, the files of the card are not in it."""
    told = {
        "format": FORMAT,
        "job": report.job_id,
        "document_number": report.document_number,
        "chip_serial": report.chip_serial,
        "inspected_at": report.inspected_at.isoformat(),
        "verdict": report.verdict,
        "judges": [_judge(judge) for judge in report.judges],
    }
    return json.dumps(told, ensure_ascii=False, indent=1).encode("utf-8")


def _judge(report: JudgeReport) -> dict[str, object]:
    return {
        "judge": report.judge,
        "verdict": report.verdict,
        "milliseconds": milliseconds(report.duration),
        "steps": [
            {"number": step.number, "name": step.name, "verdict": step.verdict, "sentence": step.sentence}
            for step in report.steps
        ],
        "signatures": {
            slot: {"digest": made.digest.hex(), "signature": made.signature.hex()}
            for slot, made in report.signatures.items()
        },
    }

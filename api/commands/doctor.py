"""`perso doctor`: what is missing or wrong at shift start, and what to do about each."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from api.commands.opened_state import add_state_options
from api.commands.terminal import console, plain, print_json
from api.doctor.examination import all_well, examine
from api.doctor.finding import Finding, Status
from api.doctor.patient import Patient
from api.state_directory import StateDirectory

STYLES = {
    Status.OK: "green",
    Status.WARNING: "yellow",
    Status.FAILED: "bold red",
    Status.NOT_APPLICABLE: "dim",
}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("doctor", help="what is missing or wrong at shift start, and what to do about it")
    add_state_options(parser)
    parser.add_argument("--pcsc-socket", type=Path, metavar="PATH", help="socket of pcscd (default: the system's)")
    parser.add_argument(
        "--reader", action="append", default=[], metavar="NAME", help="a reader that must be there; may be repeated"
    )
    parser.add_argument(
        "--printer", action="append", default=[], metavar="URI", help="a card printer to ask; may be repeated"
    )
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """0 only when nothing failed; warnings are to be looked after during the shift."""
    state = StateDirectory(options.state.resolve())
    patient = Patient(
        state=state,
        database_url=options.database or state.database_url,
        pcsc_socket=options.pcsc_socket,
        readers=tuple(options.reader),
        printers=tuple(options.printer),
    )
    findings = examine(patient)
    if options.json:
        print_json({"ok": all_well(findings), "findings": [_told(finding) for finding in findings]})
    else:
        _print(findings)
    return 0 if all_well(findings) else 1


def _told(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "status": finding.status.value,
        "sentence": finding.sentence,
        "advice": finding.what_to_do,
    }


def _print(findings: Sequence[Finding]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("check", "status", "what was found, and what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        found = plain(finding.sentence)
        if finding.what_to_do:
            found = Text.assemble(found, "\n", ("→ ", "bold"), plain(finding.what_to_do))
        table.add_row(plain(finding.check), Text(finding.status.value, style=STYLES[finding.status]), found)
    output = console()
    output.print(table)
    failures = sum(finding.status is Status.FAILED for finding in findings)
    warnings = sum(finding.status is Status.WARNING for finding in findings)
    output.print(plain(f"{failures} failed, {warnings} to be looked after" if failures or warnings else "all is well"))

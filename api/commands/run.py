"""`perso run`: the main job on a folder of record files."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from api import line
from api.commands.failure import CommandFailed
from api.progress import Progress as Counts
from api.run_report import RunReport, read_report
from api.simulated import SimulatorFailed
from api.state_directory import StateDirectory, StateInUse
from api.token import CeremonyFailed, TokenMissing
from personalization.errors import EngineError
from personalization.store.database import Database

DEFAULT_STATE = Path("state")
PIPED_COLUMNS = 160


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("run", help="make the cards of a folder of approved records", allow_abbrev=False)
    parser.add_argument("--records", type=Path, required=True, metavar="DIR", help="folder of record files (*.json)")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, metavar="DIR", help="the line's own state")
    parser.add_argument("--database", metavar="URL", help="SQLAlchemy URL (default: SQLite in the state directory)")
    parser.add_argument("--stations", type=_count, default=1, metavar="N", help="simulated stations (default 1)")
    parser.add_argument("--workers", type=_count, default=1, metavar="N", help="preparing workers (default 1)")
    parser.add_argument("--specimen", action="store_true", help="specimen cards: own CAs, marked, known PINs")
    parser.add_argument("--direct", action="store_true", help="reach the chips without PC/SC (proves less)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(command=command)


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 16:
        raise argparse.ArgumentTypeError("a number from 1 to 16")
    return number


def command(options: argparse.Namespace) -> int:
    """Make every card there is to make; 0 only if every accepted record with a profile ended verified."""
    if not options.records.is_dir():
        raise CommandFailed(f"--records: {options.records} is not a folder")
    state = StateDirectory(options.state.resolve())
    console = Console(stderr=True)
    settings = line.LineOptions(
        records=options.records.resolve(),
        state=state,
        database_url=options.database,
        stations=options.stations,
        workers=options.workers,
        specimen=options.specimen,
        direct=options.direct,
    )
    trouble: str | None = None
    try:
        state.create()
        with state.locked():
            line.prepare(settings, lambda sentence: console.print(sentence, highlight=False))
            result = _run_with_progress(settings, console)
            database = Database(result.database_url)
            try:
                rate = 3600 * result.verified_now / result.working_seconds if result.working_seconds else 0.0
                report = read_report(database, line.SOURCE, result.files, settings.records, rate)
            finally:
                database.close()
            trouble = result.trouble
    except (StateInUse, TokenMissing, CeremonyFailed, SimulatorFailed, EngineError, OSError) as error:
        raise CommandFailed(str(error)) from error
    if options.json:
        json.dump(report.to_json(), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        _print_tables(report, result, state, console)
    if trouble is not None:
        console.print(f"perso: {trouble}", highlight=False)
        return 1
    return 0 if report.all_verified else 1


def _run_with_progress(settings: line.LineOptions, console: Console) -> line.LineResult:
    with Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    ) as bars:
        received = bars.add_task("records", total=None, note="")
        verified = bars.add_task("cards", total=None, note="")

        def show(counts: Counts, files: int) -> None:
            bars.update(received, completed=counts.received, total=files, note=f"{counts.rejected} refused")
            bars.update(
                verified,
                completed=counts.verified,
                total=counts.verified + counts.waiting,
                note=f"{counts.preparing} preparing, {counts.at_stations} at stations, {counts.held} held",
            )

        return line.run(settings, _sayer(bars), show)


def _sayer(bars: Progress) -> Callable[[str], None]:
    return lambda sentence: bars.console.print(sentence, highlight=False)


def _print_tables(report: RunReport, result: line.LineResult, state: StateDirectory, console: Console) -> None:
    # Piped into a file there is no width to fit; a table cut to 80 columns would lose the serials.
    output = Console() if sys.stdout.isatty() else Console(width=PIPED_COLUMNS)
    cards = Table("record", "document number", "chip serial", "state", "own", "opensc", "openssl", "seconds")
    for card in report.cards:
        judges = card["judges"]
        cards.add_row(
            card["record_id"], card["document_number"], card["chip_serial"], card["state"],
            judges["own"], judges["opensc"], judges["openssl"], f"{card['seconds']:.2f}",
        )  # fmt: skip
    output.print(cards)
    if report.rejected:
        refused = Table("file", "record", "pointer", "rule", "sentence")
        for entry in report.rejected:
            for error in entry["errors"]:
                refused.add_row(entry["file"], entry["record_id"], error["pointer"], error["rule"], error["message"])
        output.print(refused)
    for entry in report.held:
        output.print(f"held: {entry['record_id']} ({entry['reason']})", highlight=False)
    blanks = report.blanks
    output.print(
        f"blanks: {blanks.received} received = {blanks.good} good + {blanks.spoiled} spoiled + {blanks.left} left",
        highlight=False,
    )
    if result.verified_now:
        output.print(f"{report.cards_per_hour:.0f} cards/h; {result.limit}", highlight=False)
    if result.not_proven:
        output.print(
            f"NOT PROVEN: {result.not_proven}; pcscd, the reader driver and OpenSC had no part", highlight=False
        )
    if report.cards:
        serial = report.cards[-1]["chip_serial"]
        output.print(
            f"see a card: perso card export {serial} DIR --state {state.root} (faces, data groups, report)\n"
            f"put it into a reader: perso card insert {serial} --state {state.root}",
            highlight=False,
        )
    console.print("done" if report.all_verified else "NOT every card was made", highlight=False)

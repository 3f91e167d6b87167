"""`perso run`: the main job on a folder of record files."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api import line
from api.commands.terminal import PlainTable, console, plain, print_json
from api.failure import CommandFailed
from api.progress import SOURCE
from api.progress import Progress as Counts
from api.run_report import JUDGES, NOT_APPLICABLE, RunReport, read_report
from api.state_directory import StateDirectory
from personalization.store.database import Database

DEFAULT_STATE = Path("state")
MOST_STATIONS = 8
MOST_WORKERS = 16


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("run", help="make the cards of a folder of approved records", allow_abbrev=False)
    parser.add_argument("--records", type=Path, required=True, metavar="DIR", help="folder of record files (*.json)")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, metavar="DIR", help="the line's own state")
    parser.add_argument("--database", metavar="URL", help="SQLAlchemy URL (default: SQLite in the state directory)")
    parser.add_argument(
        "--stations", type=_up_to(MOST_STATIONS), default=1, metavar="N", help="simulated stations (default 1)"
    )
    parser.add_argument(
        "--workers", type=_up_to(MOST_WORKERS), default=1, metavar="N", help="preparing workers (default 1)"
    )
    parser.add_argument("--specimen", action="store_true", help="specimen cards: own CAs, marked, known PINs")
    parser.add_argument("--direct", action="store_true", help="reach the chips without PC/SC (proves less)")
    parser.add_argument(
        "--trace", type=Path, metavar="DIR", help="write a trace of every encoding (QA, with --specimen)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(command=command)


def _up_to(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"a number from 1 to {most}")
        return int(text)

    return number


def command(options: argparse.Namespace) -> int:
    """Make every card there is to make; 0 only if every accepted record with a profile ended verified."""
    if not options.records.is_dir():
        raise CommandFailed(f"--records: {options.records} is not a folder")
    state = StateDirectory(options.state.resolve())
    screen = Console(stderr=True)
    settings = line.LineOptions(
        records=options.records.resolve(),
        state=state,
        database_url=options.database,
        stations=options.stations,
        workers=options.workers,
        specimen=options.specimen,
        direct=options.direct,
        trace=options.trace.resolve() if options.trace else None,
    )
    if settings.trace is not None:
        if not options.specimen:
            # SCP03 has no forward secrecy: trace and chip keys together show all that was sent, years later.
            raise CommandFailed("--trace: only encodings of specimen cards are traced; add --specimen")
        settings.trace.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.create()
    with state.locked():
        line.prepare(settings, lambda sentence: screen.print(plain(sentence)))
        result = _run_with_progress(settings, screen)
        database = Database(result.database_url)
        try:
            rate = 3600 * result.verified_now / result.working_seconds if result.working_seconds else 0.0
            report = read_report(database, SOURCE, result.files, settings.records, rate)
        finally:
            database.close()
    if options.json:
        print_json(report.to_json())
    else:
        _print_tables(report, result, state)
    if result.trouble is not None:
        screen.print(plain(f"perso: {result.trouble}"))
        return 1
    return 0 if report.all_verified else 1


def _run_with_progress(settings: line.LineOptions, screen: Console) -> line.LineResult:
    with Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=screen,
        disable=not screen.is_terminal,
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
    return lambda sentence: bars.console.print(plain(sentence))


def _print_tables(report: RunReport, result: line.LineResult, state: StateDirectory) -> None:
    cards = PlainTable("record", "number", "chip serial", "state", "own opensc openssl", "seconds")
    for card in report.cards:
        judges = " ".join(card["judges"][judge] for judge in JUDGES)
        cards.row(
            card["record_id"], card["document_number"], card["chip_serial"], card["state"], judges,
            f"{card['seconds']:.2f}",
        )  # fmt: skip
    cards.print()
    if report.rejected:
        refused = PlainTable("file", "record", "pointer", "rule", "sentence")
        for entry in report.rejected:
            names = (entry["file"], entry["record_id"])
            for error in entry["errors"]:
                refused.row(*names, error["pointer"], error["rule"], error["message"])
                names = ("", "")
        refused.print()
    output = console()
    for serial, reason in report.spoiled:
        output.print(plain(f"spoiled: {serial} ({reason}); take it from its tray and destroy it"))
    for entry in report.held:
        output.print(plain(f"held: {entry['record_id']} ({entry['reason']})"))
    blanks = report.blanks
    output.print(
        plain(
            f"blanks: {blanks.received} received = {blanks.good} good + {blanks.spoiled} spoiled + {blanks.left} left"
        )
    )
    if result.verified_now:
        output.print(plain(f"{report.cards_per_hour:.0f} cards/h; {result.limit}"))
    if result.not_proven:
        output.print(plain(f"NOT PROVEN (pcscd, reader driver, OpenSC): {result.not_proven}"))
    elif any(card["judges"]["opensc"] == NOT_APPLICABLE for card in report.cards):
        output.print(plain("not-applicable under opensc: cards without certificates, or made without PC/SC"))
    if report.cards:
        serial, program = report.cards[-1]["chip_serial"], sys.argv[0]
        output.print(plain("see a card (faces, data groups, report) or put it into a reader:"))
        output.print(plain(f"  {program} card export {serial} DIR --state {state.root}"), soft_wrap=True)
        output.print(plain(f"  {program} card insert {serial} --state {state.root}"), soft_wrap=True)
    output.print(plain("every card was made" if report.all_verified else "NOT every card was made"))

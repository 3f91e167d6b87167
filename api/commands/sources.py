"""`perso sources check URL`: judge the HTTP side of a document information system."""

import argparse
from datetime import timedelta
from urllib.parse import urlsplit

import httpx

from api.commands.terminal import PlainTable, console, plain, print_json
from api.failure import CommandFailed
from personalization.assembly import now
from personalization.records import load_places
from personalization.sources.contract import MOST_RECORDS, PATIENCE, Step, all_well, check_document_system
from personalization.sources.contract_feed import RECORD_ID


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    group = commands.add_parser("sources", help="document information systems")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser(
        "check", help="judge a document information system's side of the interface", allow_abbrev=False
    )
    check.add_argument(
        "url", metavar="URL", help="where its /approved-records lies, for example https://padis.test/api"
    )
    check.add_argument("--write", action="store_true", help="also send receipts and documents for --record-id")
    check.add_argument("--record-id", metavar="ID", help="a record of a test that the system hands over")
    check.add_argument(
        "--timeout",
        type=_positive,
        default=PATIENCE.total_seconds(),
        metavar="S",
        help="seconds that one answer may take",
    )
    check.add_argument(
        "--most", type=_positive, default=MOST_RECORDS, metavar="N", help=f"records to read (default {MOST_RECORDS})"
    )
    check.add_argument("--json", action="store_true", help="one JSON object on standard output")
    check.set_defaults(command=command)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError("a whole number from 1")
    return int(text)


def command(options: argparse.Namespace) -> int:
    """Every step; 0 only if none failed. Without --write nothing is sent that could change anything."""
    if urlsplit(options.url).scheme not in ("http", "https"):
        raise CommandFailed("URL: an address that begins with http:// or https://")
    if options.write != (options.record_id is not None):
        raise CommandFailed("--write and --record-id go together: what is sent is sent for a record that you name")
    if options.record_id is not None and not RECORD_ID.fullmatch(options.record_id):
        raise CommandFailed("--record-id: not of the form of a record id, for example PADIS-2026-0000001")
    with httpx.Client(base_url=options.url, trust_env=False, headers={"accept": "application/json"}) as client:
        steps = check_document_system(
            client,
            places=load_places(),
            now=now(),
            patience=timedelta(seconds=options.timeout),
            most_records=options.most,
            record_id=options.record_id,
        )
    _tell(steps, json=options.json)
    return 0 if all_well(steps) else 1


def _tell(steps: tuple[Step, ...], *, json: bool) -> None:
    if json:
        listed = [{"number": s.number, "name": s.name, "verdict": s.verdict, "sentence": s.sentence} for s in steps]
        print_json({"ok": all_well(steps), "steps": listed})
        return
    table = PlainTable("step", "name", "verdict", "sentence")
    for step in steps:
        table.row(step.number, step.name, step.verdict, step.sentence)
    table.print()
    console().print(plain("the interface is kept" if all_well(steps) else "the interface is NOT kept"))

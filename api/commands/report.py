"""`perso report events|stock`: what happened, numbered; and where every blank is."""

import argparse
from dataclasses import asdict

from api.commands.opened_state import add_state_options, opened_state
from api.commands.terminal import PlainTable, console, plain, print_json
from personalization.audit import NumberedEvent, events_after, verify_chain, verify_checkpoints
from personalization.centre import stock
from pki.ceremony import audit_public_key


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the commands."""
    group = commands.add_parser("report", help="events and stock").add_subparsers(required=True, metavar="ACTION")
    events = group.add_parser("events", help="numbered status events, chain and checkpoints checked")
    events.add_argument("--after", type=int, default=0, metavar="N", help="only events with a higher number")
    add_state_options(events)
    events.set_defaults(command=report_events)
    counts = group.add_parser("stock", help="received = good + spoiled + left")
    add_state_options(counts)
    counts.set_defaults(command=report_stock)


def report_events(options: argparse.Namespace) -> int:
    """All events after a number, once the whole log has proven unchanged. Raises `AuditBroken`, `CeremonyRefused`."""
    with opened_state(options) as opened:
        verify_chain(opened.database)
        authorities = opened.directory.authorities(specimen=opened.directory.specimen)
        verify_checkpoints(opened.database, audit_public_key(authorities))
        events: list[NumberedEvent] = []
        after = options.after
        while page := events_after(opened.database, after):
            events += page
            after = page[-1].seq
    if options.json:
        print_json({"events": [{"seq": e.seq, "hash": e.hash, **e.body} for e in events]})
        return 0
    table = PlainTable("number", "at", "kind", "record", "job", "blank", "detail")
    for event in events:
        body = event.body
        table.row(
            event.seq, body["at"][:19], body["kind"], body.get("record_id", ""), body.get("job_id", ""),
            body.get("blank", ""), " ".join(f"{k}={v}" for k, v in body.get("detail", {}).items()),
        )  # fmt: skip
    table.print()
    return 0


def report_stock(options: argparse.Namespace) -> int:
    """The balance of blanks."""
    with opened_state(options) as opened, opened.database.reading() as connection:
        counts = stock.count(connection)
    if options.json:
        print_json(asdict(counts))
        return 0
    console().print(
        plain(f"{counts.received} received = {counts.good} good + {counts.spoiled} spoiled + {counts.left} left")
    )
    return 0

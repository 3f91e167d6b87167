"""`perso card list|insert|export|replay`: finished cards for QA."""

import argparse
import json
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import select

from api import simulated
from api.apart import environment_of, run_apart
from api.commands import replay
from api.commands.opened_state import (
    add_state_options,
    card_directory,
    find_card,
    opened_state,
    settings_of,
)
from api.commands.terminal import PlainTable, console, plain, print_json
from api.failure import CommandFailed
from api.run_report import STATES
from card_profiles.model import ProfileId
from card_profiles.profile import load_profile
from personalization.flow import JobState
from personalization.inspection.opensc import opensc_conf
from personalization.settings import Settings
from personalization.store.tables import blank, job


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the commands."""
    group = commands.add_parser("card", help="look at finished cards").add_subparsers(required=True, metavar="ACTION")
    listing = group.add_parser("list", help="all cards of a line")
    add_state_options(listing)
    listing.set_defaults(command=list_cards)
    insert = group.add_parser("insert", help="hold a card in a virtual reader until interrupted")
    insert.add_argument("chip_serial", metavar="CHIP_SERIAL")
    add_state_options(insert)
    insert.set_defaults(command=insert_card)
    export = group.add_parser("export", help="write a card's face, certificates, data groups and report (logged)")
    export.add_argument("chip_serial", metavar="CHIP_SERIAL")
    export.add_argument("directory", type=Path, metavar="DIR")
    add_state_options(export)
    export.set_defaults(command=export_card)
    replay.add_to(group)


def list_cards(options: argparse.Namespace) -> int:
    """Every blank that a job has touched, and what became of it."""
    with opened_state(options) as opened, opened.database.reading() as connection:
        rows = connection.execute(
            select(job, blank.c.chip_serial).join(blank, blank.c.job_id == job.c.id).order_by(job.c.id)
        ).all()
    cards = [
        {
            "chip_serial": row.chip_serial,
            "record_id": row.record_id,
            "document_number": row.document_number,
            "profile": row.profile_id,
            "state": STATES.get(JobState(row.state), "in-work"),
        }
        for row in rows
    ]
    if options.json:
        print_json({"cards": cards})
        return 0
    table = PlainTable("chip serial", "record", "number", "profile", "state")
    for card in cards:
        table.row(*card.values())
    table.print()
    return 0


def insert_card(options: argparse.Namespace) -> int:
    """Put the card into a virtual reader of its own pcscd; any PC/SC program can use it until Ctrl-C."""
    with opened_state(options) as opened, ExitStack() as stack:
        row = find_card(opened, options.chip_serial)
        card = card_directory(opened, options.chip_serial)
        hall = simulated.start_hall(stack, f"--hold={card}")
        if hall.pcsc_socket is None:
            raise CommandFailed(f"a card can only be held in a reader where pcscd runs: {hall.no_pcsc}")
        configuration = hall.directory / "opensc.conf"
        configuration.write_bytes(opensc_conf(bytes.fromhex(str(row.atr)), ()))
        told = {
            "reader": hall.slots[0].reader,
            "PCSCLITE_CSOCK_NAME": str(hall.pcsc_socket),
            "OPENSC_CONF": str(configuration),
        }
        if options.json:
            json.dump(told, sys.stdout)
            sys.stdout.write("\n")
        else:
            console().print(
                f"reader: {told['reader']}\nfor any PC/SC program, OpenSC for example (its file knows our ATR):\n"
                f"  export PCSCLITE_CSOCK_NAME={told['PCSCLITE_CSOCK_NAME']} OPENSC_CONF={told['OPENSC_CONF']}\n"
                "  pkcs15-tool --dump\n"
                "Ctrl-C takes the card out",
                highlight=False,
                soft_wrap=True,
            )
        sys.stdout.flush()
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


def export_card(options: argparse.Namespace) -> int:
    """Write what is known of a card into a folder closed to others; the export itself is an event in the audit log."""
    with opened_state(options) as opened:
        row = find_card(opened, options.chip_serial)
        options.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        specimen = load_profile(ProfileId(str(row.profile_id))).specimen
        settings = settings_of(opened, specimen=specimen, pcsc_socket=None)
        written = run_apart(
            environment_of(settings), _export, settings, str(row.id), str(row.chip_serial), options.directory
        )
    if options.json:
        print_json({"files": written})
    else:
        output = console()
        for path in written:
            output.print(plain(path), soft_wrap=True)
    return 0


def _export(settings: Settings, job_id: str, chip_serial: str, directory: Path) -> list[str]:
    from personalization.assembly import Parts, now
    from personalization.audit import number_and_sign
    from personalization.card_export import export_files

    parts = Parts(settings)
    try:
        files = export_files(parts.database, parts.vault, job_id, chip_serial, actor=_actor(), now=now())
        number_and_sign(parts.database, parts.hsm, now())
    finally:
        parts.close()
    for name, content in files.items():
        descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    return [str(directory / name) for name in files]


def _actor() -> str:
    """Who exports: the operating system's user number (people are known by name only to the console)."""
    return f"uid-{os.getuid()}"

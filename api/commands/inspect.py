"""`perso inspect CHIP_SERIAL`: judge a finished card again, in a virtual reader of its own."""

import argparse
import json
from contextlib import ExitStack

from api import simulated
from api.apart import environment_of, run_apart
from api.commands.opened_state import add_state_options, card_directory, find_card, opened_state, settings_of
from api.commands.terminal import PlainTable, print_json
from card_profiles.model import ProfileId
from card_profiles.profile import load_profile
from personalization.settings import Settings, StationSettings


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("inspect", help="judge a finished card again: own steps, OpenSC, OpenSSL")
    parser.add_argument("chip_serial", metavar="CHIP_SERIAL")
    add_state_options(parser)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """All judges, without touching the PINs: a production card's keys cannot sign, for its PINs are blocked."""
    with opened_state(options) as opened, ExitStack() as stack:
        row = find_card(opened, options.chip_serial)
        card = card_directory(opened, options.chip_serial)
        hall = simulated.start_hall(stack, f"--hold={card}")
        slot = hall.slots[0]
        station = StationSettings("inspection", slot.control, slot.reader, slot.chip_socket, "")
        specimen = load_profile(ProfileId(str(row.profile_id))).specimen
        settings = settings_of(opened, specimen=specimen, pcsc_socket=hall.pcsc_socket)
        outcome = run_apart(environment_of(settings), _inspect, settings, station, str(row.id), str(row.chip_serial))
    report = json.loads(outcome)
    if options.json:
        print_json(report)
    else:
        _print(report)
    return 0 if all(judge["verdict"] != "failed" for judge in report["judges"]) else 1


def _print(report: dict[str, list[dict[str, object]]]) -> None:
    table = PlainTable("judge", "step", "name", "verdict", "sentence")
    for judge in report["judges"]:
        for step in judge["steps"]:  # type: ignore[attr-defined]
            table.row(judge["judge"], step["number"], step["name"], step["verdict"], step["sentence"])
    table.print()


def _inspect(settings: Settings, station: StationSettings, job_id: str, chip_serial: str) -> bytes:
    from personalization.assembly import Parts, inspect_again

    parts = Parts(settings)
    try:
        return inspect_again(parts, station, job_id, chip_serial)
    finally:
        parts.close()

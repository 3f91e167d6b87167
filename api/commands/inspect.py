"""`perso inspect CHIP_SERIAL`: judge a finished card again, in a virtual reader of its own."""

import argparse
import json
import os
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe

from api import simulated
from api.commands.failure import CommandFailed
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
        try:
            hall = simulated.start_hall(stack, f"--hold={card}")
        except simulated.SimulatorFailed as error:
            raise CommandFailed(str(error)) from error
        slot = hall.slots[0]
        station = StationSettings("inspection", slot.control, slot.reader, slot.chip_socket, (), "")
        specimen = load_profile(ProfileId(str(row.profile_id))).specimen
        settings = settings_of(opened, specimen=specimen, pcsc_socket=hall.pcsc_socket)
        ours, theirs = get_context("spawn").Pipe()
        process = get_context("spawn").Process(
            target=_inspection_process, args=(settings, station, str(row.id), str(row.chip_serial), theirs)
        )
        process.start()
        theirs.close()
        try:
            outcome = ours.recv()
        except EOFError:
            raise CommandFailed("the inspecting process died") from None
        finally:
            process.join()
    if isinstance(outcome, str):
        raise CommandFailed(outcome)
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


def _inspection_process(
    settings: Settings, station: StationSettings, job_id: str, chip_serial: str, pipe: Pipe
) -> None:
    os.environ["SOFTHSM2_CONF"] = str(settings.softhsm_conf)
    if settings.pcsc_socket is not None:
        os.environ["PCSCLITE_CSOCK_NAME"] = str(settings.pcsc_socket)
    from hsm.errors import HsmError
    from personalization.assembly import Parts, inspect_again
    from personalization.errors import EngineError
    from personalization.station.errors import StationError

    try:
        parts = Parts(settings)
        try:
            report = inspect_again(parts, station, job_id, chip_serial)
        finally:
            parts.close()
    except (HsmError, EngineError, StationError) as error:
        pipe.send(str(error))
    else:
        pipe.send(report)

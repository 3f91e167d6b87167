"""`perso card replay TRACE`: play the trace of an encoding against a chip and compare every answer."""

import argparse
from contextlib import ExitStack
from pathlib import Path

from api import simulated
from api.apart import run_apart
from api.commands.terminal import console, plain, print_json
from api.failure import CommandFailed
from personalization.settings import StationSettings
from personalization.station.replay import Entry, Replayed, TraceUnreadable, read_trace, replay


def add_to(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = actions.add_parser(
        "replay",
        help="play the trace of an encoding against a copy of the blank (which is then written and locked)",
        allow_abbrev=False,
    )
    parser.add_argument("trace", type=Path, metavar="TRACE", help="CHIP_SERIAL.jsonl, as `perso run --trace` wrote it")
    chip = parser.add_mutually_exclusive_group(required=True)
    chip.add_argument("--reader", metavar="NAME", help="PC/SC reader (PCSCLITE_CSOCK_NAME says of which service)")
    chip.add_argument("--chip", type=Path, metavar="DIR", help="directory of a simulated chip")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Play the trace; 0 only if the chip answered everything as the traced one did."""
    if not options.trace.is_file():
        raise CommandFailed(f"TRACE: {options.trace} is not a file")
    try:
        entries = read_trace(options.trace)
    except TraceUnreadable as unreadable:
        raise CommandFailed(f"TRACE: {unreadable}") from None
    if options.reader is not None:
        # The child has our own environment, and so the PC/SC service that the caller chose.
        replayed = run_apart({}, _replay, entries, StationSettings("replay", Path(), options.reader, None, ""))
    else:
        replayed = _in_a_reader_of_its_own(entries, options.chip)
    _tell(replayed, json=options.json)
    return 0 if replayed.difference is None else 1


def _in_a_reader_of_its_own(entries: tuple[Entry, ...], chip: Path) -> Replayed:
    if not (chip / "memory.jsonl").is_file():
        raise CommandFailed(f"--chip: {chip} holds no simulated chip")
    with ExitStack() as stack:
        hall = simulated.start_hall(stack, f"--hold={chip.resolve()}")
        slot = hall.slots[0]
        station = StationSettings("replay", slot.control, slot.reader, slot.chip_socket, "")
        environment = {} if hall.pcsc_socket is None else {"PCSCLITE_CSOCK_NAME": str(hall.pcsc_socket)}
        return run_apart(environment, _replay, entries, station)


def _replay(entries: tuple[Entry, ...], station: StationSettings) -> Replayed:
    from personalization.assembly import open_terminal

    terminal = open_terminal(station)
    try:
        return replay(entries, terminal)
    finally:
        terminal.release()


def _tell(replayed: Replayed, *, json: bool) -> None:
    found = replayed.difference
    if json:
        difference = found and {"line": found.line, "purpose": found.purpose, "sentence": found.sentence}
        print_json({"ok": found is None, "exchanges": replayed.exchanges, "difference": difference})
    elif found is None:
        console().print(plain(f"{replayed.exchanges} exchanges, each answered as in the trace; the chip is locked now"))
    else:
        told = f"line {found.line}, {found.purpose}: {found.sentence}"
        console().print(plain(f"{told} {replayed.exchanges} exchanges were played."), soft_wrap=True)

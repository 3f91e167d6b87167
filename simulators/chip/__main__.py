"""Command line of the chip maker, and of a chip that is held into a reader by itself."""

import argparse
import json
import os
import secrets
import select
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from simulators.chip.card import Chip
from simulators.chip.errors import ChipError
from simulators.chip.maker import DEFAULT_ATR, Order, delivery_notes, hand_over, key_letter, load_masters, make_delivery
from simulators.chip.wire import CardWire

_WATCH_SECONDS = 0.2


def main() -> int:
    """Run one command; 0 when it did what it says, 1 with a sentence on stderr when it could not."""
    arguments = _parser().parse_args()
    try:
        answer = arguments.run(arguments)
    except (ChipError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    if answer is not None:
        sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators.chip", description=__doc__)
    commands = parser.add_subparsers(required=True)

    make = commands.add_parser("make", help="make a box of blank chips; prints its delivery note")
    make.add_argument("--station", type=Path, required=True)
    make.add_argument("--delivery", required=True)
    make.add_argument("--count", type=int, required=True)
    make.add_argument("--lot", required=True)
    make.add_argument("--maker-keys", type=Path, required=True)
    make.add_argument("--atr", type=bytes.fromhex, default=DEFAULT_ATR, help="hex")
    make.set_defaults(run=_make)

    letter = commands.add_parser("key-letter", help="print the maker's masters, wrapped for the centre")
    letter.add_argument("--maker-keys", type=Path, required=True)
    letter.add_argument("--public-key", type=Path, required=True, help="DER SubjectPublicKeyInfo")
    letter.set_defaults(run=_key_letter)

    notes = commands.add_parser("notes", help="print all delivery notes of a station")
    notes.add_argument("--station", type=Path, required=True)
    notes.set_defaults(run=_notes)

    over = commands.add_parser("hand-over", help="move a box from the vault into a station's hopper")
    over.add_argument("--vault", type=Path, required=True)
    over.add_argument("--delivery", required=True)
    over.add_argument("--station", type=Path, required=True)
    over.set_defaults(run=_hand_over)

    serve = commands.add_parser("serve", help="hold a chip into a virtual reader until stdin ends")
    serve.add_argument("--card", type=Path, required=True)
    serve.add_argument("--connect", type=CardWire, required=True, help="tcp:HOST:PORT or unix:PATH")
    serve.set_defaults(run=_serve)
    return parser


def _make(arguments: argparse.Namespace) -> object:
    order = Order(arguments.delivery, arguments.lot, arguments.count, arguments.atr)
    masters = load_masters(arguments.maker_keys, secrets.token_bytes)
    today = datetime.now(UTC).date()
    note = make_delivery(arguments.station, order, masters, random_bytes=secrets.token_bytes, today=today)
    return note.to_json()


def _key_letter(arguments: argparse.Namespace) -> object:
    masters = load_masters(arguments.maker_keys, secrets.token_bytes)
    return key_letter(masters, arguments.public_key.read_bytes())


def _notes(arguments: argparse.Namespace) -> object:
    return [note.to_json() for note in delivery_notes(arguments.station)]


def _hand_over(arguments: argparse.Namespace) -> object:
    hand_over(arguments.vault, arguments.delivery, arguments.station)
    return {"delivery": arguments.delivery}


def _serve(arguments: argparse.Namespace) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    threading.Thread(target=_watch_parent, args=(stop, os.getppid()), daemon=True).start()
    arguments.connect.serve(Chip(arguments.card), stop)


def _watch_parent(stop: threading.Event, parent: int) -> None:
    """Set `stop` once stdin ends or the parent is gone."""
    while not stop.is_set() and os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], _WATCH_SECONDS)
        if readable and not os.read(sys.stdin.fileno(), 4096):
            break
    stop.set()


if __name__ == "__main__":
    sys.exit(main())

"""`perso ceremony FILE.toml`: the key ceremony of a set of authorities."""

import argparse
import json
from functools import partial
from pathlib import Path

from api.commands.terminal import console, plain, print_json
from api.state_directory import StateDirectory
from api.token import ensure_token, hold_ceremony_apart
from pki.ceremony import load_plan, masters_taken


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("ceremony", help="make root, issuing CA, CSCA, document signer and card masters")
    parser.add_argument("file", type=Path, metavar="FILE.toml", help="the plan; checked whole before the HSM is opened")
    parser.add_argument("--state", type=Path, default=Path("state"), metavar="DIR", help="state of the line")
    parser.add_argument("--key-letter", type=Path, metavar="FILE", help="the chip maker's letter with the card masters")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Hold the ceremony and name its evidence; where card masters are still missing, say what the maker needs."""
    state = StateDirectory(options.state.resolve())
    plan = load_plan(options.file)
    letter = None if options.key_letter is None else partial(_letter, options.key_letter.read_bytes())
    state.create()
    with state.locked():
        state.bind(specimen=plan.specimen)
        ensure_token(state)
        directory = state.authorities(specimen=plan.specimen)
        evidence = hold_ceremony_apart(state, options.file, directory, letter)
        missing = not masters_taken(directory)
    if options.json:
        exchange_key = {"exchange_key": str(state.exchange_key)} if missing else {}
        print_json({"evidence": str(evidence), **exchange_key, **json.loads(evidence.read_text())})
        return 0
    console().print(plain(f"evidence: {evidence}"), soft_wrap=True)
    if missing:
        sentence = "no card can be made before the chip maker's key letter is there: send the maker this exchange key,"
        console().print(plain(f"{sentence} then repeat with --key-letter FILE: {state.exchange_key}"), soft_wrap=True)
    return 0


def _letter(content: bytes, _exchange_key: bytes) -> bytes:
    return content

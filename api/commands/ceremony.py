"""`perso ceremony FILE.toml`: the key ceremony of a set of authorities."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from api.commands.failure import CommandFailed
from api.commands.terminal import console, plain, print_json
from api.state_directory import StateDirectory, StateInUse
from api.token import CeremonyFailed, TokenMissing, ensure_token, hold_ceremony_apart
from pki.ceremony import load_plan
from pki.errors import PkiError


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("ceremony", help="make root, issuing CA, CSCA, document signer and card masters")
    parser.add_argument("file", type=Path, metavar="FILE.toml", help="the plan; checked whole before the HSM is opened")
    parser.add_argument("--state", type=Path, default=Path("state"), metavar="DIR", help="state of the line")
    parser.add_argument("--key-letter", type=Path, metavar="FILE", help="the chip maker's letter with the card masters")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Hold the ceremony and name its evidence."""
    state = StateDirectory(options.state.resolve())
    try:
        plan = load_plan(options.file)
        letter = _letter(options.key_letter, state)
        state.create()
        with state.locked():
            ensure_token(state)
            directory = state.authorities(specimen=plan.specimen)
            evidence = hold_ceremony_apart(state, options.file, directory, letter)
    except (PkiError, StateInUse, TokenMissing, CeremonyFailed, OSError) as error:
        raise CommandFailed(str(error)) from error
    if options.json:
        print_json({"evidence": str(evidence), **json.loads(evidence.read_text())})
    else:
        console().print(plain(f"evidence: {evidence}"), soft_wrap=True)
    return 0


def _letter(path: Path | None, state: StateDirectory) -> Callable[[bytes], bytes] | None:
    """Read the letter; where there is none yet, leave the exchange key for the chip maker and go on without masters."""
    if path is None:
        return None
    content = path.read_bytes()

    def answer(exchange_key: bytes) -> bytes:
        (state.root / "exchange-key.der").write_bytes(exchange_key)
        return content

    return answer

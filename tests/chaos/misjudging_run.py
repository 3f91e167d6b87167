"""`perso run`, all of it the product's own, where three things go wrong at inspection, each once.

1. A defect of ours raises an exception that quotes the card's PINs and what was expected of it.
2. OpenSSL and OpenSC tell on both outputs all that they were given, and their environment, and pass nothing.
3. The card is therefore spoiled, with a report of it, and its document made again.

Workers are spawned and import this module again, so the change is in each of them. Which of the faults have happened is
kept in a folder that `MISJUDGING_FOLDER` names.
"""

import os
import sys
from pathlib import Path
from typing import Any

from api.cli import main
from personalization.inspection import judges
from personalization.stages import inspect

FOLDER = Path(os.environ["MISJUDGING_FOLDER"])
TALKER = """#!/bin/sh
tell() {
    for word in "$@"; do
        echo "$word"
        case "$word" in /proc/self/fd/*) cat "$word"; base64 "$word"; esac
    done
    env
}
tell "$@"
tell "$@" >&2
exit 1
"""
FAULTS = ("raised", "talked")


def judge_card(*arguments: Any, **named: Any) -> Any:
    """As the product's own, but for the first two cards that come to it."""
    fault = next((fault for fault in FAULTS if not (FOLDER / fault).exists()), None)
    if fault is None:
        return judges.judge_card(*arguments, **named)
    (FOLDER / fault).touch()
    if fault == "raised":
        pins = {name: value.decode() for name, value in named["pins"].items()}
        raise RuntimeError(f"{arguments[1]!r} {vars_of(arguments[1])} {pins}")
    path, os.defpath = os.defpath, f"{talkers()}:{os.defpath}"  # where programs without a PATH are looked for
    try:
        return judges.judge_card(*arguments, **named)
    finally:
        os.defpath = path


def vars_of(expected: Any) -> dict[str, Any]:
    """Its fields, also those that its own text keeps back."""
    return {name: getattr(expected, name) for name in expected.__dataclass_fields__}


def talkers() -> Path:
    """A folder of programs that tell everything."""
    folder = FOLDER / "programs"
    folder.mkdir(exist_ok=True)
    for name in ("openssl", "pkcs11-tool"):
        (folder / name).write_text(TALKER)
        (folder / name).chmod(0o755)
    return folder


setattr(inspect, judges.judge_card.__name__, judge_card)  # the name that the stage calls

if __name__ == "__main__":
    sys.exit(main())

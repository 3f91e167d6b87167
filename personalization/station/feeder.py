"""Client of a feeder: one JSON object a line over the Unix socket of the machine's own process.

Requests `{"op": "state"}`, `{"op": "load"}`, `{"op": "eject", "tray": "good" | "reject"}`; the answer tells the counts
or `{"ok": false, "error": "hopper-empty" | "jammed" | "bad-request"}`. Every request has a connection of its own;
load and eject do nothing when there is nothing to do, so a lost answer is cured by asking again.
"""

import json
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

from personalization.station.errors import HopperEmpty, StationJammed, StationUnavailable
from personalization.station.ports import FeederState

_LARGEST_ANSWER_BYTES = 4096
_ERRORS = {
    "hopper-empty": HopperEmpty("the hopper is empty"),
    "jammed": StationJammed("a card is stuck in the feeder"),
}


class FeederClient:
    """Implements `Feeder`. `answer_wait`: how long the machine may take to move a card."""

    def __init__(self, control: Path, *, answer_wait: timedelta = timedelta(seconds=30)) -> None:
        self._control = control
        self._answer_wait = answer_wait

    def state(self) -> FeederState:
        """As `Feeder.state`."""
        return self._ask({"op": "state"})

    def load(self) -> None:
        """As `Feeder.load`."""
        self._ask({"op": "load"})

    def eject(self, *, good: bool) -> None:
        """As `Feeder.eject`. Raises `StationJammed`, `StationUnavailable`."""
        self._ask({"op": "eject", "tray": "good" if good else "reject"})

    def _ask(self, request: dict[str, str]) -> FeederState:
        try:
            answer = json.loads(self._exchange(json.dumps(request).encode() + b"\n"))
        except (OSError, ValueError, RecursionError):
            raise StationUnavailable("the feeder does not answer") from None
        return _state_from(answer)

    def _exchange(self, line: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._answer_wait.total_seconds())
            connection.connect(str(self._control))
            connection.sendall(line)
            with connection.makefile("rb") as answers:
                return answers.readline(_LARGEST_ANSWER_BYTES)


def _state_from(answer: Any) -> FeederState:
    if not isinstance(answer, dict):
        raise StationUnavailable("the feeder answered something else than an object")
    if answer.get("ok") is not True:
        known = _ERRORS.get(str(answer.get("error")))
        if known is None:
            raise StationUnavailable("the feeder refused the request")
        raise type(known)(*known.args)
    counts = [answer.get(name) for name in ("hopper", "good", "rejected")]
    positioned = answer.get("positioned")
    if not isinstance(positioned, bool) or not all(type(count) is int and count >= 0 for count in counts):
        raise StationUnavailable("the feeder's answer does not tell its counts")
    hopper, good, rejected = (int(str(count)) for count in counts)
    return FeederState(hopper=hopper, positioned=positioned, good=good, rejected=rejected)

"""The feeder's client against answers that a thread of the test gives."""

import json
import socket
import threading
from pathlib import Path

import pytest

from personalization.station.errors import HopperEmpty, StationJammed, StationUnavailable
from personalization.station.feeder import FeederClient
from personalization.station.ports import FeederState

STATE = {"ok": True, "hopper": 7, "positioned": True, "good": 2, "rejected": 1}


class Machine:
    """Answers each connection's line with the next answer."""

    def __init__(self, path: Path, *answers: bytes) -> None:
        self.requests: list[object] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._answers = answers
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener:
            for answer in self._answers:
                connection, _ = self._listener.accept()
                with connection, connection.makefile("rb") as lines:
                    self.requests.append(json.loads(lines.readline()))
                    connection.sendall(answer)


def line(answer: object) -> bytes:
    return json.dumps(answer).encode() + b"\n"


def test_requests_and_state(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "control", *[line(STATE)] * 4)
    feeder = FeederClient(tmp_path / "control")
    assert feeder.state() == FeederState(hopper=7, positioned=True, good=2, rejected=1)
    feeder.load()
    feeder.eject(good=True)
    feeder.eject(good=False)
    assert machine.requests == [
        {"op": "state"},
        {"op": "load"},
        {"op": "eject", "tray": "good"},
        {"op": "eject", "tray": "reject"},
    ]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (line({"ok": False, "error": "hopper-empty"}), HopperEmpty),
        (line({"ok": False, "error": "jammed"}), StationJammed),
        (line({"ok": False, "error": "bad-request"}), StationUnavailable),
        (line({**STATE, "hopper": "7"}), StationUnavailable),
        (line({**STATE, "hopper": True}), StationUnavailable),
        (line({"ok": True}), StationUnavailable),
        (line([]), StationUnavailable),
        (b"\xff\n", StationUnavailable),
        (b"", StationUnavailable),
    ],
)
def test_what_a_machine_may_answer(tmp_path: Path, answer: bytes, error: type[Exception]) -> None:
    Machine(tmp_path / "control", answer)
    with pytest.raises(error):
        FeederClient(tmp_path / "control").load()


def test_no_machine(tmp_path: Path) -> None:
    with pytest.raises(StationUnavailable):
        FeederClient(tmp_path / "control").state()

"""Cards that follow one another as fast as the feeder can: pcscd, which looks every 0.4 s, disturbs no session."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from card_profiles.profile import load_profile
from personalization.station.contact import read_contact
from personalization.station.encode import encode_card
from personalization.station.feeder import FeederClient
from simulators.chip.maker import Order, make_delivery
from simulators.chip.personalization import Function as MakerFunction
from tests.personalization.station.remote_terminal import RemoteTerminal, pcsc
from tests.personalization.station.software_keys import MASTERS

pytestmark = pytest.mark.services

CARDS = 14
MEAN_CHANGE_SECONDS = 0.3
SPEC = load_profile("eid-citizen@1").chip


@dataclass
class Line:
    """A station with a full hopper and its terminal."""

    feeder: FeederClient
    terminal: RemoteTerminal
    serials: tuple[str, ...]
    socket: str
    reader: str


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    box, run = tmp_path / "station", tmp_path / "run"
    box.mkdir()
    randomness = random.Random(5)
    note = make_delivery(
        box,
        Order("D1", "LOT-2026-0001", CARDS, SPEC.atr),
        {MakerFunction[name]: master for name, master in MASTERS.items()},
        random_bytes=randomness.randbytes,
        today=date(2026, 5, 4),
    )
    command = [sys.executable, "-m", "simulators.hall", "--directory", str(run), "--station", str(box)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as hall:
        assert hall.stdin is not None
        assert hall.stdout is not None
        answer = hall.stdout.readline()
        if not answer:
            pytest.skip("there is no pcscd with virtual readers here")
        told = json.loads(answer)
        (station,) = told["stations"]
        terminal = RemoteTerminal(pcsc, told["socket"], station["reader"])
        yield Line(FeederClient(Path(station["control"])), terminal, note.chips, told["socket"], station["reader"])
        terminal.close()
        hall.stdin.close()
        hall.wait(10)


def test_no_session_is_disturbed_and_a_change_is_quick(line: Line, chip_keys: Any, card: Any) -> None:
    randomness = random.Random(7)
    changes = []
    for number, serial in enumerate(line.serials, start=1):
        started = time.monotonic()
        line.feeder.load()
        contact = read_contact(line.terminal, SPEC, script_prefix=f"{number}/a", fence=number)
        changes.append(time.monotonic() - started)
        assert contact.chip_serial == serial
        encode_card(
            line.terminal,
            chip_keys,
            profile=card.profile,
            image=card.image,
            contact=contact,
            chip_keys_blobs=card.blobs,
            host_challenge=randomness.randbytes,
            script_prefix=f"{number}/b",
            fence=number,
        )
        line.terminal.release()
        assert _atr_by_opensc(line) == SPEC.atr
        assert read_contact(line.terminal, SPEC, script_prefix=f"{number}/c", fence=number).secured
        time.sleep(randomness.uniform(0, 0.1))
        line.terminal.release()
        line.feeder.eject(good=True)
    print(f"{len(changes)} changes: mean {sum(changes) / len(changes):.3f} s, longest {max(changes):.3f} s")  # noqa: T201
    assert sum(changes[1:]) / len(changes[1:]) < MEAN_CHANGE_SECONDS


def _atr_by_opensc(line: Line) -> bytes:
    told = subprocess.run(
        ["opensc-tool", "--reader", line.reader, "--atr"],
        env={"PCSCLITE_CSOCK_NAME": line.socket, "PATH": "/usr/bin"},
        capture_output=True,
        check=True,
        text=True,
        timeout=20,
    )
    return bytes.fromhex(told.stdout.strip().replace(":", ""))

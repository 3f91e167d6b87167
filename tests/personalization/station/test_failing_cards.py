"""Cards that fail by a scenario file in a real PC/SC reader: what the terminal and the first contact make of them."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from card_profiles.profile import load_profile
from personalization.station.contact import read_contact
from personalization.station.errors import CardAbsent, CardLost, ChipRefused
from personalization.station.feeder import FeederClient
from simulators.chip.maker import Order, make_delivery
from simulators.chip.personalization import Function as MakerFunction
from tests.personalization.station.remote_terminal import RemoteTerminal, pcsc
from tests.personalization.station.software_keys import MASTERS

pytestmark = pytest.mark.services

SPEC = load_profile("eid-citizen@1").chip

SCENARIO = """
[torn-before]
fault = "torn-before"
card = 1
apdu = 2
[torn-after]
fault = "torn-after"
card = 1
apdu = 11
[refused]
fault = "status"
card = 1
apdu = 20
status = "6F00"
[swapped]
fault = "swapped"
card = 2
apdu = 3
[mute]
fault = "mute"
card = 3
apdu = 4
"""


@dataclass
class Line:
    """A station whose chips fail, and its terminal."""

    feeder: FeederClient
    terminal: RemoteTerminal
    serials: tuple[str, ...]
    asked: int = 0

    def contact(self) -> str:
        """The chip serial that the card in position tells."""
        self.asked += 1
        return read_contact(self.terminal, SPEC, script_prefix=str(self.asked), fence=self.asked).chip_serial

    def put_away(self) -> None:
        self.terminal.release()
        self.feeder.eject(good=True)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    box, run = tmp_path / "station", tmp_path / "run"
    box.mkdir()
    note = make_delivery(
        box,
        Order("D1", "LOT-2026-0001", 4, SPEC.atr),
        {MakerFunction[name]: master for name, master in MASTERS.items()},
        random_bytes=random.Random(5).randbytes,
        today=date(2026, 5, 4),
    )
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    command = [sys.executable, "-m", "simulators.hall", "--directory", str(run), "--station", str(box)]
    command += ["--scenario", str(tmp_path / "scenario.toml")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as hall:
        assert hall.stdin is not None
        assert hall.stdout is not None
        answer = hall.stdout.readline()
        if not answer:
            pytest.skip("there is no pcscd with virtual readers here")
        told = json.loads(answer)
        (station,) = told["stations"]
        terminal = RemoteTerminal(pcsc, told["socket"], station["reader"])
        yield Line(FeederClient(Path(station["control"])), terminal, note.chips)
        terminal.close()
        hall.stdin.close()
        hall.wait(10)


def test_faults_are_seen_through_pcsc_as_what_they_are(line: Line) -> None:
    first, second, third, fourth = line.serials

    # Torn before and after: no answer; then the same card, asked again, answers.
    line.feeder.load()
    for _ in ("torn-before", "torn-after"):
        with pytest.raises(CardLost):
            line.contact()
        assert line.contact() == first
    with pytest.raises(ChipRefused):
        line.contact()
    assert line.contact() == first
    line.put_away()

    # Swapped: no answer; then another card.
    line.feeder.load()
    with pytest.raises(CardLost):
        line.contact()
    assert line.contact() == third
    line.put_away()

    # Mute: no answer, and then no card that a reader would find. The one that was swapped lies in the hopper.
    line.feeder.load()
    with pytest.raises(CardLost):
        line.contact()
    with pytest.raises(CardAbsent):
        line.contact()
    line.put_away()
    line.feeder.load()
    assert {line.contact()} <= {second, fourth}

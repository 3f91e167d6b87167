"""What every terminal and feeder does, on real wires: PC/SC (pcscd with virtual readers) and the direct socket.

The chips and the station behind the wires are the simulated ones, in processes of their own.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from card_profiles.profile import load_profile
from personalization.station.apdu import CommandApdu
from personalization.station.contact import read_contact
from personalization.station.encode import encode_card
from personalization.station.errors import CardAbsent, HopperEmpty, ReaderGone, StaleFence, StationUnavailable
from personalization.station.feeder import FeederClient
from personalization.station.ports import Command, FeederState, Lost, Outcome, Played, Script, ScriptId, Stopped
from simulators.chip.maker import Order, make_delivery
from simulators.chip.personalization import Function as MakerFunction
from tests.personalization.station.remote_terminal import RemoteTerminal, direct, pcsc
from tests.personalization.station.software_keys import MASTERS

pytestmark = pytest.mark.services

SPEC = load_profile("eid-citizen@1").chip
PRODUCTION_DATA = "80CA9F7F00"
INITIALIZE_UPDATE = "8050030008010203040506070800"


@dataclass
class Stand:
    """A station with chips in its hopper, its feeder, and ways to make terminals."""

    feeder: FeederClient
    make_terminal: Callable[[], RemoteTerminal]
    terminal: RemoteTerminal
    serials: tuple[str, ...]
    socket: str | None
    reader: str | None

    def load(self) -> str:
        """The next chip's serial; the chip is in position."""
        position = self.feeder.state()
        self.feeder.load()
        return self.serials[position.good + position.rejected]


@pytest.fixture(params=["direct", "pcsc"])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    box, run = tmp_path / "station", tmp_path / "run"
    box.mkdir()
    numbers = iter(range(1, 9))
    note = make_delivery(
        box,
        Order("D1", "LOT-2026-0001", 3, SPEC.atr),
        {MakerFunction[name]: master for name, master in MASTERS.items()},
        random_bytes=lambda count: next(numbers).to_bytes(count, "big"),
        today=date(2026, 5, 4),
    )
    command = [sys.executable, "-m", "simulators.hall", "--directory", str(run), "--station", str(box)]
    command += ["--direct"] if request.param == "direct" else []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as hall:
        assert hall.stdout is not None
        line = hall.stdout.readline()
        if not line and request.param == "pcsc":
            pytest.skip("there is no pcscd with virtual readers here")
        told = json.loads(line)
        (station,) = told["stations"]

        def make() -> RemoteTerminal:
            if request.param == "direct":
                return RemoteTerminal(direct, station["chip"])
            return RemoteTerminal(pcsc, told["socket"], station["reader"])

        terminal = make()
        feeder = FeederClient(Path(station["control"]))
        yield Stand(feeder, make, terminal, note.chips, told["socket"], station["reader"])
        terminal.close()
        hall.stdin.close() if hall.stdin else None
        hall.wait(10)


def script(name: str, *apdus: str, fence: int = 1) -> Script:
    return Script(ScriptId(name), fence, tuple(Command(bytes.fromhex(apdu), "test") for apdu in apdus))


def answers(outcome: Outcome) -> list[bytes]:
    assert isinstance(outcome, Played)
    return [response.data for response in outcome.responses]


def test_a_chip_tells_who_it_is_and_a_script_is_played_once(stand: Stand) -> None:
    serial = stand.load()
    assert stand.terminal.power_on() == SPEC.atr
    assert stand.terminal.reader_name == stand.reader
    contact = read_contact(stand.terminal, SPEC, script_prefix="c", fence=1)
    assert contact.chip_serial == serial
    # The sequence counter goes up with every INITIALIZE UPDATE: it tells whether a script was played again.
    first = answers(stand.terminal.play(script("a", INITIALIZE_UPDATE)))
    assert answers(stand.terminal.play(script("a", INITIALIZE_UPDATE))) == first
    second = answers(stand.terminal.play(script("b", INITIALIZE_UPDATE)))
    assert (first[0][-1], second[0][-1]) == (1, 2)
    with pytest.raises(StaleFence):
        stand.terminal.play(script("c", INITIALIZE_UPDATE, fence=0))


def test_a_script_stops_and_a_reset_forgets(stand: Stand) -> None:
    stand.load()
    stand.terminal.power_on()
    outcome = stand.terminal.play(script("a", "00A4040C07A0000002471001", "80CA9F7F00"))
    assert isinstance(outcome, Stopped)
    assert outcome.index == 1
    stand.terminal.power_on()  # the card manager is selected again
    assert len(answers(stand.terminal.play(script("b", PRODUCTION_DATA)))[0]) == 45


def test_extended_length_passes(stand: Stand) -> None:
    stand.load()
    stand.terminal.power_on()
    long = CommandApdu(0x80, 0xE2, 0x88, 0x00, bytes(2048), 256).encode()
    outcome = stand.terminal.play(script("a", long.hex()))
    assert isinstance(outcome, Stopped)
    assert outcome.status == 0x6982  # understood, and refused outside a channel


def test_an_empty_position(stand: Stand) -> None:
    with pytest.raises(CardAbsent):
        stand.terminal.power_on()
    assert isinstance(stand.terminal.play(script("a", PRODUCTION_DATA)), Lost)


def test_a_card_that_is_taken_away_loses_the_answer_and_the_next_one_is_another(stand: Stand) -> None:
    stand.load()
    stand.terminal.power_on()
    stand.feeder.eject(good=False)
    outcome = stand.terminal.play(script("a", PRODUCTION_DATA))
    assert isinstance(outcome, Lost)
    assert outcome.index == 0
    serial = stand.load()
    assert read_contact(stand.terminal, SPEC, script_prefix="b", fence=1).chip_serial == serial


def test_cards_follow_one_another(stand: Stand) -> None:
    for number, expected in enumerate(stand.serials):
        assert stand.load() == expected
        assert stand.load() == expected  # nothing happens while one is there
        contact = read_contact(stand.terminal, SPEC, script_prefix=f"{number}", fence=number)
        assert contact.chip_serial == expected
        stand.terminal.release()
        stand.feeder.eject(good=number != 1)
        stand.feeder.eject(good=True)
    assert stand.feeder.state() == FeederState(hopper=0, positioned=False, good=2, rejected=1)
    with pytest.raises(HopperEmpty):
        stand.feeder.load()


def test_one_holder_at_a_time(stand: Stand) -> None:
    stand.load()
    stand.terminal.power_on()
    if stand.reader is None:
        return  # a second one is refused when it is made: see test_direct
    other = stand.make_terminal()
    with pytest.raises(ReaderGone):
        other.power_on()
    stand.terminal.release()
    assert other.power_on() == SPEC.atr
    other.close()
    assert stand.terminal.power_on() == SPEC.atr


def test_another_program_reads_the_card_after_release(stand: Stand) -> None:
    if stand.socket is None or stand.reader is None:
        return
    stand.load()
    stand.terminal.power_on()
    stand.terminal.release()
    told = subprocess.run(
        ["opensc-tool", "--reader", stand.reader, "--atr"],
        env={"PCSCLITE_CSOCK_NAME": stand.socket, "PATH": "/usr/bin"},
        capture_output=True,
        check=True,
        text=True,
        timeout=20,
    )
    assert bytes.fromhex(told.stdout.strip().replace(":", "")) == SPEC.atr


def test_a_whole_card_is_encoded(stand: Stand, chip_keys: Any, card: Any) -> None:
    stand.load()
    contact = read_contact(stand.terminal, SPEC, script_prefix="a", fence=1)
    numbers = iter(range(1, 9))
    report = encode_card(
        stand.terminal,
        chip_keys,
        profile=card.profile,
        image=card.image,
        contact=contact,
        chip_keys_blobs=card.blobs,
        host_challenge=lambda count: next(numbers).to_bytes(count, "big"),
        script_prefix="a",
        fence=1,
    )
    assert report.exchanges <= report.content_bytes / SPEC.maximum_command_data_bytes + 25
    assert read_contact(stand.terminal, SPEC, script_prefix="b", fence=1).secured
    biggest = max((file for each in card.image.applications for file in each.files), key=lambda file: len(file.content))
    select_file = CommandApdu(0x00, 0xA4, 0x02, 0x0C, biggest.fid.to_bytes(2, "big")).encode().hex()
    outcome = stand.terminal.play(script("read", "00A4040C07A0000002471001", select_file, "00B00000000000"))
    assert answers(outcome)[-1] == biggest.content


def test_readers_that_cannot_be_listed_are_not_taken_for_none(tmp_path: Path) -> None:
    """OpenSC told of no other reader would open them all."""
    terminal = RemoteTerminal(pcsc, str(tmp_path / "no.socket"), "Station 1")
    with pytest.raises(StationUnavailable):
        terminal.other_readers()
    terminal.close()

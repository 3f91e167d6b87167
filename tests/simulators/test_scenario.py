"""Scenario files: what is a fault, what is refused with a sentence, and what a chip with faults does."""

import json
from pathlib import Path

import pytest

from simulators.chip.apdu import Status
from simulators.faulty_chip import CardMute, CardSwapped, CardTorn, FaultyChip
from simulators.scenario import Fault, Kind, Scenario, ScenarioError, parse_scenario
from tests.simulators import chip_host as host
from tests.simulators.chip_host import SERIAL

SERIAL_TEXT = SERIAL.hex().upper()
CPLC = bytes.fromhex("80CA9F7F00")
STORE_DATA = bytes.fromhex("80E2880001AA")


def write(path: Path, *faults: str) -> Path:
    """A scenario of faults f1, f2, … each given as `key = value` pairs with semicolons between them."""
    tables = (f"[f{n}]\n" + fault.replace(";", "\n") for n, fault in enumerate(faults, 1))
    path.write_text("\n".join(tables))
    return path


class Desk:
    """A chip at a station that can be started again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.file = directory / "scenario.toml"
        self.slept: list[float] = []
        self.told: list[str] = []
        self.chip = host.blank(directory / "chip")
        self.chip.power_off()

    def start(self, *faults: str, ordinal: int = 1) -> FaultyChip:
        """The station was started: the card in position is powered."""
        if faults:
            write(self.file, *faults)
        scenario = Scenario(self.file, self._directory / "faults.json", tell=self.told.append)
        self.chip.power_off()
        card = FaultyChip(self.chip, ordinal, scenario, sleep=self.slept.append)
        if not card.mute:
            card.power_on()
        return card


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def statuses(card: FaultyChip, *apdus: bytes) -> list[str]:
    """Status words, or what happened instead; a card that was torn off gets power again."""
    seen = []
    for apdu in apdus:
        try:
            seen.append(card.transmit(apdu)[-2:].hex().upper())
        except (CardTorn, CardMute) as fault:
            assert not card.powered
            seen.append(type(fault).__name__)
            if not card.mute:
                card.power_on()
    return seen


def test_a_file_tells_faults_in_its_order() -> None:
    faults = parse_scenario(
        f"""
        [pulled]
        fault = "torn-after"
        card = "{SERIAL_TEXT}"
        apdu = 20
        times = 3
        [wrong]
        fault = "status"
        card = 2
        apdu = 7
        status = "6F00"
        [sleepy]
        fault = "slow"
        card = 1
        apdu = 1
        milliseconds = 40
        """
    )
    assert faults == (
        Fault("pulled", Kind.TORN_AFTER, SERIAL_TEXT, 20, times=3),
        Fault("wrong", Kind.STATUS, 2, 7, status=0x6F00),
        Fault("sleepy", Kind.SLOW, 1, 1, milliseconds=40),
    )
    assert parse_scenario("") == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = 1", "a stands outside of any fault"),
        ("[a\n", "it is not TOML"),
        ("[a]\ncard = 1\napdu = 1", r"\[a\] needs a fault: one of torn-before, torn-after, "),
        ("[a]\nfault = ['mute']", r"\[a\] needs a fault"),
        ("[a]\nfault = 'melted'\ncard = 1\napdu = 1", r"\[a\] needs a fault"),
        ("[a]\nfault = 'mute'\ncard = 1", r"\[a\] needs the key apdu"),
        ("[a]\nfault = 'mute'\ncard = 1\napdu = 1\ntimes = 2", r"mute does not know: times \(known: apdu, card, f"),
        ("[a]\nfault = 'torn-after'\ncard = 1\napdu = 1\nafter = true", r"torn-after does not know: after"),
        ("[a]\nfault = 'slow'\ncard = 1\napdu = 1", r"\[a\] needs the key milliseconds"),
        ("[a]\nfault = 'slow'\ncard = 1\napdu = 1\nmilliseconds = 0.5", "milliseconds is a whole number from 1 to"),
        ("[a]\nfault = 'status'\ncard = 1\napdu = 1\nstatus = '6f00'", "status is a status word in capital hex digits"),
        ("[a]\nfault = 'status'\ncard = 1\napdu = 1\nstatus = 27392", "status is a status word"),
        ("[a]\nfault = 'swapped'\ncard = 0\napdu = 1", r"\[a\] card is a chip serial \(20 capital hex digits\)"),
        ("[a]\nfault = 'swapped'\ncard = true\napdu = 1", r"\[a\] card is"),
        ("[a]\nfault = 'swapped'\ncard = 'ab'\napdu = 1", r"\[a\] card is"),
        ("[a]\nfault = 'swapped'\ncard = 1\napdu = 0", r"\[a\] apdu is a whole number from 1"),
        ("[a]\nfault = 'swapped'\ncard = 1\napdu = true", r"\[a\] apdu is a whole number from 1"),
    ],
)  # fmt: skip
def test_what_is_no_scenario_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ScenarioError, match=sentence):
        parse_scenario(text)


def test_torn_before_the_command_is_not_run(desk: Desk) -> None:
    card = desk.start("fault='torn-before'; card=1; apdu=2")
    initialize_update = bytes.fromhex("80500100080102030405060708")
    assert statuses(card, CPLC, initialize_update) == ["9000", "CardTorn"]
    assert card.transmit(initialize_update)[29:32] == b"\x00\x00\x01"  # the channel's sequence counter


def test_torn_after_the_command_took_effect(desk: Desk) -> None:
    card = desk.start("fault='torn-after'; card=1; apdu=2")
    initialize_update = bytes.fromhex("80500100080102030405060708")
    assert statuses(card, CPLC, initialize_update) == ["9000", "CardTorn"]
    assert card.transmit(initialize_update)[29:32] == b"\x00\x00\x02"


def test_a_wrong_status_comes_instead_of_the_command(desk: Desk) -> None:
    card = desk.start("fault='status'; card=1; apdu=1; status='6F00'; times=2")
    assert statuses(card, CPLC, CPLC, CPLC) == ["6F00", "6F00", "9000"]


def test_commands_are_counted_anew_from_each_strike(desk: Desk) -> None:
    card = desk.start("fault='torn-before'; card=1; apdu=3; times=2")
    seen = statuses(card, *[CPLC] * 8)
    assert seen == ["9000", "9000", "CardTorn", "9000", "9000", "CardTorn", "9000", "9000"]


def test_a_fault_that_struck_does_not_strike_again_when_the_station_is_started_anew(desk: Desk, tmp_path: Path) -> None:
    assert statuses(desk.start("fault='torn-after'; card=1; apdu=1"), CPLC) == ["CardTorn"]
    assert statuses(desk.start(), CPLC, CPLC) == ["9000", "9000"]
    assert json.loads((tmp_path / "faults.json").read_text()) == {"f1": [SERIAL_TEXT]}


def test_a_chip_that_fell_mute_stays_mute_also_when_the_station_is_started_anew(desk: Desk) -> None:
    card = desk.start("fault='mute'; card=1; apdu=2")
    assert statuses(card, CPLC, CPLC) == ["9000", "CardMute"]
    again = desk.start(ordinal=7)
    assert again.mute
    with pytest.raises(CardMute):
        again.power_on()


def test_a_slow_chip_is_slow_from_then_on(desk: Desk) -> None:
    card = desk.start("fault='slow'; card=1; apdu=2; milliseconds=40")
    assert statuses(card, CPLC, CPLC, CPLC) == ["9000"] * 3
    assert desk.slept == [0.04, 0.04]


def test_a_full_chip_takes_no_more_but_answers_all_else(desk: Desk) -> None:
    card = desk.start("fault='no-memory'; card=1; apdu=2")
    seen = statuses(card, STORE_DATA, CPLC, STORE_DATA, CPLC, STORE_DATA)
    refused = f"{Status.SECURITY_NOT_SATISFIED:04X}"  # no channel: the chip itself refuses
    assert seen == [refused, "9000", "6A84", "9000", "6A84"]


def test_a_fault_strikes_its_own_card_alone(desk: Desk) -> None:
    faults = ("fault='mute'; card=2; apdu=1", f"fault='status'; card='{'0' * 20}'; apdu=1; status='6F00'")
    assert statuses(desk.start(*faults), CPLC) == ["9000"]
    assert statuses(desk.start(*faults, ordinal=2), CPLC) == ["CardMute"]


def test_a_lasting_fault_strikes_one_card(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text(json.dumps({"f1": ["0" * 20]}))
    assert statuses(desk.start("fault='mute'; card=1; apdu=1"), CPLC) == ["9000"]


def test_one_fault_strikes_a_command_the_first_of_the_file(desk: Desk) -> None:
    card = desk.start("fault='swapped'; card=1; apdu=1", "fault='status'; card=1; apdu=1; status='6F00'")
    with pytest.raises(CardSwapped):
        card.transmit(CPLC)


def test_the_file_is_read_anew_at_each_power_on_and_a_wrong_one_changes_nothing(desk: Desk) -> None:
    card = desk.start("fault='status'; card=1; apdu=3; status='6F00'")
    desk.file.write_text("[f1]\nfault = 'status'\n")
    card.reset()
    assert desk.told == [f"scenario {desk.file}: [f1] needs the key apdu; the scenario stays as it was\n"]
    assert statuses(card, CPLC, CPLC, CPLC) == ["9000", "9000", "6F00"]
    write(desk.file, "fault='status'; card=1; apdu=1; status='6F00'", "fault='status'; card=1; apdu=4; status='6A88'")
    card.reset()
    assert statuses(card, CPLC) == ["6A88"]


def test_a_memory_that_cannot_be_read_is_told(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text("[")
    with pytest.raises(ScenarioError, match="remove it to begin anew"):
        desk.start("fault='mute'; card=1; apdu=1")

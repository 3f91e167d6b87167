"""A station whose chips fail by a scenario file, or are slow by a latency model, as its users meet it: a process."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulators.chip.maker import DEFAULT_ATR
from tests.simulators.started import move, started
from tests.simulators.test_latency import SHIPPED
from tests.simulators.test_station import (
    CPLC,
    SERIALS,
    SlotCard,
    SlotReader,
    arguments,
    directory,
    reader,
    short,
)

__all__ = ["directory", "reader", "short"]  # fixtures

FIRST, SECOND = SERIALS


def scenario(place: Path, fault: str, **keys: object) -> tuple[str | Path, ...]:
    """The arguments of a station with one fault of the first card, at its second command if nothing else is said."""
    file = place / "scenario.toml"
    pairs = {"fault": f'"{fault}"', "card": 1, "apdu": 2} | keys
    file.write_text("[one]\n" + "".join(f"{key} = {value}\n" for key, value in pairs.items()))
    return "--scenario", file


def tear(card: SlotCard) -> None:
    """Power and two commands; the answer to the second does not come, for the card is gone."""
    assert card.serial() == FIRST
    card._send(CPLC)
    assert card.is_gone()


@pytest.mark.parametrize("fault", ["torn-before", "torn-after"])
def test_a_torn_card_comes_back_without_power(directory: Path, short: Path, reader: SlotReader, fault: str) -> None:
    with started("station", *arguments(directory, short), *scenario(short, fault)) as station:
        assert move(station.told["control"], "load")["ok"]
        with reader.card() as card:
            tear(card)
        with reader.card() as card:
            assert card.exchange(CPLC) == bytes.fromhex("6985")
            assert card.serial() == card.serial() == FIRST
            assert move(station.told["control"], "eject", tray="good")["good"] == 1


def test_a_station_that_is_started_again_does_not_repeat_a_fault(
    directory: Path, short: Path, reader: SlotReader
) -> None:
    station_with_fault = (*arguments(directory, short), *scenario(short, "torn-after"))
    with started("station", *station_with_fault) as station:
        move(station.told["control"], "load")
        with reader.card() as card:
            tear(card)
        with reader.card() as card:
            station.kill()
            assert card.is_gone()
    with started("station", *station_with_fault), reader.card() as card:
        assert card.serial() == card.serial() == FIRST


def test_the_n_th_card_is_the_n_th_that_was_loaded(directory: Path, short: Path, reader: SlotReader) -> None:
    with started("station", *arguments(directory, short), *scenario(short, "torn-before", card=2, apdu=1)) as station:
        control = station.told["control"]
        move(control, "load")
        with reader.card() as card:
            assert card.serial() == card.serial() == FIRST
            move(control, "eject", tray="reject")
        move(control, "load")
        with reader.card() as card:
            card._send(b"\x01")
            card._send(CPLC)
            assert card.is_gone()
        with reader.card() as card:
            assert card.serial() == SECOND


def test_a_swapped_card_lies_in_the_hopper_and_another_stands_in_position(
    directory: Path, short: Path, reader: SlotReader
) -> None:
    with started("station", *arguments(directory, short), *scenario(short, "swapped")) as station:
        control = station.told["control"]
        move(control, "load")
        with reader.card() as card:
            tear(card)
        with reader.card() as card:
            assert card.serial() == SECOND
            told = move(control, "state")
            assert (told["hopper"], told["positioned"]) == (1, True)
            assert (directory / "boxes" / "B" / FIRST).is_dir()
            assert move(control, "eject", tray="good")["good"] == 1
        assert (directory / "good" / SECOND).is_dir()


def test_with_an_empty_hopper_a_swapped_card_is_only_torn(directory: Path, short: Path, reader: SlotReader) -> None:
    (directory / "boxes" / "B" / SECOND).rename(short / "elsewhere")
    with started("station", *arguments(directory, short), *scenario(short, "swapped")) as station:
        move(station.told["control"], "load")
        with reader.card() as card:
            tear(card)
        with reader.card() as card:
            assert card.serial() == FIRST


def test_a_mute_card_is_found_by_no_reader_and_can_be_moved(directory: Path, short: Path, reader: SlotReader) -> None:
    station_with_fault = (*arguments(directory, short), *scenario(short, "mute"))
    with started("station", *station_with_fault) as station:
        move(station.told["control"], "load")
        with reader.card() as card:
            tear(card)
        assert move(station.told["control"], "load")["positioned"]
        station.kill()
    with started("station", *station_with_fault) as station:
        control = station.told["control"]
        assert move(control, "load")["positioned"], "the feeder does not care"
        assert move(control, "eject", tray="reject")["rejected"] == 1
        move(control, "load")
        with reader.card() as card:
            assert card.serial() == card.serial() == SECOND


def test_a_scenario_may_be_changed_while_the_station_runs(directory: Path, short: Path, reader: SlotReader) -> None:
    station_with_fault = (*arguments(directory, short), *scenario(short, "status", apdu=1000, status='"6F00"'))
    with started("station", *station_with_fault) as station:
        move(station.told["control"], "load")
        with reader.card() as card:
            assert card.serial() == FIRST
            scenario(short, "status", apdu=2, status='"6F00"')
            card._send(b"\x01")
            assert card.exchange(CPLC) == bytes.fromhex("6F00")


def test_a_slow_chip_takes_what_the_model_says(directory: Path, short: Path, reader: SlotReader) -> None:
    model = short / "model.toml"
    model.write_text(SHIPPED.read_text().replace("milliseconds = 40.0", "milliseconds = 250.0"))
    with started("station", *arguments(directory, short), "--latency", model) as station:
        move(station.told["control"], "load")
        with reader.card() as card:
            began = time.monotonic()
            assert card.atr() == DEFAULT_ATR, "the reader's own questions take no time"
            at_once = time.monotonic() - began
            assert card.serial() == FIRST
            assert time.monotonic() - began >= 0.25 > at_once


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (("--scenario", "scenario.toml"), "scenario.toml: [one] needs the key status"),
        (("--scenario", "none.toml"), "none.toml: it cannot be read"),
        (("--latency", "scenario.toml"), "scenario.toml: one is not among the tables: exchange, "),
    ],
)
@pytest.mark.parametrize("program", ["station", "hall"])
def test_a_wrong_file_is_told_in_a_sentence(
    directory: Path, short: Path, program: str, wrong: tuple[str, str], sentence: str
) -> None:
    scenario(short, "status")
    given = (wrong[0], str(short / wrong[1]))
    run = ("--directory", str(short / "run"), "--station", str(directory), "--direct")
    place = map(str, arguments(directory, short)) if program == "station" else run
    done = subprocess.run(
        [sys.executable, "-m", f"simulators.{program}", *place, *given], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_held_card_takes_no_scenario(directory: Path, short: Path) -> None:
    chip = directory / "boxes" / "B" / SECOND
    place = ("--hold", chip, "--control", short / "control", "--connect", f"unix:{short / 'chip'}")
    command = [sys.executable, "-m", "simulators.station", *map(str, (*place, *scenario(short, "mute")))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "a held card has no scenario" in done.stderr


def test_a_hall_hands_both_files_to_its_stations(directory: Path, short: Path) -> None:
    given = ("--directory", short / "run", "--station", directory, "--direct")
    files = (*scenario(short, "torn-after"), "--latency", SHIPPED)
    (short / "run").mkdir()
    reader = None
    with started("hall", *given, *files) as hall:
        (place,) = hall.told["stations"]
        reader = SlotReader(Path(place["chip"].removeprefix("unix:")))
        try:
            assert move(place["control"], "load")["ok"]
            with reader.card() as card:
                tear(card)
            with reader.card() as card:
                assert card.serial() == FIRST
        finally:
            reader.close()

"""What a station does with a chip that falls mute, is slow, answers wrongly, is full, or is swapped for another."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.chaos.card_accounts import broken, check_accounts
from tests.chaos.failing_chip import FailingLine, Result, Trial

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

# Moments of a whole personalization: what a command is for, and which one of those (from 0).
Moment = tuple[str, int]
FIRST_CONTACT: tuple[Moment, ...] = (
    ("SELECT card manager", 0),
    ("GET DATA operating system version", 0),
    ("GET STATUS applications", 0),
)
ENCODING: tuple[Moment, ...] = (
    ("SELECT card manager", 1),
    ("INITIALIZE UPDATE KEY", 0),
    ("EXTERNAL AUTHENTICATE", 0),
    ("store private keys", 0),
    ("store files of auth", 0),
    ("store files of travel", 0),
    ("store files of travel", -1),
    ("lock application eid", 0),
    ("lock the card", 0),
)
READING: tuple[Moment, ...] = (
    ("SELECT card manager", 2),
    ("store PIN objects", 0),
    ("GET STATUS card", 1),
    ("READ BINARY", 0),
    ("READ BINARY", -1),
)
PROVING: tuple[Moment, ...] = (("VERIFY PIN1", 1), ("GET DATA counter of PUK", 0), ("signature of slot sign", 0))
BLOCKING: tuple[Moment, ...] = (("INITIALIZE UPDATE PIN", 1), ("store PIN objects", 1))
LAST: Moment = ("VERIFY PUK", -1)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> FailingLine:
    return FailingLine(tmp_path_factory.mktemp("failing"))


@pytest.fixture(scope="module")
def commands(line: FailingLine) -> list[str]:
    """What every command of a whole personalization is for."""
    return line.run_one().commands


def trials(fault: str, moments: Sequence[Moment], commands: list[str], **more: Any) -> list[Trial]:
    """The fault at each of these moments."""
    found = []
    for purpose, which in moments:
        places = [number for number, each in enumerate(commands, 1) if each == purpose]
        found.append(Trial.of(fault, places[which], **more))
    return found


def ends(result: Result) -> list[tuple[str, str | None]]:
    """State and reason of every job of the order."""
    return [(job["state"], job["reason"]) for job in result.jobs]


def check_all_end(results: list[Result], *expected: tuple[str, str | None]) -> None:
    """Every order ended like this, with its accounts whole."""
    assert broken(results) == {}
    assert {result.name: ends(result) for result in results if ends(result) != list(expected)} == {}


def test_a_mute_card_that_is_bound_is_spoiled_and_made_again(line: FailingLine, commands: list[str]) -> None:
    moments = (*ENCODING, *READING, *PROVING, *BLOCKING, LAST)
    check_all_end(line.run(trials("mute", moments, commands)), ("failed", "card-mute"), ("done", None))


def test_a_card_that_falls_mute_before_it_said_who_it_is_halts_the_station(
    line: FailingLine, commands: list[str]
) -> None:
    for result in line.run(trials("mute", FIRST_CONTACT, commands)):
        assert (result.halt, result.error) == ("card-mute", None)
        assert (result.spoiled, result.good, result.left) == (0, 0, result.received)
        assert set(result.contents.values()) == {0}
        assert {state for _, _, state in result.pairs} == {"on-hold"}


def test_a_slow_card_is_made(line: FailingLine) -> None:
    (result,) = line.run([Trial.of("slow", 1, milliseconds=5)])
    check_accounts(result)
    assert (ends(result), result.spoiled) == ([("done", None)], 0)
    assert list(result.struck) == ["slow"]


@pytest.mark.parametrize("status", ["6F00", "6985"])
def test_one_wrong_status_while_a_card_is_written_or_read_costs_no_card(
    line: FailingLine, commands: list[str], status: str
) -> None:
    moments = (*FIRST_CONTACT, *ENCODING, *READING, *BLOCKING)
    check_all_end(line.run(trials("status", moments, commands, status=status)), ("done", None))


def test_a_broken_channel_is_opened_again(line: FailingLine, commands: list[str]) -> None:
    """6988: the chip did not like a MAC."""
    check_all_end(line.run(trials("status", (*ENCODING, *BLOCKING), commands, status="6988")), ("done", None))


def test_a_chip_that_clearly_refuses_twice_is_spoiled(line: FailingLine, commands: list[str]) -> None:
    refused = trials("status", ENCODING[4:], commands, status="6982", times=2)
    check_all_end(line.run(refused), ("failed", "chip-refused"), ("done", None))


def test_a_wrong_answer_to_the_proof_of_keys_and_pins_is_a_failed_inspection(
    line: FailingLine, commands: list[str]
) -> None:
    failed = trials("status", (*PROVING, LAST), commands, status="6F00")
    check_all_end(line.run(failed), ("failed", "inspection-own"), ("done", None))


def test_a_chip_without_room_is_spoiled_and_made_again(line: FailingLine, commands: list[str]) -> None:
    """6A84 from the first, a middle and the last STORE DATA on, those that set PINs among them."""
    last = sum(purpose.startswith("store ") for purpose in commands)
    full = [Trial.of("no-memory", store) for store in (1, last // 2, last - 1, last)]
    check_all_end(line.run(full), ("failed", "chip-refused"), ("done", None))


def test_a_card_swapped_before_it_is_bound_goes_back_unharmed(line: FailingLine, commands: list[str]) -> None:
    for result in line.run(trials("swapped", FIRST_CONTACT, commands)):
        check_accounts(result)
        (swapped,) = result.struck["swapped"]
        assert (ends(result), result.spoiled) == ([("done", None)], 0)
        assert swapped in result.places["hopper"]
        assert result.contents[swapped] == 0


@pytest.mark.parametrize("ends_worker", [False, True], ids=["worker-goes-on", "worker-starts-again"])
def test_a_card_swapped_for_the_bound_one_is_never_taken_for_it(
    line: FailingLine, commands: list[str], ends_worker: bool
) -> None:
    """Wherever it happens: the station halts, the bound card stays bound, nothing is written to the other one."""
    bound_from = commands.index("SELECT card manager", 1) + 1
    everywhere = [Trial.of("swapped", apdu, ends_worker=ends_worker) for apdu in range(bound_from, len(commands), 9)]
    last = trials("swapped", [LAST], commands, ends_worker=ends_worker)
    for result in line.run([*everywhere, *last]):
        assert (result.halt, result.error) == ("card-swapped", None), result.name
        (bound,) = result.struck["swapped"]
        (stranger,) = result.places["position"]
        assert stranger != bound
        assert result.blanks[stranger] == ["received", None]
        assert result.contents[stranger] == 0
        assert result.blanks[bound] == ["bound", result.jobs[0]["id"]]
        assert bound in result.places["hopper"]
        assert (result.good, result.spoiled, result.left) == (0, 0, result.received)

"""The chip torn off at every command of a whole personalization, before and after the command took effect.

First contact, encoding, printing, inspection by our own steps, blocking of the PINs; the ordinary worker goes on until
there is nothing left to do. What must be true then, at every position: `card_accounts`.
"""

import pytest

from tests.chaos.card_accounts import broken, check_accounts
from tests.chaos.failing_chip import SAMPLES, FailingLine, Trial

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

FEWEST_COMMANDS = 100
"""A whole personalization has more commands than this, so that a count that went wrong shows."""

STRIDE = 9
TORN_THREE_TIMES = (7, 15, 29, 36, 44)
"""Commands of encoding and of the reading after it: from the seventh on the blank is bound."""
TEARS = ("torn-before", "torn-after")


KINDS = ("PADIS-2026-0000001", "PADIS-2026-0000002", "PADIS-2026-0000009")
"""A child without fingers, a citizen, a non-citizen."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One kind of card; all with `--thorough` (make chaos)."""
    if "line" in metafunc.fixturenames:
        kinds = KINDS if metafunc.config.getoption("--thorough") else KINDS[1:2]
        metafunc.parametrize("line", kinds, indirect=True, scope="module")


@pytest.fixture(scope="module")
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FailingLine:
    return FailingLine(tmp_path_factory.mktemp("torn"), SAMPLES / f"{request.param}.json")


@pytest.fixture(scope="module")
def commands(line: FailingLine) -> int:
    """How many commands a card takes from its first contact to its blocked PINs."""
    whole = line.run_one()
    check_accounts(whole)
    assert (whole.spoiled, whole.struck) == (0, {})
    assert len(whole.commands) > FEWEST_COMMANDS
    assert max(TORN_THREE_TIMES) < whole.commands.index("READ BINARY")
    return len(whole.commands)


@pytest.mark.parametrize("fault", TEARS)
def test_a_card_torn_at_any_command_is_continued_and_accounted_for(
    line: FailingLine, commands: int, fault: str
) -> None:
    results = line.run([Trial.of(fault, apdu) for apdu in range(1, commands + 1)])
    assert len(results) == commands
    assert broken(results) == {}
    # Read and continued, a card costs no blank, no number and no certificate: a single tear loses none.
    assert [result.name for result in results if result.spoiled] == []
    # A print is never sent twice, wherever the tear was.
    assert {len(result.printed) for result in results} == {1}


@pytest.mark.parametrize("fault", TEARS)
def test_a_card_torn_twice_still_costs_no_blank(line: FailingLine, commands: int, fault: str) -> None:
    results = line.run([Trial.of(fault, apdu, times=2) for apdu in range(1, commands + 1, STRIDE)])
    assert broken(results) == {}
    assert [result.name for result in results if result.spoiled] == []
    assert all(len(result.struck[fault]) == 2 for result in results if int(result.name.split()[-1]) < commands // 2)


@pytest.mark.parametrize("fault", TEARS)
def test_a_card_torn_three_times_is_spoiled_and_made_again(line: FailingLine, fault: str) -> None:
    results = line.run([Trial.of(fault, apdu, times=3) for apdu in TORN_THREE_TIMES])
    assert broken(results) == {}
    for result in results:
        assert [(job["state"], job["reason"]) for job in result.jobs] == [("failed", "card-lost"), ("done", None)]
        assert result.spoiled == 1


@pytest.mark.parametrize("fault", TEARS)
def test_a_worker_that_ends_with_the_tear_and_starts_again_knows_how_to_go_on(
    line: FailingLine, commands: int, fault: str
) -> None:
    """Power cut at the centre: chip and worker stop in the middle of a session, at any command of it."""
    results = line.run([Trial.of(fault, apdu, ends_worker=True) for apdu in range(1, commands + 1, STRIDE)])
    assert broken(results) == {}
    assert [result.name for result in results if result.spoiled] == []

"""A few seeded rounds of trouble on each database, and every round that was ever broken (`make chaos` makes 200)."""

from collections.abc import Iterator

import pytest

from tests.chaos.rounds import Rounds, rounds_on

FEW = 4
KEPT_ROUNDS = ((1, 6),)
"""Seed and number of rounds that were broken once. 1/6: a pcscd that was killed twice at once ended its hall."""

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=[(1, False), (2, True)], ids=["sqlite", "postgresql"])
def rounds(request: pytest.FixtureRequest) -> Iterator[Rounds]:
    seed, postgres = request.param
    with rounds_on(seed, postgres=postgres, direct=False) as line:
        yield line
        assert line.end() == ()


@pytest.mark.parametrize("number", range(FEW))
def test_the_line_comes_to_rest_and_its_accounts_agree(rounds: Rounds, number: int) -> None:
    result = rounds.run(number)
    assert result.wrong == (), result.acts


def test_rounds_that_were_broken_once() -> None:
    for seed, number in KEPT_ROUNDS:
        with rounds_on(seed, postgres=seed % 2 == 0, direct=False) as line:
            result = line.run(number)
            assert result.wrong == (), result.acts

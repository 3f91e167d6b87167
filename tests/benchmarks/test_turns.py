"""Ratios of rounds in turns: the median of the rounds' own ratios, so one disturbed round changes nothing."""

import pytest

from api.bench.figure import Turns, per_second
from api.bench.workbench import Spent, spend


def spent(each: float, count: int = 10) -> Spent:
    return Spent(count, each * count, each * count / 2)


def test_the_median_ratio_is_that_of_a_round() -> None:
    turns = Turns((spent(0.02), spent(0.9), spent(0.02)), (spent(0.01), spent(0.01), spent(0.012)))
    assert turns.wall_ratio == pytest.approx(0.5)
    assert turns.cpu_ratio == pytest.approx(0.5)
    assert turns.to_json()["wall_ratio_of_each_round"] == [0.5, 0.011, 0.6]


def test_a_slow_reference_is_a_ratio_over_one() -> None:
    assert Turns((spent(0.01),), (spent(0.02),)).wall_ratio == pytest.approx(2.0)


def test_sides_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        _ = Turns((spent(0.01),), ()).wall_ratio


def test_speed_is_the_median_of_the_rounds() -> None:
    assert per_second((spent(0.01), spent(0.02), spent(5.0))) == pytest.approx(50)


def test_what_was_done_is_counted_and_timed() -> None:
    measured = spend(lambda: sum(1 for _ in range(1000)))
    assert measured.count == 1000
    assert measured.cpu_seconds >= 0
    assert measured.wall_seconds > 0

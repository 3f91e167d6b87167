"""What a benchmark says: one value beside a reference measured in the same run, and their ratio."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from api.bench.workbench import Spent

WARM_UP_CARDS = 10
"""Made before anything is measured: caches fill, modules load."""


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """How much is measured: `cards` a round, `rounds` in turns; `quick` shortens everything beside the rounds."""

    records: Path
    cards: int
    rounds: int
    quick: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """A value with its unit."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One benchmark's result; `ratio` is the median over rounds, so it need not be value / reference to the digit."""

    name: str
    value: float
    unit: str
    reference: Measured
    ratio: float
    details: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The object that `--json` prints."""
        return {
            "name": self.name,
            "value": round(self.value, 3),
            "unit": self.unit,
            "reference": {
                "name": self.reference.name,
                "value": round(self.reference.value, 3),
                "unit": self.reference.unit,
            },
            "ratio": round(self.ratio, 4),
            "details": dict(self.details),
        }


@dataclass(frozen=True, slots=True)
class Turns:
    """Two sides measured in turns, round by round."""

    ours: tuple[Spent, ...]
    reference: tuple[Spent, ...]

    @property
    def wall_ratio(self) -> float:
        """Median of the rounds' ratios of speed, by wall clock: 1 is as fast as the reference."""
        return median(r.wall_each / o.wall_each for o, r in self._pairs())

    @property
    def cpu_ratio(self) -> float:
        """The same by CPU time."""
        return median(r.cpu_each / o.cpu_each for o, r in self._pairs())

    def to_json(self) -> dict[str, object]:
        """Both ratios, and the milliseconds behind them."""
        return {
            "wall_ratio": round(self.wall_ratio, 4),
            "cpu_ratio": round(self.cpu_ratio, 4),
            "wall_ms": milliseconds(s.wall_each for s in self.ours),
            "cpu_ms": milliseconds(s.cpu_each for s in self.ours),
            "reference_wall_ms": milliseconds(s.wall_each for s in self.reference),
            "reference_cpu_ms": milliseconds(s.cpu_each for s in self.reference),
            "wall_ratio_of_each_round": [round(r.wall_each / o.wall_each, 3) for o, r in self._pairs()],
        }

    def _pairs(self) -> tuple[tuple[Spent, Spent], ...]:
        return tuple(zip(self.ours, self.reference, strict=True))


def milliseconds(seconds: Iterable[float]) -> float:
    """The median, in milliseconds."""
    return round(1000 * median(seconds), 3)


def per_second(spent: Iterable[Spent]) -> float:
    """Things made in a second of wall clock, median."""
    return 1 / median(each.wall_each for each in spent)

"""`bench inspect`: our own inspection of a finished card, beside reading the same bytes off it and nothing else."""

from api.bench.figure import BenchOptions, Figure, Measured, Turns, per_second
from api.bench.station_room import make_cards
from api.bench.workbench import Saying


def run(options: BenchOptions, say: Saying) -> Figure:
    """Measure it. Raises `CommandFailed`."""
    costs = make_cards(options, say, options.cards)
    raw = tuple(cost.raw_reading for cost in costs)
    turns = Turns(tuple(cost.inspecting for cost in costs), raw)
    reading = Turns(tuple(cost.reading for cost in costs), raw)
    return Figure(
        name="inspect",
        value=per_second(turns.ours),
        unit="cards/s",
        reference=Measured("the same SELECT and READ BINARY commands alone", per_second(raw), "cards/s"),
        ratio=turns.wall_ratio,
        details={
            **turns.to_json(),
            "cards": len(costs),
            "reading_alone": reading.to_json(),
            "beside_reading": "eleven steps: hashes, EF.SOD, image, pictures, certificates, a wrong and a right try of "
            "each PIN, a signature by each key of the card, and that nothing can be written any more",
        },
    )

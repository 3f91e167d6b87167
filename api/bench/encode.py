"""`bench encode`: bytes on the line and exchanges of an encoding, beside the card's content; and its time, beside the
same number of bytes over the bare wire.
"""

from collections.abc import Sequence
from statistics import median

from api.bench.figure import BenchOptions, Figure, Measured, Turns
from api.bench.station_room import make_cards
from api.bench.station_work import CardCost
from api.bench.workbench import Saying

MOST_OVER_CONTENT = 1.05
EXCHANGES_BESIDE_CONTENT = 25


def run(options: BenchOptions, say: Saying) -> Figure:
    """Measure it. Raises `CommandFailed`."""
    costs = make_cards(options, say, options.cards)
    middle = sorted(costs, key=lambda cost: cost.line_bytes / cost.content_bytes)[len(costs) // 2]
    turns = Turns(tuple(cost.encoding for cost in costs), tuple(cost.wire for cost in costs))
    return Figure(
        name="encode",
        value=middle.line_bytes,
        unit="bytes on the line",
        reference=Measured("content of the same card", middle.content_bytes, "bytes"),
        ratio=median(cost.line_bytes / cost.content_bytes for cost in costs),
        details={
            "cards": [_card(cost) for cost in sorted(costs, key=lambda cost: cost.content_bytes)],
            "content_from_which_1_05_holds": _holds_from(costs),
            "script": "all commands of a session are wrapped after INITIALIZE UPDATE and go out as one script",
            "largest_script_commands": max(cost.largest_script for cost in costs),
            "scripts_a_card": max(cost.scripts for cost in costs),
            "time": {"reference": "as many bytes in as many commands over the bare wire", **turns.to_json()},
        },
    )


def _card(cost: CardCost) -> dict[str, object]:
    return {
        "content_bytes": cost.content_bytes,
        "line_bytes": cost.line_bytes,
        "line_over_content": round(cost.line_bytes / cost.content_bytes, 4),
        "exchanges": cost.exchanges,
        "exchanges_allowed": cost.content_bytes // cost.buffer_bytes + EXCHANGES_BESIDE_CONTENT,
    }


def _holds_from(costs: Sequence[CardCost]) -> int | None:
    """The smallest content from which on every card of this run kept to 1.05; None where the largest did not.

    What a card costs beside its content does not grow with it, so small cards have the larger ratio.
    """
    holds = None
    for cost in sorted(costs, key=lambda cost: cost.content_bytes, reverse=True):
        if cost.line_bytes > MOST_OVER_CONTENT * cost.content_bytes:
            break
        holds = cost.content_bytes
    return holds

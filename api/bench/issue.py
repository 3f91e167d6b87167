"""`bench issue`: certificates a second (to-be-signed octets, own lint, signature, verification, storing) beside the
HSM's signatures alone.
"""

from contextlib import ExitStack

from api.bench.engine_work import issue, raw_signatures
from api.bench.figure import WARM_UP_CARDS, BenchOptions, Figure, Measured, Turns, per_second
from api.bench.records import Numbers, take_in
from api.bench.workbench import Saying, bench_line, worker

CERTIFICATES_OF_A_CARD = 2


def run(options: BenchOptions, say: Saying) -> Figure:
    """Measure it. Raises `CommandFailed`."""
    numbers = Numbers()
    with bench_line(say) as (_, settings), ExitStack() as stack:
        clerk, issuer = (stack.enter_context(worker(name, settings)) for name in ("clerk", "issuer"))
        clerk.run(take_in, options.records, numbers.take(WARM_UP_CARDS), WARM_UP_CARDS)
        issuer.run(issue, WARM_UP_CARDS)
        issuer.run(raw_signatures, WARM_UP_CARDS)
        say(f"{options.rounds} rounds of {options.cards} pairs, in turns with signatures alone")
        ours, reference = [], []
        for _ in range(options.rounds):
            clerk.run(take_in, options.records, numbers.take(options.cards), options.cards)
            ours.append(issuer.run(issue, options.cards))
            reference.append(issuer.run(raw_signatures, CERTIFICATES_OF_A_CARD * options.cards))
    turns = Turns(tuple(ours), tuple(reference))
    return Figure(
        name="issue",
        value=per_second(turns.ours),
        unit="certificates/s",
        reference=Measured("raw HSM signatures by the same key", per_second(turns.reference), "signatures/s"),
        ratio=turns.wall_ratio,
        details={**turns.to_json(), "pairs_a_round": options.cards, "rounds": options.rounds},
    )

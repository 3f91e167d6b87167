"""`bench end-to-end`: cards an hour of a whole `perso run`, beside the bare loop of one station.

The bare loop encodes and inspects card after card: no engine, no printer, no judges that are not ours.
"""

import json
import os
from pathlib import Path
from statistics import median

from api import line
from api.bench.figure import BenchOptions, Figure, Measured
from api.bench.records import makeable, numbered
from api.bench.station_room import station_room
from api.bench.workbench import Saying, bench_line
from api.failure import CommandFailed

SECONDS_AN_HOUR = 3600
REFERENCE_CARDS, QUICK_REFERENCE_CARDS = 10, 3


def run(options: BenchOptions, say: Saying) -> Figure:
    """Measure it; the run reaches its chips directly where it is quick, else as `perso run` does."""
    with bench_line(say) as (state, settings):
        records = state.root / "records"
        _write_records(records, options)
        made = line.run(
            line.LineOptions(
                records=records,
                state=state,
                database_url=None,
                stations=1,
                workers=1,
                specimen=False,
                direct=options.quick,
            ),
            say,
            lambda _progress, _files: None,
        )
        if made.trouble is not None or made.verified_now != options.cards:
            raise CommandFailed(f"{made.verified_now} of {options.cards} cards were made: {made.trouble}")
        count = QUICK_REFERENCE_CARDS if options.quick else REFERENCE_CARDS
        with station_room(state, settings, options, count) as room:
            costs = [room.make_card() for _ in range(count)]
    loop_seconds = median(cost.encoding.wall_seconds + cost.inspecting.wall_seconds for cost in costs)
    wire_seconds = median(cost.wire.wall_seconds + cost.raw_reading.wall_seconds for cost in costs)
    cards_an_hour = SECONDS_AN_HOUR * made.verified_now / made.working_seconds
    return Figure(
        name="end-to-end",
        value=cards_an_hour,
        unit="cards/h",
        reference=Measured(
            "encoding and own inspection in a bare loop at one station", SECONDS_AN_HOUR / loop_seconds, "cards/h"
        ),
        ratio=cards_an_hour * loop_seconds / SECONDS_AN_HOUR,
        details={
            "cards": made.verified_now,
            "working_seconds": round(made.working_seconds, 2),
            "seconds_a_card": round(made.working_seconds / made.verified_now, 3),
            "bare_loop_seconds_a_card": round(loop_seconds, 4),
            "bare_wire_seconds_a_card": round(wire_seconds, 4),
            "where_the_time_went": made.limit,
            "not_proven": made.not_proven,
        },
    )


def _write_records(folder: Path, options: BenchOptions) -> None:
    samples = makeable(options.records)
    folder.mkdir(mode=0o700)
    for number in range(1, options.cards + 1):
        record = numbered(samples, number)
        descriptor = os.open(folder / f"{record['record_id']}.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(record, file)

"""A simulated station reached directly, blanks in its hopper and prepared jobs before it: for encode and inspect."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from api import simulated
from api.bench.engine_work import prepare
from api.bench.figure import BenchOptions
from api.bench.records import take_in
from api.bench.station_work import CardCost, make_card
from api.bench.workbench import Saying, Worker, bench_line, worker
from api.state_directory import StateDirectory
from api.supply import supply
from personalization.assembly import blank_profile
from personalization.settings import Settings
from personalization.store.database import Database

STATION = 1
FIRST_NUMBER = 9_000_001
"""Of the records for the station: far from those of any other part of a run."""


@dataclass(frozen=True, slots=True)
class StationRoom:
    """One station and its worker."""

    worker: Worker
    slot: simulated.ReaderSlot

    def make_card(self) -> CardCost:
        """The next card."""
        if self.slot.chip_socket is None:
            raise ValueError("the station is not reached directly")
        return self.worker.run(make_card, self.slot.chip_socket, self.slot.control)


@contextmanager
def station_room(state: StateDirectory, settings: Settings, options: BenchOptions, cards: int) -> Iterator[StationRoom]:
    """`cards` accepted and prepared jobs, as many blanks, and a station for them."""
    with ExitStack() as stack:
        maker = stack.enter_context(worker("station", settings))
        maker.run(take_in, options.records, FIRST_NUMBER, cards)
        maker.run(prepare, cards)
        state.station(STATION).mkdir(mode=0o700, parents=True, exist_ok=True)
        database = Database(settings.database_url)
        stack.callback(database.close)
        supply(state, database, station=STATION, count=cards, atr=blank_profile(specimen=False).chip.atr)
        hall = simulated.start_hall(stack, f"--station={state.station(STATION)}", direct=True)
        yield StationRoom(maker, hall.slots[0])


def make_cards(options: BenchOptions, say: Saying, cards: int) -> list[CardCost]:
    """So many cards on a line of its own; the first, which warms everything up, is not counted."""
    with bench_line(say) as (state, settings), station_room(state, settings, options, cards + 1) as room:
        say(f"{cards} cards, one after the other, each in turns with the bare wire")
        return [room.make_card() for _ in range(cards + 1)][1:]

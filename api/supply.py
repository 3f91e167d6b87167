"""Blanks for the simulated stations: delivered to the vault, entered in the ledger, and only then put into a hopper.

In this order, for a station must never find a blank in position that the ledger does not know.
"""

from sqlalchemy import func, select

from api import simulated
from api.state_directory import StateDirectory
from personalization.assembly import now
from personalization.centre import stock
from personalization.flow import ChipSerial
from personalization.store.database import Database
from personalization.store.tables import blank


def stock_point(station: int) -> str:
    """The ledger's name of a station's hopper."""
    return f"station-{station}"


def supply(state: StateDirectory, database: Database, *, station: int, count: int, atr: bytes) -> None:
    """One more box of `count` blanks for a station."""
    with database.reading() as connection:
        boxes = connection.execute(
            select(func.count(blank.c.delivery.distinct())).where(blank.c.stock_point == stock_point(station))
        ).scalar_one()
    delivery = f"{stock_point(station)}-box-{boxes + 1:04d}"
    simulated.make_blanks(state, station=station, delivery=delivery, count=count, atr=atr)
    take_in(state, database, station)


def take_in(state: StateDirectory, database: Database, station: int) -> None:
    """Enter every box of the vault in the ledger, then put it into the hopper; a box entered before is only moved."""
    for note in simulated.vault_notes(state, station):
        with database.begin() as connection:
            serials = [ChipSerial(serial) for serial in note["chips"]]
            stock.receive(connection, note["delivery"], stock_point(station), serials, now())
        simulated.fill_hopper(state, station, note["delivery"])

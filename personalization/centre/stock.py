"""The ledger of blanks: double entries, money-like. received = good + spoiled + left, at any moment.

Accounts: `supplier` (what came in, negative), `hopper/<station>` (left), `work/<station>` (bound to a job, in the
machine), `good` and `spoiled`. A movement has a name and is posted once, whoever repeats it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from personalization.audit import Event, record_events
from personalization.errors import Halt
from personalization.flow import Blank, ChipSerial, JobId, JobState
from personalization.store.tables import blank, job, posting

SUPPLIER, GOOD, SPOILED = "supplier", "good", "spoiled"


@dataclass(frozen=True, slots=True)
class BlankCounts:
    """Blanks by where they ended; `left` counts hoppers and cards in work."""

    received: int
    good: int
    spoiled: int
    left: int


def _hopper(stock_point: str) -> str:
    return f"hopper/{stock_point}"


def _work(stock_point: str) -> str:
    return f"work/{stock_point}"


def _move(connection: Connection, movement: str, *, source: str, target: str, quantity: int, now: datetime) -> None:
    connection.execute(
        insert(posting),
        [
            {"movement": movement, "account": source, "quantity": -quantity, "posted_at": now},
            {"movement": movement, "account": target, "quantity": quantity, "posted_at": now},
        ],
    )


def receive(
    connection: Connection, delivery: str, stock_point: str, serials: Sequence[ChipSerial], now: datetime
) -> bool:
    """Enter a delivery of blanks at a stock point; False where it was entered before.

    Raises `Halt` where a serial was delivered before.
    """
    movement = f"receive/{delivery}"
    if connection.execute(select(posting.c.movement).where(posting.c.movement == movement)).first():
        return False
    known = connection.execute(select(func.count()).where(blank.c.chip_serial.in_(serials))).scalar_one()
    if known:
        raise Halt("chip-serial-twice", f"delivery {delivery} brings {known} chip serials that were delivered before")
    connection.execute(
        insert(blank),
        [{"chip_serial": s, "delivery": delivery, "stock_point": stock_point, "state": "received"} for s in serials],
    )
    _move(connection, movement, source=SUPPLIER, target=_hopper(stock_point), quantity=len(serials), now=now)
    record_events(
        connection,
        Event("blanks.received", now, stock_point, detail=(("delivery", delivery), ("count", str(len(serials))))),
    )
    return True


def bind(connection: Connection, told: Blank, job_id: JobId, stock_point: str, now: datetime) -> None:
    """Bind a blank to a job and keep what it told. Raises `Halt` where it is unknown, used, or another's."""
    row = connection.execute(select(blank).where(blank.c.chip_serial == told.chip_serial)).first()
    if row is None:
        raise Halt("blank-unknown", f"station {stock_point}: the blank in position was never delivered")
    if row.state == "bound" and row.job_id == job_id:
        return
    if row.state != "received":
        raise Halt("blank-used", f"station {stock_point}: the blank in position is {row.state}, not free")
    connection.execute(
        update(blank)
        .where(blank.c.chip_serial == told.chip_serial)
        .values(
            state="bound",
            job_id=job_id,
            atr=told.atr.hex().upper(),
            cplc=told.cplc.hex().upper(),
            lot=told.lot,
            os_version=told.os_version,
            first_contact_at=now,
        )
    )
    _move(
        connection,
        f"bind/{told.chip_serial}",
        source=_hopper(row.stock_point),
        target=_work(stock_point),
        quantity=1,
        now=now,
    )
    record_events(connection, Event("blank.bound", now, stock_point, job_id=job_id, blank=told.chip_serial))


def bound_blank(connection: Connection, job_id: JobId) -> Blank | None:
    """The blank that is bound to a job, with what it told."""
    row = connection.execute(select(blank).where(blank.c.job_id == job_id)).first()
    if row is None:
        return None
    return Blank(ChipSerial(row.chip_serial), bytes.fromhex(row.atr), bytes.fromhex(row.cplc), row.lot, row.os_version)


def state_of(connection: Connection, chip_serial: ChipSerial) -> str | None:
    """`received`, `bound`, `good` or `spoiled`; None for a serial never delivered."""
    state: str | None = connection.execute(
        select(blank.c.state).where(blank.c.chip_serial == chip_serial)
    ).scalar_one_or_none()
    return state


def job_was_withdrawn(connection: Connection, chip_serial: ChipSerial) -> bool:
    """Whether the job that a blank is bound to was cancelled."""
    found = connection.execute(
        select(job.c.state).join(blank, blank.c.job_id == job.c.id).where(blank.c.chip_serial == chip_serial)
    ).scalar_one_or_none()
    return bool(found == JobState.CANCELLED)


def settle(connection: Connection, chip_serial: ChipSerial, stock_point: str, *, good: bool, now: datetime) -> None:
    """A bound blank ends as a good card or as spoiled."""
    account = GOOD if good else SPOILED
    connection.execute(update(blank).where(blank.c.chip_serial == chip_serial).values(state=account))
    _move(connection, f"{account}/{chip_serial}", source=_work(stock_point), target=account, quantity=1, now=now)


def withdraw_good(connection: Connection, chip_serial: ChipSerial, now: datetime) -> None:
    """A good card whose order was withdrawn before handover counts as spoiled; people take it from its tray."""
    connection.execute(update(blank).where(blank.c.chip_serial == chip_serial).values(state="spoiled"))
    _move(connection, f"withdraw/{chip_serial}", source=GOOD, target=SPOILED, quantity=1, now=now)


def spoil_unbound(connection: Connection, chip_serial: ChipSerial, now: datetime) -> None:
    """A delivered blank that no job touched is found unusable."""
    row = connection.execute(select(blank).where(blank.c.chip_serial == chip_serial)).one()
    connection.execute(update(blank).where(blank.c.chip_serial == chip_serial).values(state="spoiled"))
    _move(connection, f"spoiled/{chip_serial}", source=_hopper(row.stock_point), target=SPOILED, quantity=1, now=now)


def left_at(connection: Connection, stock_points: Iterable[str]) -> int:
    """Blanks in the hoppers of these stock points and in work there."""
    accounts = [account(point) for point in stock_points for account in (_hopper, _work)]
    return int(
        connection.execute(
            select(func.coalesce(func.sum(posting.c.quantity), 0)).where(posting.c.account.in_(accounts))
        ).scalar_one()
    )


def count(connection: Connection) -> BlankCounts:
    """The counts of all stock points. Raises `Halt` where the ledger does not balance."""
    rows = connection.execute(select(posting.c.account, func.sum(posting.c.quantity)).group_by(posting.c.account)).all()
    balance = {account: int(quantity) for account, quantity in rows}
    if sum(balance.values()) != 0:
        raise Halt("ledger-unbalanced", "the postings of the blank ledger do not add up to zero")
    left = sum(quantity for account, quantity in balance.items() if account.startswith(("hopper/", "work/")))
    return BlankCounts(-balance.get(SUPPLIER, 0), balance.get(GOOD, 0), balance.get(SPOILED, 0), left)

"""The ledger of blanks: double entries, money-like. received = good + spoiled + left, at any moment.

Accounts: `supplier` (what came in, negative), `hopper/<station>` (left), `work/<station>` (bound to a job, in the
machine), `good` and `spoiled`. A movement has a name and is posted once, whoever repeats it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from personalization.audit import Event, record_events
from personalization.errors import Halt
from personalization.flow import Blank, ChipSerial, JobId, JobState
from personalization.store.tables import blank, job, posting

SUPPLIER, GOOD, SPOILED = "supplier", "good", "spoiled"
RECEIVED, BOUND = "received", "bound"


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
    sides = ((source, -quantity), (target, quantity))
    try:
        connection.execute(
            insert(posting),
            [{"movement": movement, "account": a, "quantity": q, "posted_at": now} for a, q in sides],
        )
    except IntegrityError:
        raise Halt("movement-twice", f"the movement {movement} was posted before") from None


def receive(
    connection: Connection, delivery: str, stock_point: str, serials: Sequence[ChipSerial], now: datetime
) -> bool:
    """Enter a delivery of blanks at a stock point; False where it was entered before.

    Raises `Halt` where a serial was delivered before, twice in it, or none.
    """
    movement = f"receive/{delivery}"
    if connection.execute(select(posting.c.movement).where(posting.c.movement == movement)).first():
        return False
    if not serials:
        raise Halt("delivery-empty", f"delivery {delivery} brings no blanks")
    try:
        connection.execute(
            insert(blank),
            [{"chip_serial": s, "delivery": delivery, "stock_point": stock_point, "state": RECEIVED} for s in serials],
        )
    except IntegrityError:
        raise Halt("chip-serial-twice", f"delivery {delivery} brings a chip serial a second time") from None
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
    if row.state == BOUND and row.job_id == job_id:
        return
    if row.state != RECEIVED:
        raise Halt("blank-used", f"station {stock_point}: the blank in position is {row.state}, not free")
    connection.execute(
        update(blank)
        .where(blank.c.chip_serial == told.chip_serial)
        .values(
            state=BOUND,
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
    """A bound blank ends as a good card or as spoiled. Raises `Halt` where it is not bound."""
    account = GOOD if good else SPOILED
    _change(connection, chip_serial, BOUND, account)
    _move(connection, f"{account}/{chip_serial}", source=_work(stock_point), target=account, quantity=1, now=now)


def withdraw_good(connection: Connection, chip_serial: ChipSerial, now: datetime) -> None:
    """A good card whose order was withdrawn before handover counts as spoiled; people take it from its tray.

    Raises `Halt` where it is no good card.
    """
    _change(connection, chip_serial, GOOD, SPOILED)
    _move(connection, f"withdraw/{chip_serial}", source=GOOD, target=SPOILED, quantity=1, now=now)


def spoil_unbound(connection: Connection, chip_serial: ChipSerial, now: datetime) -> None:
    """A delivered blank that no job touched is found unusable. Raises `Halt` where it is not free."""
    _change(connection, chip_serial, RECEIVED, SPOILED)
    point = connection.execute(select(blank.c.stock_point).where(blank.c.chip_serial == chip_serial)).scalar_one()
    _move(connection, f"spoiled/{chip_serial}", source=_hopper(point), target=SPOILED, quantity=1, now=now)


def _change(connection: Connection, chip_serial: ChipSerial, before: str, after: str) -> None:
    changed = connection.execute(
        update(blank).where(blank.c.chip_serial == chip_serial, blank.c.state == before).values(state=after)
    ).rowcount
    if changed != 1:
        raise Halt(f"blank-not-{before}", f"blank {chip_serial} is not {before}, so it cannot become {after}")


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

"""The ledger of blanks: received = good + spoiled + left, after every movement and whoever repeats it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, insert, select

from personalization.centre import stock
from personalization.centre.stock import BlankCounts
from personalization.errors import Halt
from personalization.store.database import Database
from personalization.store.jobs import enqueue
from personalization.store.tables import blank, job, order, posting
from tests.personalization.engine.made_up import (
    NOW,
    blank_in_position,
    chip_serial,
    job_id,
    new_job,
    put_jobs,
    put_order,
    receive_blanks,
)

STATION = "station-1"


def count(database: Database) -> BlankCounts:
    """The counts, once it is shown that they agree with themselves and with every blank's state."""
    with database.reading() as connection:
        return counted(connection)


def counted(connection: Connection) -> BlankCounts:
    counts = stock.count(connection)
    rows = connection.execute(select(blank.c.state, func.count()).group_by(blank.c.state)).all()
    states = {str(state): int(number) for state, number in rows}
    assert counts.received == counts.good + counts.spoiled + counts.left == sum(states.values())
    assert counts.good == states.get("good", 0)
    assert counts.spoiled == states.get("spoiled", 0)
    assert counts.left == states.get("received", 0) + states.get("bound", 0)
    return counts


def bind(database: Database, number: int, *, job_number: int | None = None, station: str = STATION) -> None:
    with database.begin() as connection:
        stock.bind(connection, blank_in_position(number), job_id(job_number or number), station, NOW)


def settle(database: Database, number: int, *, good: bool) -> None:
    with database.begin() as connection:
        stock.settle(connection, chip_serial(number), STATION, good=good, now=NOW)


@contextmanager
def halts(code: str, database: Database) -> Iterator[Connection]:
    """What is tried here halts with this code, and leaves every count as it was."""
    before = count(database)
    with pytest.raises(Halt) as halted, database.begin() as connection:
        yield connection
    assert halted.value.code == code
    assert count(database) == before


# --- each kind of movement ----------------------------------------------------------------------------------------
def test_every_kind_of_movement_keeps_the_balance(database: Database) -> None:
    put_jobs(database, 1, 2)
    assert count(database) == BlankCounts(received=0, good=0, spoiled=0, left=0)
    receive_blanks(database, STATION, 1, 2, 3)
    assert count(database) == BlankCounts(received=3, good=0, spoiled=0, left=3)
    bind(database, 1)
    assert count(database) == BlankCounts(received=3, good=0, spoiled=0, left=3)
    settle(database, 1, good=True)
    assert count(database) == BlankCounts(received=3, good=1, spoiled=0, left=2)
    bind(database, 2)
    settle(database, 2, good=False)
    assert count(database) == BlankCounts(received=3, good=1, spoiled=1, left=1)
    with database.begin() as connection:
        stock.spoil_unbound(connection, chip_serial(3), NOW)
    assert count(database) == BlankCounts(received=3, good=1, spoiled=2, left=0)
    with database.begin() as connection:
        stock.withdraw_good(connection, chip_serial(1), NOW)
    assert count(database) == BlankCounts(received=3, good=0, spoiled=3, left=0)


def test_what_is_left_is_known_by_stock_point(database: Database) -> None:
    put_jobs(database, 1)
    receive_blanks(database, "station-1", 1, 2, 3)
    receive_blanks(database, "station-2", 4, 5, delivery="box-2")
    bind(database, 1)
    with database.reading() as connection:
        assert stock.left_at(connection, ["station-1"]) == 3
        assert stock.left_at(connection, ["station-2"]) == 2
        assert stock.left_at(connection, ["station-1", "station-2"]) == 5
        assert stock.left_at(connection, []) == 0
    settle(database, 1, good=True)
    with database.reading() as connection:
        assert stock.left_at(connection, ["station-1"]) == 2


def test_a_bound_blank_keeps_what_it_told(database: Database) -> None:
    """Answer to reset, lifecycle data, lot and system cannot be had later."""
    put_jobs(database, 1)
    receive_blanks(database, STATION, 1)
    with database.reading() as connection:
        assert stock.bound_blank(connection, job_id(1)) is None
    bind(database, 1)
    with database.reading() as connection:
        assert stock.bound_blank(connection, job_id(1)) == blank_in_position(1)
        assert stock.state_of(connection, chip_serial(1)) == "bound"
        assert stock.state_of(connection, chip_serial(99)) is None


# --- nothing twice ------------------------------------------------------------------------------------------------
def test_a_delivery_is_entered_once(database: Database) -> None:
    with database.begin() as connection:
        assert stock.receive(connection, "box-1", STATION, [chip_serial(1)], NOW)
    with database.begin() as connection:
        assert not stock.receive(connection, "box-1", STATION, [chip_serial(1)], NOW)
    assert count(database).received == 1


@pytest.mark.parametrize(
    ("serials", "code"), [([2, 1], "chip-serial-twice"), ([3, 3], "chip-serial-twice"), ([], "delivery-empty")]
)
def test_a_delivery_that_cannot_be_true_halts(database: Database, serials: list[int], code: str) -> None:
    receive_blanks(database, STATION, 1)
    with halts(code, database) as connection:
        stock.receive(connection, "box-2", STATION, [chip_serial(n) for n in serials], NOW)


def test_binding_again_after_a_crash_posts_nothing(database: Database) -> None:
    put_jobs(database, 1)
    receive_blanks(database, STATION, 1)
    bind(database, 1)
    before = _postings(database)
    bind(database, 1)
    assert _postings(database) == before


Attempt = Callable[[Connection], None]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_a_card_ends_once(database: Database, first: bool, second: bool) -> None:
    put_jobs(database, 1)
    receive_blanks(database, STATION, 1)
    bind(database, 1)
    settle(database, 1, good=first)
    with halts("blank-not-bound", database) as connection:
        stock.settle(connection, chip_serial(1), STATION, good=second, now=NOW)


@pytest.mark.parametrize(
    ("code", "attempt"),
    [
        ("blank-not-bound", lambda c: stock.settle(c, chip_serial(1), STATION, good=True, now=NOW)),
        ("blank-not-good", lambda c: stock.withdraw_good(c, chip_serial(1), NOW)),
        ("blank-not-received", lambda c: stock.spoil_unbound(c, chip_serial(99), NOW)),
        ("blank-not-received", lambda c: stock.spoil_unbound(c, chip_serial(2), NOW)),
    ],
    ids=["settle-free", "withdraw-free", "spoil-unknown", "spoil-bound"],
)
def test_a_movement_from_where_the_blank_is_not_halts(database: Database, code: str, attempt: Attempt) -> None:
    put_jobs(database, 2)
    receive_blanks(database, STATION, 1, 2)
    bind(database, 2)
    with halts(code, database) as connection:
        attempt(connection)


def test_a_movement_of_one_name_is_posted_once(database: Database) -> None:
    """The last guard: were a blank's state wrong, the ledger itself refuses."""
    put_jobs(database, 1)
    receive_blanks(database, STATION, 1)
    with database.begin() as connection:
        rows = [
            {"movement": f"bind/{chip_serial(1)}", "account": account, "quantity": quantity, "posted_at": NOW}
            for account, quantity in ((f"hopper/{STATION}", -1), (f"work/{STATION}", 1))
        ]
        connection.execute(insert(posting), rows)
    with halts("movement-twice", database) as connection:
        stock.bind(connection, blank_in_position(1), job_id(1), STATION, NOW)


# --- blanks that halt the line ------------------------------------------------------------------------------------
def test_a_blank_that_was_never_delivered_halts(database: Database) -> None:
    put_jobs(database, 1)
    with halts("blank-unknown", database) as connection:
        stock.bind(connection, blank_in_position(1), job_id(1), STATION, NOW)


@pytest.mark.parametrize("good", [True, False])
def test_a_used_blank_halts(database: Database, good: bool) -> None:
    put_jobs(database, 1, 2)
    receive_blanks(database, STATION, 1)
    bind(database, 1)
    settle(database, 1, good=good)
    for number in (1, 2):
        with halts("blank-used", database) as connection:
            stock.bind(connection, blank_in_position(1), job_id(number), STATION, NOW)


def test_the_blank_of_another_job_halts(database: Database) -> None:
    put_jobs(database, 1, 2)
    receive_blanks(database, STATION, 1)
    bind(database, 1)
    with halts("blank-used", database) as connection:
        stock.bind(connection, blank_in_position(1), job_id(2), STATION, NOW)


def test_a_ledger_that_was_tampered_with_halts(database: Database) -> None:
    receive_blanks(database, STATION, 1)
    with database.begin() as connection:
        connection.execute(insert(posting).values(movement="conjured", account=stock.GOOD, quantity=1, posted_at=NOW))
    with database.reading() as connection, pytest.raises(Halt) as halted:
        stock.count(connection)
    assert halted.value.code == "ledger-unbalanced"


# --- any sequence -------------------------------------------------------------------------------------------------
BLANKS = 4
STEPS = st.lists(
    st.tuples(st.sampled_from(["bind", "good", "spoiled", "spoil-unbound", "withdraw"]), st.integers(1, BLANKS + 1)),
    max_size=20,
)
BEFORE = {"bind": {"received", "bound"}, "good": {"bound"}, "spoiled": {"bound"}}
BEFORE |= {"spoil-unbound": {"received"}, "withdraw": {"good"}}
AFTER = {"bind": "bound", "good": "good", "spoiled": "spoiled", "spoil-unbound": "spoiled", "withdraw": "spoiled"}


@given(steps=STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_sequence_of_movements_unbalances_the_ledger(database: Database, steps: list[tuple[str, int]]) -> None:
    """A movement either is the next one of that blank's life, or it halts before anything is written."""
    with database.begin() as connection:
        for table in (posting, blank, job, order):
            connection.execute(table.delete())
        for number in range(1, BLANKS + 2):  # the last blank was never delivered
            put_order(connection, number)
            enqueue(connection, new_job(number), NOW)
        stock.receive(connection, "box-1", STATION, [chip_serial(n) for n in range(1, BLANKS + 1)], NOW)
        states = dict.fromkeys(range(1, BLANKS + 1), "received")
        for step, number in steps:
            if states.get(number) in BEFORE[step]:
                _move(connection, step, number)
                states[number] = AFTER[step]
            else:
                with pytest.raises(Halt):
                    _move(connection, step, number)
        counts = counted(connection)
    assert counts.received == BLANKS
    assert counts.good == list(states.values()).count("good")
    assert counts.spoiled == list(states.values()).count("spoiled")


def _move(connection: Connection, step: str, number: int) -> None:
    serial = chip_serial(number)
    match step:
        case "bind":
            stock.bind(connection, blank_in_position(number), job_id(number), STATION, NOW)
        case "good" | "spoiled":
            stock.settle(connection, serial, STATION, good=step == "good", now=NOW)
        case "spoil-unbound":
            stock.spoil_unbound(connection, serial, NOW)
        case "withdraw":
            stock.withdraw_good(connection, serial, NOW)


def _postings(database: Database) -> list[object]:
    with database.reading() as connection:
        return list(connection.execute(select(posting).order_by(posting.c.movement, posting.c.account)).all())

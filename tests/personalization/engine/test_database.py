"""What every unit of work may rely on, whichever database it is."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, func, insert, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from personalization.errors import StoreUnavailable
from personalization.store.database import MEASURE_SECONDS, Database, DatabaseClock
from personalization.store.tables import intent, job, number_range, order
from tests.personalization.engine.made_up import NOW, put_jobs, put_order, record_id


def orders_in(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(order)).scalar_one())


def test_a_unit_of_work_is_stored_whole_or_not_at_all(database: Database) -> None:
    with pytest.raises(KeyboardInterrupt), database.begin() as connection:
        put_order(connection, 1)
        raise KeyboardInterrupt
    assert orders_in(database) == 0


def test_a_reader_sees_one_moment(database: Database, second_database: Database) -> None:
    put_jobs(database, 1)
    with database.reading() as connection:
        before = connection.execute(select(func.count()).select_from(order)).scalar_one()
        put_jobs(second_database, 2)  # nor does the reader hold up a writer
        assert connection.execute(select(func.count()).select_from(job)).scalar_one() == before == 1
    assert orders_in(database) == 2


def test_instants_come_back_aware(database: Database) -> None:
    with database.begin() as connection:
        put_order(connection, 1)
        connection.execute(update(order).values(withdrawn_at=datetime.fromisoformat("2026-12-01T11:00:00+02:00")))
        assert connection.execute(select(order.c.withdrawn_at)).scalar_one() == NOW


def test_an_instant_without_time_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="time zone"), database.begin() as connection:
        put_order(connection, 1)
        connection.execute(update(order).values(withdrawn_at=datetime(2026, 12, 1, 9, 0)))  # noqa: DTZ001 - the point


def test_the_databases_clock_is_aware_and_about_now(database: Database) -> None:
    with database.begin() as connection:
        told = database.now(connection)
    assert told.utcoffset() is not None
    assert abs((told - datetime.now(UTC)).total_seconds()) < 5


def test_the_engines_clock_is_the_databases(database: Database) -> None:
    """Measured against it now and then, carried on by a clock that nobody sets in between."""
    ticks = [100.0]
    clock = DatabaseClock(database, lambda: ticks[0])
    with database.begin() as connection:
        told = database.now(connection)
    first = clock()
    assert abs(first - told) < timedelta(seconds=2)
    if database.is_sqlite:
        return  # there the database's clock is this host's
    ticks[0] += 5
    assert clock() - first == timedelta(seconds=5), "the host's wall clock is not asked"
    ticks[0] += MEASURE_SECONDS
    assert clock() - first < timedelta(seconds=5), "measured anew: the database's time has hardly moved"


def test_what_contradicts_itself_is_an_integrity_error(database: Database) -> None:
    """The engine asks for this class, whatever the driver makes of it."""
    put_jobs(database, 1)
    for broken in (
        insert(order).values(record_id=record_id(1), revision=1, document_type="t", urgency="u"),
        insert(order).values(record_id=record_id(2), revision=1, document_type=None, urgency="u"),
        insert(intent).values(job_id="nobody", stage="keys", effect_key="e", fence=1, stored_at=NOW),
        update(job).values(state="dancing"),
    ):
        with pytest.raises(IntegrityError), database.begin() as connection:
            connection.execute(broken)


def test_an_error_quotes_no_value(database: Database) -> None:
    planted = "KALNINS-JANIS"
    with pytest.raises(IntegrityError) as failed, database.begin() as connection:
        connection.execute(insert(order).values(record_id=planted, revision=1, document_type=planted, urgency=None))
    assert planted not in str(failed.value)


def test_a_locked_database_is_unavailable(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'locked.sqlite'}"
    first, second = Database(url), Database(url)
    event.listen(second.engine, "checkout", lambda raw, *_: raw.execute("PRAGMA busy_timeout=0"))
    with first.begin(), pytest.raises(StoreUnavailable), second.begin():
        pass
    first.close()
    second.close()


@pytest.mark.parametrize(
    "url",
    ["sqlite:////nowhere/engine.sqlite", "postgresql+pg8000://perso@/postgres?unix_sock=/nowhere/.s.PGSQL.5432"],
)
def test_a_database_that_is_not_there_is_unavailable(url: str) -> None:
    database = Database(url)
    with pytest.raises(StoreUnavailable), database.begin():
        pass
    with pytest.raises(StoreUnavailable), database.reading():
        pass
    database.close()


@pytest.mark.services
@pytest.mark.parametrize("database_pair", ["postgresql"], indirect=True)
def test_of_two_that_wait_for_each_other_one_is_told_to_come_again(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(insert(number_range), [{"prefix": p, "next_number": 1} for p in ("AA", "BB")])
    both = threading.Barrier(2)
    ended: list[str] = []

    def work(first: str, second: str) -> None:
        try:
            with database.begin() as connection:
                for prefix in (first, second):
                    connection.execute(
                        update(number_range).where(number_range.c.prefix == prefix).values(next_number=2)
                    )
                    if prefix == first:
                        both.wait()
        except StoreUnavailable:
            ended.append("again")
        else:
            ended.append("done")

    threads = [threading.Thread(target=work, args=pair) for pair in (("AA", "BB"), ("BB", "AA"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["again", "done"]


def test_a_broken_socket_is_a_database_that_is_away(database: Database) -> None:
    """pg8000 lets it through as it is, when the server went while a statement was being sent."""
    with pytest.raises(StoreUnavailable), database.begin():
        raise BrokenPipeError
    with pytest.raises(StoreUnavailable), database.reading():
        raise ConnectionResetError

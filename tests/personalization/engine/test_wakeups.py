"""Whoever waits for work is woken by the commit that gives it; a poll stands behind that."""

import threading
import time
from pathlib import Path

import pytest

from personalization.audit import Event, record_events
from personalization.store.database import Database
from personalization.store.wakeups import SQLITE_POLL_SECONDS, Wakeups, wake
from tests.personalization.engine.made_up import NOW


def tell(database: Database) -> None:
    """Commit what every worker would want to know of."""
    with database.begin() as connection:
        record_events(connection, Event("record.accepted", NOW, "intake"))


def waited(wakeups: Wakeups, seconds: float) -> float:
    started = time.monotonic()
    wakeups.wait(seconds)
    return time.monotonic() - started


def test_a_commit_wakes_whoever_waits(database: Database, second_database: Database) -> None:
    wakeups = Wakeups(database)
    wakeups.wait(0.01)  # from now on it listens
    late = threading.Timer(0.2, tell, (second_database,))
    late.start()
    assert waited(wakeups, 20.0) < 10.0
    late.join()
    wakeups.close()


def test_what_is_rolled_back_wakes_nobody(database: Database, second_database: Database) -> None:
    if database.is_sqlite:
        return  # it tells nobody anything: it is polled
    wakeups = Wakeups(database)
    wakeups.wait(0.01)
    with pytest.raises(KeyboardInterrupt), second_database.begin() as connection:
        wake(connection)
        raise KeyboardInterrupt
    assert waited(wakeups, 0.3) >= 0.3
    with second_database.begin() as connection:
        wake(connection)
    assert waited(wakeups, 20.0) < 10.0
    assert waited(wakeups, 0.3) >= 0.3, "one commit wakes once"
    wakeups.close()


def test_without_a_database_it_sleeps_and_hears_again_later(tmp_path: Path) -> None:
    gone = Wakeups(Database(f"postgresql+pg8000://perso@/none?unix_sock={tmp_path}/no.socket"))
    assert 0.2 <= waited(gone, 0.2) < 10.0
    sqlite = Wakeups(Database(f"sqlite:///{tmp_path}/engine.sqlite"))
    assert waited(sqlite, 20.0) >= SQLITE_POLL_SECONDS

"""Connections to the engine's database and to the store of data keys: SQLite or PostgreSQL by URL."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pg8000.dbapi as pg8000
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, func, select
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError

from personalization.errors import StoreUnavailable
from personalization.store.tables import key_metadata

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
MEASURE_SECONDS = 10.0
INTEGRITY_STATES = ("23",)
AWAY_STATES = ("08", "40", "53", "55P03", "57P", "58")
"""PostgreSQL's SQLSTATEs (appendix A): connection lost, deadlock, resources short, lock not had, shut down, I/O."""


class Database:
    """One database; every unit of work is a transaction that takes the write lock at its start."""

    def __init__(self, url: str) -> None:
        # hide_parameters: a failed statement must not carry its values into an exception text.
        try:
            self.engine: Engine = create_engine(url, hide_parameters=True, pool_pre_ping=not url.startswith("sqlite"))
        except (ArgumentError, ModuleNotFoundError):
            raise StoreUnavailable("the database's URL is not one of sqlite:///… or postgresql+pg8000://…") from None
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        if self.is_sqlite:
            event.listen(self.engine, "connect", _set_up_sqlite)
            event.listen(self.engine, "begin", _begin_immediate)
        else:
            event.listen(self.engine, "handle_error", _name_driver_error)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back on any exception. Raises `StoreUnavailable`."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except (OperationalError, ConnectionError) as error:  # pg8000 lets a broken socket through as it is
            raise StoreUnavailable("the database does not answer or is locked") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A snapshot for reading alone; it takes no write lock. Raises `StoreUnavailable`."""
        options = {"reading": True} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        try:
            with self.engine.connect().execution_options(**options) as connection:
                yield connection
        except (OperationalError, ConnectionError) as error:  # pg8000 lets a broken socket through as it is
            raise StoreUnavailable("the database does not answer or is locked") from error

    def clock(self) -> "DatabaseClock":
        """The database's clock, for whoever asks often."""
        return DatabaseClock(self)

    def now(self, connection: Connection) -> datetime:
        """The database's clock (leases are judged by it alone), aware UTC."""
        if self.is_sqlite:
            return datetime.now(UTC)
        instant: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return instant.astimezone(UTC)

    def sweep(self) -> None:
        """Write SQLite's log back and empty it: what was erased must not linger there. Raises `StoreUnavailable`."""
        if not self.is_sqlite:
            return
        with self.engine.connect() as connection:
            busy = connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise StoreUnavailable("another process reads the database; its log could not be emptied")

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


class DatabaseClock:
    """The engine's one clock: leases, events and documents have the time of the database, not of this host.

    How far the database is from this host's monotonic clock is measured anew every `MEASURE_SECONDS`: a clock that is
    set, and a host that was suspended, move nothing for longer than that.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._measured: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        """Aware UTC. Raises `StoreUnavailable`."""
        if self._database.is_sqlite:
            return datetime.now(UTC)
        if self._measured is None or self._monotonic() - self._measured[1] > MEASURE_SECONDS:
            with self._database.reading() as connection:
                self._measured = self._database.now(connection), self._monotonic()
        instant, at = self._measured
        return instant + timedelta(seconds=self._monotonic() - at)


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we send BEGIN ourselves; the driver's own comes too late
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA wal_autocheckpoint=4000")  # 16 MB: two batches of images, not half of one
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")  # an erased data key must not linger in free pages
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _name_driver_error(context: ExceptionContext) -> DBAPIError | None:
    """pg8000 raises one class for all the server says; PEP 249's classes of it, without details that quote rows."""
    original = context.original_exception
    if isinstance(original, pg8000.InterfaceError):
        return OperationalError(context.statement, None, original, hide_parameters=True)
    if not (isinstance(original, pg8000.DatabaseError) and original.args and isinstance(original.args[0], dict)):
        return None
    state = original.args[0].get("C", "")
    kind = IntegrityError if state.startswith(INTEGRITY_STATES) else OperationalError
    if kind is OperationalError and not state.startswith(AWAY_STATES):
        return None
    return kind(context.statement, None, pg8000.DatabaseError(f"SQLSTATE {state}"), hide_parameters=True)


def upgrade(url: str) -> None:
    """Bring the engine's tables to the newest version (Alembic)."""
    from alembic import command  # the workers never migrate: they start without it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")


def create_key_store(url: str) -> None:
    """Make the data-key store's one table where it is missing."""
    database = Database(url)
    with database.begin() as connection:
        key_metadata.create_all(connection)
    database.close()

"""Connections to the engine's database and to the store of data keys: SQLite or PostgreSQL by URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.exc import DBAPIError, OperationalError

from personalization.errors import StoreUnavailable
from personalization.store.tables import key_metadata

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


class Database:
    """One database; every unit of work is a transaction that takes the write lock at its start."""

    def __init__(self, url: str) -> None:
        # hide_parameters: a failed statement must not carry its values into an exception text.
        self.engine: Engine = create_engine(url, hide_parameters=True, pool_pre_ping=not url.startswith("sqlite"))
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        if self.is_sqlite:
            event.listen(self.engine, "connect", _set_up_sqlite)
            event.listen(self.engine, "begin", _begin_immediate)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back on any exception. Raises `StoreUnavailable`."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except OperationalError as error:
            raise StoreUnavailable("the database does not answer or is locked") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise StoreUnavailable("the connection to the database was lost") from error
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A snapshot for reading alone; it takes no write lock. Raises `StoreUnavailable`."""
        try:
            with self.engine.connect().execution_options(reading=True) as connection:
                yield connection
        except OperationalError as error:
            raise StoreUnavailable("the database does not answer or is locked") from error

    def now(self, connection: Connection) -> datetime:
        """The database's clock (leases are judged by it alone), aware UTC."""
        if self.is_sqlite:
            return datetime.now(UTC)
        instant: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return instant.astimezone(UTC)

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we send BEGIN ourselves; the driver's own comes too late
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")  # an erased data key must not linger in free pages
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def upgrade(url: str) -> None:
    """Bring the engine's tables to the newest version (Alembic)."""
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

"""Whether a database is whole and has the tables that this program knows."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from personalization.errors import StoreUnavailable
from personalization.store.database import MIGRATIONS, Database


@dataclass(frozen=True, slots=True)
class Schema:
    """`current`: the version of the tables, None where there are none; `known`: all versions, the newest first."""

    current: str | None
    known: tuple[str, ...]


def schema_of(database: Database) -> Schema:
    """Raises `StoreUnavailable`."""
    from alembic.script import ScriptDirectory  # as in `upgrade`: workers start without it

    known = tuple(each.revision for each in ScriptDirectory(str(MIGRATIONS)).walk_revisions())
    with database.reading() as connection:
        exists = database.engine.dialect.has_table(connection, "alembic_version")
        current = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if exists else None
    return Schema(current, known)


def damage_of(database: Database) -> tuple[str, ...]:
    """What SQLite's quick check finds (a server looks after its files itself). Raises `StoreUnavailable`."""
    if not database.is_sqlite:
        return ()
    try:
        with database.reading() as connection:
            said = connection.execute(text("PRAGMA quick_check(5)")).scalars().all()
    except DatabaseError:
        raise StoreUnavailable("the file is no SQLite database, or is damaged") from None
    return tuple(line for line in said if line != "ok")

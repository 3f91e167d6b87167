"""The migrations make exactly the tables of the code, on both databases, wholly or not at all."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, event, inspect, select, text

from personalization.flow import Stage
from personalization.store.database import MIGRATIONS, Database, create_key_store, upgrade
from personalization.store.tables import data_key, key_metadata, metadata, withdrawal
from tests.personalization.engine.made_up import finish, put_jobs, take


@pytest.fixture
def bare(bare_url: str) -> Iterator[Database]:
    opened = Database(bare_url)
    yield opened
    opened.close()


def upgrade_to(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, revision)


def tables_in(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(inspect(connection).get_table_names())


def shape(connection: Connection, schema: str | None = None) -> dict[str, Any]:
    """What the comparison of Alembic does not look at: checks, conditions of indexes, names of constraints."""
    found = inspect(connection)
    return {
        table: (
            {
                (check["name"], re.sub(r"\s+", " ", check["sqltext"]))
                for check in found.get_check_constraints(table, schema)
            },
            {
                (index["name"], tuple(index["column_names"]), bool(index["unique"]), _condition(index))
                for index in found.get_indexes(table, schema)
            },
            {(key["name"], tuple(key["constrained_columns"])) for key in found.get_foreign_keys(table, schema)},
            {(unique["name"], tuple(unique["column_names"])) for unique in found.get_unique_constraints(table, schema)},
            found.get_pk_constraint(table, schema)["name"],
        )
        for table in metadata.tables
    }


def _condition(index: Any) -> str:
    options = index.get("dialect_options", {})
    return str(options.get("sqlite_where", options.get("postgresql_where", "")))


def test_the_migrations_make_the_tables_of_the_code(bare_url: str, bare: Database) -> None:
    upgrade(bare_url)
    with bare.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrations_make_the_same_checks_and_indexes(bare_url: str, bare: Database, tmp_path: Path) -> None:
    upgrade(bare_url)
    if bare.is_sqlite:
        other = Database(f"sqlite:///{tmp_path / 'made.sqlite'}")
        with other.begin() as connection:
            metadata.create_all(connection)
            made = shape(connection)
        other.close()
    else:
        with bare.begin() as connection:
            connection.execute(text("CREATE SCHEMA made"))
            metadata.create_all(connection.execution_options(schema_translate_map={None: "made"}))
        with bare.reading() as connection:
            made = shape(connection, "made")
    with bare.reading() as connection:
        assert shape(connection) == made


def test_an_upgrade_can_be_repeated(bare_url: str, bare: Database) -> None:
    upgrade(bare_url)
    before = tables_in(bare)
    upgrade(bare_url)
    assert tables_in(bare) == before == {*metadata.tables, "alembic_version"}


def test_a_migrated_database_works(bare_url: str, bare: Database) -> None:
    upgrade(bare_url)
    put_jobs(bare, 1)
    (ref,) = take(bare)
    finish(bare, ref, Stage.KEYS, Stage.CERTIFY)
    assert len(take(bare, stage=Stage.CERTIFY)) == 1


@pytest.mark.parametrize("moment", ["CREATE TABLE document_order", "ix_job_waiting", "CREATE TABLE withdrawal"])
def test_a_migration_that_was_cut_off_leaves_nothing(bare_url: str, bare: Database, moment: str) -> None:
    """A power cut at any statement: the next start makes the whole schema."""

    def cut(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if moment in statement:
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", cut)
    try:
        with pytest.raises(KeyboardInterrupt):
            upgrade(bare_url)
    finally:
        event.remove(Engine, "before_cursor_execute", cut)
    assert tables_in(bare) == set()
    upgrade(bare_url)
    assert tables_in(bare) == {*metadata.tables, "alembic_version"}


def test_a_withdrawal_from_before_is_carried_over(bare_url: str, bare: Database) -> None:
    upgrade_to(bare_url, "0001")
    with bare.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO document_order (record_id, revision, document_type, urgency, withdrawn_at) VALUES"
                " ('PADIS-2026-0000001', 1, 'eid-citizen', 'standard', '2026-11-30 12:00:00'),"
                " ('PADIS-2026-0000002', 1, 'eid-citizen', 'standard', NULL)"
            )
        )
    upgrade(bare_url)
    with bare.reading() as connection:
        assert connection.execute(select(withdrawal.c.record_id)).scalars().all() == ["PADIS-2026-0000001"]


def test_the_key_store_is_made_once_and_keeps_its_keys(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keys.sqlite'}"
    create_key_store(url)
    store = Database(url)
    with store.begin() as connection:
        connection.execute(data_key.insert().values(record_id="PADIS-2026-0000001", revision=1, wrapped=b"w"))
    create_key_store(url)
    with store.reading() as connection:
        assert connection.execute(select(data_key.c.wrapped)).scalars().all() == [b"w"]
    assert tables_in(store) == set(key_metadata.tables)
    store.close()

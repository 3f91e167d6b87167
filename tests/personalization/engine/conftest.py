"""The engine's stores on both databases: every test that asks for `database` runs on SQLite and on PostgreSQL."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from personalization.store.database import Database, create_key_store, upgrade
from personalization.store.sealing import Vault
from tests.personalization.engine.made_up import SoftwareDataKeys
from tests.personalization.engine.postgres import PostgresServer, empty, find_programs, running_server


def open_file(path: Path) -> Database:
    """A database in a file; no test pulls the plug, so none need wait for the disk."""
    opened = Database(f"sqlite:///{path}")
    event.listen(opened.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
    return opened


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of our own, on a Unix socket, gone after the last test."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
    with running_server(programs) as server:
        upgrade(server.url("postgres"))
        yield server


@pytest.fixture(scope="session")
def postgres_pair(postgres: PostgresServer) -> Iterator[tuple[Database, Database]]:
    """Two processes' worth of connections, kept over all tests: making them takes longer than most tests."""
    pair = Database(postgres.url("postgres")), Database(postgres.url("postgres"))
    yield pair
    for opened in pair:
        opened.close()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database as the migrations make it, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "engine.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def database_pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """An empty database of the newest schema, as two processes have it."""
    if request.param == "postgresql":
        pair: tuple[Database, Database] = request.getfixturevalue("postgres_pair")
        empty(pair[0])
        yield pair
        return
    path = tmp_path / "engine.sqlite"
    shutil.copy(request.getfixturevalue("migrated_file"), path)
    opened = open_file(path), open_file(path)
    yield opened
    for database in opened:
        database.close()


@pytest.fixture
def database(database_pair: tuple[Database, Database]) -> Database:
    return database_pair[0]


@pytest.fixture
def second_database(database_pair: tuple[Database, Database]) -> Database:
    """The same database as another process has it: connections of its own."""
    return database_pair[1]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.create("bare")
    return f"sqlite:///{tmp_path / 'bare.sqlite'}"


@pytest.fixture
def key_store(tmp_path: Path) -> Iterator[Database]:
    """The store of data keys; it is a file of its own also beside PostgreSQL."""
    path = tmp_path / "keys.sqlite"
    create_key_store(f"sqlite:///{path}")
    opened = open_file(path)
    yield opened
    opened.close()


@pytest.fixture
def data_keys() -> SoftwareDataKeys:
    return SoftwareDataKeys()


@pytest.fixture
def vault(key_store: Database, data_keys: SoftwareDataKeys) -> Vault:
    return Vault(key_store, data_keys)

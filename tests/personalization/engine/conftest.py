"""The engine's stores on both databases: every test that asks for `database` runs on SQLite and on PostgreSQL."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from personalization.store.database import Database, create_key_store, upgrade
from personalization.store.sealing import Vault
from tests.personalization.engine.made_up import SoftwareDataKeys
from tests.personalization.engine.postgres import PostgresServer, find_programs, running_server


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
def administrator(postgres: PostgresServer) -> Iterator[Database]:
    """Empties the tables between two tests."""
    opened = Database(postgres.url("postgres"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database as the migrations make it, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "engine.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of the newest schema."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        server.empty(request.getfixturevalue("administrator"))
        return server.url("postgres")
    path = tmp_path / "engine.sqlite"
    shutil.copy(request.getfixturevalue("migrated_file"), path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.create("bare")
    return f"sqlite:///{tmp_path / 'bare.sqlite'}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def second_database(database_url: str) -> Iterator[Database]:
    """The same database as another process has it: connections of its own."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def key_store(tmp_path: Path) -> Iterator[Database]:
    """The store of data keys; it is a file of its own also beside PostgreSQL."""
    url = f"sqlite:///{tmp_path / 'keys.sqlite'}"
    create_key_store(url)
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def data_keys() -> SoftwareDataKeys:
    return SoftwareDataKeys()


@pytest.fixture
def vault(key_store: Database, data_keys: SoftwareDataKeys) -> Vault:
    return Vault(key_store, data_keys)

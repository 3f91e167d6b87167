"""Sealed bodies: bound to their place, gone with their data key, and in clear in no file."""

from pathlib import Path

import pytest
from sqlalchemy import event, insert, select, text, update

from personalization.errors import DataErased, SealBroken, StoreUnavailable
from personalization.store.database import Database
from personalization.store.sealing import RecordRef, Vault
from personalization.store.tables import data_key, sealed_body
from tests.personalization.engine.made_up import SoftwareDataKeys
from tests.personalization.engine.postgres import PostgresServer

ANNA = RecordRef("PADIS-2026-0000001", 1)
BRUNO = RecordRef("PADIS-2026-0000002", 1)
SECRET = b"BERZINA<<ANNA<<<<<<<<<<<<<<<<"


@pytest.fixture
def sealed(database: Database, vault: Vault) -> Vault:
    """A record and an image of one record, a record of another."""
    vault.create_keys([ANNA, BRUNO])
    with database.begin() as connection:
        vault.seal(connection, ANNA, "anna/1", {"record": SECRET, "image": b"image of anna"})
        vault.seal(connection, BRUNO, "bruno/1", {"record": b"record of bruno"})
    return vault


def opened(database: Database, vault: Vault, owner_id: str, *kinds: str) -> dict[str, bytes]:
    with database.reading() as connection:
        return vault.open(connection, owner_id, kinds)


def test_what_was_sealed_is_opened(database: Database, sealed: Vault) -> None:
    sealed.forget()
    assert opened(database, sealed, "anna/1", "record", "image") == {"record": SECRET, "image": b"image of anna"}


def test_only_bodies_that_exist_are_opened(database: Database, sealed: Vault) -> None:
    assert opened(database, sealed, "anna/1", "image", "report") == {"image": b"image of anna"}
    assert opened(database, sealed, "nobody/1", "record") == {}


@pytest.mark.parametrize(
    "moved",
    [{"owner_id": "clara/1"}, {"kind": "report"}, {"record_id": BRUNO.record_id}],
    ids=["to another row", "to another kind", "to another record"],
)
def test_a_body_that_was_moved_does_not_open(database: Database, sealed: Vault, moved: dict[str, str]) -> None:
    with database.begin() as connection:
        connection.execute(
            update(sealed_body)
            .where(sealed_body.c.owner_id == "anna/1", sealed_body.c.kind == "record")
            .values(**moved)
        )
    with pytest.raises(SealBroken):
        opened(database, sealed, moved.get("owner_id", "anna/1"), moved.get("kind", "record"))


def test_a_body_under_the_same_key_put_in_anothers_place_does_not_open(database: Database, sealed: Vault) -> None:
    with database.begin() as connection:
        image = connection.execute(select(sealed_body.c.body).where(sealed_body.c.kind == "image")).scalar_one()
        connection.execute(
            update(sealed_body)
            .where(sealed_body.c.owner_id == "anna/1", sealed_body.c.kind == "record")
            .values(body=image)
        )
    with pytest.raises(SealBroken):
        opened(database, sealed, "anna/1", "record")


def test_a_body_of_another_revision_does_not_open(database: Database, sealed: Vault, key_store: Database) -> None:
    """Also where the other revision has, by whatever accident, the same data key."""
    with key_store.begin() as connection:
        wrapped = connection.execute(select(data_key.c.wrapped).where(data_key.c.record_id == ANNA.record_id))
        connection.execute(insert(data_key).values(record_id=ANNA.record_id, revision=2, wrapped=wrapped.scalar_one()))
    with database.begin() as connection:
        connection.execute(update(sealed_body).where(sealed_body.c.owner_id == "anna/1").values(revision=2))
    with pytest.raises(SealBroken):
        opened(database, sealed, "anna/1", "record")


@pytest.mark.parametrize("keep", [0, 5, 12, 20])
def test_a_body_that_was_cut_off_does_not_open(database: Database, sealed: Vault, keep: int) -> None:
    with database.begin() as connection:
        body = connection.execute(select(sealed_body.c.body).where(sealed_body.c.owner_id == "bruno/1")).scalar_one()
        connection.execute(update(sealed_body).where(sealed_body.c.owner_id == "bruno/1").values(body=body[:keep]))
    with pytest.raises(SealBroken):
        opened(database, sealed, "bruno/1", "record")


def test_an_error_of_the_vault_quotes_nothing(database: Database, sealed: Vault) -> None:
    with database.begin() as connection:
        connection.execute(update(sealed_body).where(sealed_body.c.owner_id == "bruno/1").values(kind="report"))
    with pytest.raises(SealBroken) as broken:
        opened(database, sealed, "bruno/1", "report")
    assert str(broken.value) == "the sealed report of bruno/1 does not open"
    assert broken.value.__suppress_context__


def test_two_seals_of_the_same_body_differ(database: Database, sealed: Vault) -> None:
    with database.begin() as connection:
        sealed.seal(connection, ANNA, "job-1", {"one": SECRET, "other": SECRET})
        rows = connection.execute(select(sealed_body.c.body).where(sealed_body.c.owner_id == "job-1")).scalars().all()
    assert rows[0] != rows[1]


# --- batches ------------------------------------------------------------------------------------------------------
def test_a_batch_is_opened_by_owner(database: Database, sealed: Vault) -> None:
    sealed.forget()
    with database.reading() as connection:
        assert sealed.open_batch(connection, ["bruno/1", "anna/1", "nobody/1"], ["record"]) == {
            "bruno/1": {"record": b"record of bruno"},
            "anna/1": {"record": SECRET},
            "nobody/1": {},
        }


def test_a_batch_asks_each_store_once(database: Database, sealed: Vault, key_store: Database) -> None:
    sealed.forget()
    asked: list[str] = []
    for each in (database, key_store):
        event.listen(each.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: asked.append(statement))
    batch = [(ANNA, "job-1", {"image": b"1", "face": b"2"}), (BRUNO, "job-2", {"image": b"3"})]
    with database.begin() as connection:
        sealed.seal_batch(connection, batch)
    with database.reading() as connection:
        opened_batch = sealed.open_batch(connection, ["job-1", "job-2"], ["image", "face"])
    assert opened_batch == {owner_id: bodies for _, owner_id, bodies in batch}
    assert [[word for word in ("data_key", "sealed_body") if word in each] for each in asked if "FROM" in each] == [
        ["data_key"],
        ["sealed_body"],
    ]
    assert len([each for each in asked if "INSERT" in each]) == 1


def test_a_batch_with_an_erased_record_is_not_opened(database: Database, sealed: Vault) -> None:
    sealed.erase(ANNA)
    sealed.forget()
    with pytest.raises(DataErased), database.reading() as connection:
        sealed.open_batch(connection, ["bruno/1", "anna/1"], ["record"])


def test_a_batch_whose_bodies_changed_places_is_not_opened(database: Database, sealed: Vault) -> None:
    with database.begin() as connection:
        for owner_id, other in (("anna/1", "between"), ("bruno/1", "anna/1"), ("between", "bruno/1")):
            connection.execute(
                update(sealed_body)
                .where(sealed_body.c.owner_id == owner_id, sealed_body.c.kind == "record")
                .values(owner_id=other)
            )
    with pytest.raises(SealBroken), database.reading() as connection:
        sealed.open_batch(connection, ["anna/1", "bruno/1"], ["record"])


# --- data keys ----------------------------------------------------------------------------------------------------
def test_a_record_that_has_a_data_key_keeps_it(database: Database, sealed: Vault) -> None:
    """After a crash between the two stores the page is pulled again: the key waits and is adopted."""
    sealed.create_keys([ANNA, ANNA])
    sealed.forget()
    assert opened(database, sealed, "anna/1", "record") == {"record": SECRET}


def test_an_erased_record_opens_for_nobody_any_more(database: Database, sealed: Vault) -> None:
    sealed.erase(ANNA)
    with pytest.raises(DataErased):
        opened(database, sealed, "anna/1", "record")
    with pytest.raises(DataErased), database.begin() as connection:
        sealed.seal(connection, ANNA, "job-1", {"report": b""})
    assert opened(database, sealed, "bruno/1", "record") == {"record": b"record of bruno"}


def test_an_erased_record_gets_no_second_data_key(database: Database, sealed: Vault) -> None:
    sealed.erase(ANNA)
    sealed.create_keys([ANNA])
    with pytest.raises(DataErased):
        opened(database, sealed, "anna/1", "record")


def test_another_worker_sees_the_erasure_with_its_next_batch(
    database: Database, sealed: Vault, key_store: Database, data_keys: SoftwareDataKeys
) -> None:
    other = Vault(key_store, data_keys)
    assert opened(database, other, "anna/1", "record")
    sealed.erase(ANNA)
    other.forget()
    with pytest.raises(DataErased):
        opened(database, other, "anna/1", "record")


# --- files --------------------------------------------------------------------------------------------------------
def files_with(directory: Path, planted: bytes) -> list[str]:
    """Names of the files below that hold these bytes, or their hexadecimal digits."""
    forms = (planted, planted.hex().encode(), planted.hex().upper().encode())
    return [path.name for path in directory.rglob("*") if path.is_file() and any(f in path.read_bytes() for f in forms)]


def test_no_file_holds_a_body_or_a_key_in_clear(
    database: Database, sealed: Vault, data_keys: SoftwareDataKeys, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    engine = _engine_files(database, tmp_path, request)
    assert files_with(engine, b"anna/1") != []  # what does stand in the files is found
    assert "keys.sqlite-wal" in files_with(tmp_path, ANNA.record_id.encode())
    for directory in {engine, tmp_path}:
        for planted in (SECRET, b"image of anna", *data_keys.made):
            assert files_with(directory, planted) == []


def _engine_files(database: Database, directory: Path, request: pytest.FixtureRequest) -> Path:
    """Where the engine's database lies, everything that is committed being in files."""
    if database.is_sqlite:
        assert {"engine.sqlite", "engine.sqlite-wal"} <= {path.name for path in directory.iterdir()}
        return directory
    with database.begin() as connection:
        connection.execute(text("CHECKPOINT"))
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.directory


def test_an_erased_data_key_leaves_no_trace_in_the_key_store(
    sealed: Vault, key_store: Database, tmp_path: Path
) -> None:
    with key_store.reading() as connection:
        wrapped = connection.execute(
            select(data_key.c.wrapped).where(data_key.c.record_id == ANNA.record_id)
        ).scalar_one()
    assert files_with(tmp_path, wrapped) != []
    sealed.erase(ANNA)
    assert files_with(tmp_path, wrapped) == []


def test_an_erasure_whose_trace_may_be_left_says_so(sealed: Vault, key_store: Database) -> None:
    """A reader of the key store holds back the emptying of its log; what is erased then is told to erase again."""
    event.listen(key_store.engine, "checkout", lambda raw, *_: raw.execute("PRAGMA busy_timeout=0"))
    with key_store.reading() as reader:
        reader.execute(select(data_key)).all()
        with pytest.raises(StoreUnavailable, match="could not be emptied"):
            sealed.erase(ANNA)
    sealed.erase(ANNA)

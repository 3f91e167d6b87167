"""`perso report events` as it is called: a log that was changed, or cut off behind a checkpoint, gets a sentence."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from api.cli import main
from api.state_directory import StateDirectory
from personalization.audit import Event, number_and_sign, record_events
from personalization.store.database import Database, upgrade
from pki.ceremony import AUDIT_FILE, hold_ceremony, load_plan, plan_file
from tests.pki.made_up import NOW, key_letter
from tests.pki.software_signer import SoftwareCeremony


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    state = StateDirectory(tmp_path / "state")
    state.create()
    state.bind(specimen=True)
    state.softhsm_conf.touch()
    upgrade(state.database_url)
    return state


@pytest.fixture
def database(state: StateDirectory) -> Iterator[Database]:
    """Three events, the last one under a checkpoint by the key of the ceremony."""
    ceremony = SoftwareCeremony()
    directory = state.authorities(specimen=True)
    hold_ceremony(load_plan(plan_file("specimen")), ceremony, now=NOW, directory=directory, key_letter=key_letter)
    database = Database(state.database_url)
    with database.begin() as connection:
        record_events(connection, *(Event(kind, NOW, "tester") for kind in ("a", "b", "c")))
    number_and_sign(database, ceremony.signer(), NOW)
    yield database
    database.close()


def said(state: StateDirectory, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(["report", "events", "--state", str(state.root), "--json"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def in_the_file(state: StateDirectory, statement: str) -> None:
    """What somebody does who can write the file: the engine's own connection would hold to its foreign keys."""
    with closing(sqlite3.connect(state.root / "engine.sqlite")) as connection:
        connection.execute(statement)
        connection.commit()


def test_an_unchanged_log_is_told(
    state: StateDirectory, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(state, capsys)
    assert (code, err) == (0, "")
    assert [event["kind"] for event in json.loads(out)["events"]] == ["a", "b", "c"]


def test_a_changed_event_is_found(
    state: StateDirectory, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_file(state, "UPDATE audit_event SET body = '{}' WHERE seq = 2")
    assert said(state, capsys) == (1, "", "perso: event 2 does not follow from the one before it\n")


def test_a_tail_cut_off_behind_a_checkpoint_is_found(
    state: StateDirectory, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_file(state, "DELETE FROM audit_event WHERE seq = 3")
    assert said(state, capsys) == (1, "", "perso: event 3 is not the one that checkpoint 3 was signed over\n")


def test_checkpoints_of_another_key_are_found(
    state: StateDirectory, database: Database, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    plan = load_plan(plan_file("specimen"))
    hold_ceremony(plan, SoftwareCeremony(), now=NOW, directory=other, key_letter=None)
    (other / AUDIT_FILE).replace(state.authorities(specimen=True) / AUDIT_FILE)
    assert said(state, capsys) == (1, "", "perso: the signature of checkpoint 3 does not verify\n")


def test_authorities_from_before_the_key_was_kept_get_a_sentence(
    state: StateDirectory, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    (state.authorities(specimen=True) / AUDIT_FILE).unlink()
    code, _, err = said(state, capsys)
    assert code == 1
    assert "checkpoints cannot be checked" in err

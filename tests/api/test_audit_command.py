"""`perso audit export|verify` as they are called: an export is proven without database and HSM."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.cli import main
from api.state_directory import StateDirectory
from personalization.audit import Event, number_and_sign, record_events, sequence_events
from personalization.store.database import Database, upgrade
from pki.ceremony import AUDIT_FILE, EVIDENCE_FILE, hold_ceremony, load_plan, plan_file
from tests.pki.made_up import NOW, key_letter
from tests.pki.software_signer import SoftwareCeremony

Told = tuple[int, dict[str, Any]]


class Line:
    """A state with three events under a checkpoint, and the ceremony that holds the key."""

    def __init__(self, root: Path) -> None:
        self.ceremony = SoftwareCeremony()
        self.state = StateDirectory(root)
        self.state.create()
        self.state.bind(specimen=True)
        self.state.softhsm_conf.touch()
        upgrade(self.state.database_url)
        plan = load_plan(plan_file("specimen"))
        hold_ceremony(plan, self.ceremony, now=NOW, directory=self.evidence, key_letter=key_letter)
        self.database = Database(self.state.database_url)
        self.tell("a", "b", "c")
        number_and_sign(self.database, self.ceremony.signer(), NOW)

    @property
    def evidence(self) -> Path:
        return self.state.authorities(specimen=True)

    def tell(self, *kinds: str) -> None:
        with self.database.begin() as connection:
            record_events(connection, *(Event(kind, NOW, "tester") for kind in kinds))

    def in_the_file(self, statement: str) -> None:
        """What somebody does who can write the file."""
        with closing(sqlite3.connect(self.state.root / "engine.sqlite")) as connection:
            connection.execute(statement)
            connection.commit()

    def export(self, file: Path, *more: str) -> int:
        return main(["audit", "export", str(file), "--state", str(self.state.root), "--json", *more])


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path / "state")
    yield made
    made.database.close()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> "Said":
    return Said(capsys)


class Said:
    """Runs `perso audit verify … --json`: its exit code and what it told."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Told:
        self._capsys.readouterr()
        code = main(["audit", "verify", *map(str, arguments), "--json"])
        return code, json.loads(self._capsys.readouterr().out)


def broken(number: int, kind: str) -> dict[str, object]:
    return {"number": number, "kind": kind}


def of(told: Told) -> dict[str, object]:
    code, told_json = told
    assert code == 1
    assert told_json["ok"] is False
    assert told_json["broken"]["sentence"]
    return {name: told_json["broken"][name] for name in ("number", "kind")}


# --- the database -------------------------------------------------------------------------------------------------
def test_the_database_is_proven_under_the_key_of_the_ceremony(line: Line, said: Said) -> None:
    code, told = said("--state", line.state.root)
    named = {
        key["label"]: key["fingerprint"] for key in json.loads((line.evidence / EVIDENCE_FILE).read_text())["keys"]
    }
    assert code == 0
    assert told["key_sha256"] == named["audit"]
    assert told["anchor"].startswith("3:")
    assert {name: told[name] for name in ("ok", "last", "checkpoint", "unsigned", "unnumbered")} == {
        "ok": True, "last": 3, "checkpoint": 3, "unsigned": 0, "unnumbered": 0,
    }  # fmt: skip


def test_what_is_chained_but_not_signed_or_not_even_numbered_is_said(
    line: Line, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    line.tell("d", "e")
    sequence_events(line.database)
    line.tell("f")
    code, told = said("--state", line.state.root)
    assert (code, told["last"], told["checkpoint"], told["unsigned"], told["unnumbered"]) == (0, 5, 3, 2, 1)
    assert main(["audit", "verify", "--state", str(line.state.root)]) == 0
    text = capsys.readouterr().out
    assert "2 events from 4 on are chained but not signed yet" in text
    assert "1 events wait for a number" in text


@pytest.mark.parametrize(
    ("statement", "number", "kind"),
    [
        ("UPDATE audit_event SET body = '{}' WHERE seq = 2", 2, "changed"),
        ("DELETE FROM audit_event WHERE seq = 2", 2, "missing"),
        ("DELETE FROM audit_event WHERE seq = 3", 3, "checkpoint"),
        ("UPDATE audit_checkpoint SET signature = x'3006020101020101'", 3, "signature"),
        ("UPDATE audit_checkpoint SET signature = 'text'", 3, "signature"),
        ("UPDATE audit_event SET body = x'00' WHERE seq = 2", 2, "changed"),
    ],
)
def test_a_database_that_was_changed_is_found(line: Line, said: Said, statement: str, number: int, kind: str) -> None:
    line.in_the_file(statement)
    assert of(said("--state", line.state.root)) == broken(number, kind)


def test_a_key_that_is_not_the_one_of_the_evidence_is_refused(
    line: Line, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = load_plan(plan_file("specimen"))
    hold_ceremony(plan, SoftwareCeremony(), now=NOW, directory=tmp_path / "other", key_letter=None)
    shutil.copy(tmp_path / "other" / AUDIT_FILE, line.evidence / AUDIT_FILE)
    assert main(["audit", "verify", "--state", str(line.state.root)]) == 1
    assert "is not the key that the ceremony's evidence names" in capsys.readouterr().err


def test_a_database_that_is_gone_is_no_empty_log(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    line.database.close()
    (line.state.root / "engine.sqlite").unlink()
    assert main(["audit", "verify", "--state", str(line.state.root)]) == 1
    assert "there is no database" in capsys.readouterr().err
    assert not (line.state.root / "engine.sqlite").exists()


def test_a_damaged_database_is_a_sentence(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    line.database.close()
    file = line.state.root / "engine.sqlite"
    for log in line.state.root.glob("engine.sqlite-*"):
        log.unlink()
    file.write_bytes(file.read_bytes()[:100] + b"\xff" * (file.stat().st_size - 100))
    assert main(["audit", "verify", "--state", str(line.state.root)]) == 1
    assert capsys.readouterr().err.startswith("perso: ")


# --- an export ----------------------------------------------------------------------------------------------------
def test_an_export_is_proven_where_there_is_no_state_at_all(line: Line, said: Said, tmp_path: Path) -> None:
    file, key = tmp_path / "log.jsonl", tmp_path / "audit.der"
    assert line.export(file) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    shutil.copy(line.evidence / AUDIT_FILE, key)
    shutil.copytree(line.evidence, tmp_path / "evidence")
    line.database.close()
    shutil.rmtree(line.state.root)
    for named in (("--key", key), ("--evidence", tmp_path / "evidence")):
        code, told = said(file, *named)
        assert (code, told["last"], told["checkpoint"], told["unnumbered"]) == (0, 3, 3, None)
        assert said(file, *named, "--anchor", told["anchor"])[0] == 0


def test_an_export_ends_with_a_checkpoint_unless_asked(line: Line, said: Said, tmp_path: Path) -> None:
    line.tell("d")
    sequence_events(line.database)
    signed, whole = tmp_path / "signed.jsonl", tmp_path / "whole.jsonl"
    assert (line.export(signed), line.export(whole, "--with-unsigned")) == (0, 0)
    assert said(signed, "--evidence", line.evidence)[1]["last"] == 3
    assert of(said(whole, "--evidence", line.evidence)) == broken(4, "unsigned")
    code, told = said(whole, "--evidence", line.evidence, "--accept-unsigned")
    assert (code, told["last"], told["unsigned"]) == (0, 4, 1)


def test_a_broken_export_is_told_with_number_and_kind(
    line: Line, said: Said, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log.jsonl"
    line.export(file)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], lines[2].replace(b'kind\\":\\"b', b'kind\\":\\"x'), *lines[3:]]))
    assert of(said(file, "--evidence", line.evidence)) == broken(2, "changed")
    assert main(["audit", "verify", str(file), "--evidence", str(line.evidence)]) == 1
    assert capsys.readouterr().out.startswith("BROKEN at number 2 (changed): event 2 does not follow")


def test_a_log_that_was_written_anew_is_found_by_yesterdays_anchor(line: Line, said: Said, tmp_path: Path) -> None:
    """The one who did it holds the HSM: every signature verifies."""
    anchor = said("--state", line.state.root)[1]["anchor"]
    line.in_the_file("DELETE FROM audit_checkpoint")
    line.in_the_file("DELETE FROM audit_event")
    line.tell("x", "y", "z")
    number_and_sign(line.database, line.ceremony.signer(), NOW)
    file = tmp_path / "log.jsonl"
    line.export(file)
    assert said(file, "--evidence", line.evidence)[0] == 0
    assert of(said(file, "--evidence", line.evidence, "--anchor", anchor)) == broken(3, "anchor")
    assert of(said("--state", line.state.root, "--anchor", anchor)) == broken(3, "anchor")


def test_an_export_overwrites_nothing(line: Line, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text("earlier")
    assert line.export(file) == 1
    assert "File exists" in capsys.readouterr().err
    assert file.read_text() == "earlier"


def test_a_file_needs_a_key_to_be_proven_under(line: Line, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log.jsonl"
    line.export(file)
    assert main(["audit", "verify", str(file)]) == 1
    assert "--key FILE or --evidence DIR" in capsys.readouterr().err
    assert main(["audit", "verify", str(file), "--key", str(file)]) == 1
    assert "not readable as a public key" in capsys.readouterr().err
    assert main(["audit", "verify", str(file), "--key", str(line.evidence / AUDIT_FILE), "--anchor", "nothing"]) == 1
    assert "NUMBER:HASH" in capsys.readouterr().err

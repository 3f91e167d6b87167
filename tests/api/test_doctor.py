"""`perso doctor` on a real line that is whole, and on copies of it in which one thing at a time is broken."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api import simulated
from api.cli import main
from api.doctor.audit_log import check_audit
from api.doctor.certificates import check_certificates
from api.doctor.clock import check_clock
from api.doctor.examination import CHECKS, all_well, examine
from api.doctor.finding import Finding, Status, ok
from api.doctor.machine import check_disk, check_permissions, check_programs, check_state
from api.doctor.patient import Answer, Patient, answer_of
from api.doctor.stations import check_pcsc, check_printers, judge_printer
from api.doctor.stores import check_database, check_key_store
from api.doctor.token import check_token
from api.doctor.work import WHAT_TO_DO, check_blanks, check_jobs
from api.state_directory import StateDirectory
from api.token import softhsm_module
from personalization import preparing
from personalization.acceptance import NO_PROFILE
from personalization.job_control import HELD_BY_OPERATOR
from personalization.station.printer_status import PrinterState, PrinterStatus, Supply
from personalization.store.database import Database, upgrade
from tests.personalization.engine.postgres import find_programs, running_server

SAMPLES = Path(__file__).resolve().parents[2] / "simulators" / "records"
RECORDS = ("PADIS-2026-0000002", "PADIS-2026-0000005")
"""A citizen's card, and a document for which no profile is published."""
QUICK = [(name, check) for name, check in CHECKS if name not in ("token", "pcscd")]
"""Checks that start no process of their own."""
DAY = timedelta(days=1)
MIB = 1024**2

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of a line that made one card."""
    directory = tmp_path_factory.mktemp("line")
    (directory / "records").mkdir()
    for name in RECORDS:
        shutil.copy(SAMPLES / f"{name}.json", directory / "records")
    perso = str(Path(sys.executable).with_name("perso"))
    folders = ["--records", str(directory / "records"), "--state", str(directory / "state")]
    command = [perso, "run", *folders, "--direct", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return directory / "state"


@pytest.fixture
def patient(line: Path, tmp_path: Path) -> Patient:
    """A copy of the line, to be broken."""
    state = StateDirectory(tmp_path / "state")
    shutil.copytree(line, state.root)
    conf = state.softhsm_conf.read_text()
    state.softhsm_conf.write_text(conf.replace(str(line), str(state.root)))
    return Patient(state, state.database_url, answer_of=without_time_keeper)


def without_time_keeper(*command: str) -> Answer | None:
    """The programs of this machine, but nothing that says who keeps its clock: that differs between machines."""
    return None if command[0] in ("chronyc", "timedatectl") else answer_of(*command)


def in_the_file(file: Path, statement: str, *values: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement, values)
        connection.commit()


def engine(patient: Patient) -> Path:
    return patient.state.root / "engine.sqlite"


def worst(findings: Sequence[Finding], check: str) -> Finding:
    """The finding of this check; it says what to do, unless all is well."""
    found = {finding.check: finding for finding in findings}[check]
    assert found.sentence
    assert found.what_to_do or found.status in (Status.OK, Status.NOT_APPLICABLE)
    return found


def later(patient: Patient, by: timedelta) -> Patient:
    return replace(patient, clock=lambda: datetime.now(UTC) + by)


# --- the whole line -----------------------------------------------------------------------------------------------
def test_a_line_that_is_whole_is_found_whole(patient: Patient) -> None:
    findings = examine(patient)
    bad = [finding for finding in findings if finding.status is Status.FAILED]
    assert bad == []
    assert all_well(findings)
    well = {finding.check for finding in findings if finding.status is Status.OK}
    assert well >= {
        "state", "program openssl", "program pkcs11-tool", "permissions", "disk", "database", "key store", "clock",
        "clock and log", "token", "token keys", "evidence", "certificate root", "certificate issuing",
        "certificate csca", "certificate document signer", "jobs", "blanks", "audit", "audit events waiting",
    }  # fmt: skip


def test_the_examination_changes_nothing(patient: Patient) -> None:
    def everything() -> dict[Path, bytes]:
        files = [path for path in patient.state.root.rglob("*") if path.is_file()]
        # SQLite's shared memory, and what SoftHSM writes anew at each login.
        return {path: path.read_bytes() for path in files if not path.name.endswith(("-shm", "token.object"))}

    before = everything()
    examine(patient)
    after = {path: content for path, content in everything().items() if content or path in before}
    assert after == before


def test_the_command_tells_machines_one_object(patient: Patient, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--state", str(patient.state.root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert all(set(finding) == {"check", "status", "sentence", "advice"} for finding in told["findings"])
    patient.state.pin_file.chmod(0o644)
    assert main(["doctor", "--state", str(patient.state.root), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert [each["check"] for each in told["findings"] if each["status"] == "failed"] == ["permissions"]


def test_the_command_tells_people_what_to_do(patient: Patient, capsys: pytest.CaptureFixture[str]) -> None:
    engine(patient).unlink()
    assert main(["doctor", "--state", str(patient.state.root), "--printer", "ipp://127.0.0.1:9/ipp/print"]) == 1
    text = capsys.readouterr().out
    assert "there is no file" in text
    assert "→ start the database server" in text
    assert "printer ipp://127.0.0.1:9/ipp/print" in text
    assert "failed, " in text


def test_where_there_is_no_line_every_check_still_says_something(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "nowhere")
    findings = examine(Patient(state, state.database_url))
    assert worst(findings, "state").status is Status.FAILED
    assert not state.root.exists()
    assert not any("not examined: " in finding.sentence and " at " in finding.sentence for finding in findings)


def test_a_check_that_breaks_is_a_finding_and_the_others_run(patient: Patient) -> None:
    def breaks(_: Patient) -> Sequence[Finding]:
        raise ValueError("a value that nobody may see")

    findings = examine(patient, (("first", breaks), ("second", lambda _: [ok("second", "well")])))
    assert [(finding.check, finding.status) for finding in findings] == [
        ("first", Status.FAILED),
        ("second", Status.OK),
    ]
    assert "ValueError at examination.py" in findings[0].sentence
    assert "nobody may see" not in findings[0].sentence


def test_each_check_has_one_name() -> None:
    assert len({name for name, _ in CHECKS}) == len(CHECKS)


# --- machine ------------------------------------------------------------------------------------------------------
def test_a_directory_without_a_line_is_named(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    found = worst(check_state(Patient(state, state.database_url)), "state")
    assert (found.status, "perso run" in found.what_to_do) == (Status.FAILED, True)


def test_a_program_that_is_not_installed_is_named(patient: Patient) -> None:
    findings = check_programs(replace(patient, answer_of=lambda *_: None))
    assert [finding.status for finding in findings] == [Status.FAILED, Status.FAILED]
    assert "apt-get install" in findings[0].what_to_do


def test_a_program_without_a_version_is_a_warning(patient: Patient) -> None:
    found = check_programs(replace(patient, answer_of=lambda *_: Answer(1, "")))
    assert {finding.status for finding in found} == {Status.WARNING}


@pytest.mark.parametrize(
    "name", ["token.pin", "engine.sqlite", "data-keys.sqlite", "softhsm2.conf", "token", "perso.log"]
)
@pytest.mark.parametrize("more", [0o040, 0o004, 0o020])
def test_what_others_may_read_or_write_is_named(patient: Patient, name: str, more: int) -> None:
    path = patient.state.root / name
    path.chmod(path.stat().st_mode | more)
    found = worst(check_permissions(patient), "permissions")
    assert (found.status, str(path) in found.sentence, "chmod" in found.what_to_do) == (Status.FAILED, True, True)


def test_an_object_of_the_token_that_others_may_read_is_named(patient: Patient) -> None:
    for path in patient.state.token_directory.glob("*/*.object"):
        path.chmod(0o644)
    found = worst(check_permissions(patient), "permissions")
    assert found.status is Status.FAILED
    assert "more" in found.sentence


def test_a_line_of_another_user_is_named(patient: Patient) -> None:
    found = worst(check_permissions(replace(patient, user=patient.user + 1)), "permissions")
    assert (found.status, "chown" in found.what_to_do) == (Status.FAILED, True)


def test_a_pin_file_that_is_gone_is_named(patient: Patient) -> None:
    patient.state.pin_file.unlink()
    assert "PIN file" in worst(check_permissions(patient), "permissions").sentence


@pytest.mark.parametrize(
    ("free", "status"),
    [
        (3 * 1024 * MIB, Status.OK),
        (2 * 1024 * MIB - 1, Status.WARNING),
        (200 * MIB, Status.WARNING),
        (200 * MIB - 1, Status.FAILED),
        (0, Status.FAILED),
    ],
)
def test_a_disk_that_fills_up_is_told(patient: Patient, free: int, status: Status) -> None:
    assert worst(check_disk(replace(patient, free_bytes=lambda _: free)), "disk").status is status


# --- databases ----------------------------------------------------------------------------------------------------
def test_a_database_that_is_gone_is_told_and_not_made_anew(patient: Patient) -> None:
    engine(patient).unlink()
    findings = examine(patient)
    assert "there is no file" in worst(findings, "database").sentence
    assert worst(findings, "jobs").what_to_do == "see database"
    assert worst(findings, "token").status is Status.OK, "the others were examined all the same"
    assert not engine(patient).exists()


def test_a_damaged_database_is_told(patient: Patient) -> None:
    content = bytearray(engine(patient).read_bytes())
    content[8192 : 8192 + 40960] = bytes(40960)
    engine(patient).write_bytes(content)
    assert worst(check_database(patient), "database").status is Status.FAILED
    engine(patient).write_bytes(b"no database at all" * 1000)
    assert worst(examine(patient, QUICK), "database").status is Status.FAILED


@pytest.mark.parametrize(
    ("version", "status", "sentence"),
    [("0001", Status.WARNING, "the newest is"), ("ffff", Status.FAILED, "does not know")],
)
def test_tables_of_another_version_are_told(patient: Patient, version: str, status: Status, sentence: str) -> None:
    in_the_file(engine(patient), "UPDATE alembic_version SET version_num = ?", version)
    found = worst(check_database(patient), "database")
    assert (found.status, sentence in found.sentence) == (status, True)


def test_a_database_without_our_tables_is_told(patient: Patient, tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / 'other.sqlite'}").engine.connect().close()
    other = replace(patient, database_url=f"sqlite:///{tmp_path / 'other.sqlite'}")
    assert "without the engine's tables" in worst(check_database(other), "database").sentence
    assert worst(examine(other, QUICK), "audit").status is Status.FAILED


def test_a_wrong_url_is_told(patient: Patient) -> None:
    findings = examine(replace(patient, database_url="nothing"), QUICK)
    assert "URL" in worst(findings, "database").sentence


def test_a_key_store_that_is_gone_or_of_another_line_is_told(patient: Patient) -> None:
    store = patient.state.root / "data-keys.sqlite"
    in_the_file(store, "DELETE FROM data_key")
    found = worst(check_key_store(patient), "key store")
    assert (found.status, "1 jobs" in found.sentence) == (Status.FAILED, True)
    store.unlink()
    assert "no file" in worst(check_key_store(patient), "key store").sentence
    assert not store.exists()


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
    with running_server(programs) as server:
        upgrade(server.url("postgres"))
        yield server.url("postgres")


def test_a_database_server_is_examined_too(patient: Patient, postgres_url: str) -> None:
    findings = examine(replace(patient, database_url=postgres_url), QUICK)
    assert worst(findings, "database").sentence.startswith("PostgreSQL, tables of version")
    assert worst(findings, "clock and database").status is Status.OK
    assert worst(findings, "blanks").status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(("seconds", "status"), [(10, Status.WARNING), (-10, Status.WARNING), (60, Status.FAILED)])
def test_a_clock_beside_the_database_servers_is_told(
    patient: Patient, postgres_url: str, seconds: int, status: Status
) -> None:
    patient = later(replace(patient, database_url=postgres_url), timedelta(seconds=seconds))
    assert worst(check_clock(patient), "clock and database").status is status


def test_a_database_server_that_is_away_is_told(patient: Patient, tmp_path: Path) -> None:
    url = f"postgresql+pg8000://perso@/postgres?unix_sock={tmp_path / 'nothing'}"
    findings = examine(replace(patient, database_url=url), QUICK)
    assert worst(findings, "database").status is Status.FAILED
    assert worst(findings, "clock").status is Status.OK
    assert worst(findings, "clock and log").status is Status.NOT_APPLICABLE


# --- clock --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("year", [1970, 2025, 2100])
def test_a_year_that_cannot_be_is_told(patient: Patient, year: int) -> None:
    patient = replace(patient, clock=lambda: datetime(year, 6, 1, tzinfo=UTC))
    assert worst(check_clock(patient), "clock").status is Status.FAILED


def test_a_clock_behind_the_log_is_told(patient: Patient) -> None:
    found = worst(check_clock(later(patient, -timedelta(hours=1))), "clock and log")
    assert (found.status, "in the future" in found.sentence) == (Status.FAILED, True)


CHRONY = "Reference ID    : C0A80001 (ntp)\nStratum         : 3\nLeap status     : {}\n"


@pytest.mark.parametrize(
    ("program", "answer", "status"),
    [
        ("chronyc", Answer(0, CHRONY.format("Normal")), Status.OK),
        ("chronyc", Answer(0, CHRONY.format("Not synchronised")), Status.WARNING),
        ("chronyc", Answer(1, "506 Cannot talk to daemon"), Status.NOT_APPLICABLE),
        ("timedatectl", Answer(0, "yes"), Status.OK),
        ("timedatectl", Answer(0, "no"), Status.WARNING),
        ("timedatectl", Answer(1, "System has not been booted with systemd"), Status.NOT_APPLICABLE),
    ],
)
def test_who_keeps_the_clock_is_asked(patient: Patient, program: str, answer: Answer, status: Status) -> None:
    patient = replace(patient, answer_of=lambda *command: answer if command[0] == program else None)
    assert worst(check_clock(patient), "clock synchronized").status is status


# --- token --------------------------------------------------------------------------------------------------------
def test_a_wrong_pin_is_told_with_a_warning_of_the_lock(patient: Patient) -> None:
    patient.state.pin_file.write_text("0" * 32)
    (found,) = check_token(patient)
    assert (found.status, "refused the PIN" in found.sentence) == (Status.FAILED, True)
    assert "do not try again" in found.what_to_do


def delete_key(patient: Patient, label: str) -> None:
    command = [
        "pkcs11-tool", "--module", str(softhsm_module()), "--token-label", "eid-perso", "--login",
        "--pin", patient.state.pin_file.read_text(), "--delete-object", "--type", "secrkey", "--label", label,
    ]  # fmt: skip
    environment = {"SOFTHSM2_CONF": str(patient.state.softhsm_conf), "PATH": "/usr/bin:/bin"}
    subprocess.run(command, env=environment, check=True, capture_output=True)


@pytest.mark.parametrize(("label", "advice"), [("master-CERT", "--key-letter"), ("record-key", "backup")])
def test_a_key_that_is_missing_on_the_token_is_named(patient: Patient, label: str, advice: str) -> None:
    delete_key(patient, label)
    token, keys = check_token(patient)
    assert token.status is Status.OK
    assert (keys.status, label in keys.sentence, advice in keys.what_to_do) == (Status.FAILED, True, True)


def test_a_key_that_is_not_its_certificates_is_named(patient: Patient) -> None:
    listed = patient.authorities / "authorities.json"
    told = json.loads(listed.read_text())
    told["issuing"]["label"], told["csca"]["label"] = told["csca"]["label"], told["issuing"]["label"]
    listed.write_text(json.dumps(told))
    keys = worst(check_token(patient), "token keys")
    assert keys.status is Status.FAILED
    assert keys.sentence == "another key than its certificate's: csca-2026, issuing-ca-2026"


def _no_token(patient: Patient) -> None:
    shutil.rmtree(patient.state.token_directory)
    patient.state.token_directory.mkdir(mode=0o700)


def _no_pin(patient: Patient) -> None:
    patient.state.pin_file.unlink()


def _empty_pin(patient: Patient) -> None:
    patient.state.pin_file.write_text("")


def _no_configuration(patient: Patient) -> None:
    patient.state.softhsm_conf.unlink()


@pytest.mark.parametrize("damage", [_no_token, _no_pin, _empty_pin, _no_configuration])
def test_a_token_that_does_not_open_is_told(patient: Patient, damage: Callable[[Patient], None]) -> None:
    damage(patient)
    (found,) = check_token(patient)
    assert worst([found], "token").status is Status.FAILED


def test_a_token_that_hangs_is_given_up(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.doctor.token.TOKEN_SECONDS", 2.0)
    patient.state.pin_file.unlink()
    os.mkfifo(patient.state.pin_file, 0o600)  # whoever reads it waits for a writer
    (found,) = check_token(patient)
    assert (found.status, found.sentence) == (Status.FAILED, "no answer within 2 s")


def test_a_module_that_is_not_installed_is_told(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.token.SOFTHSM_MODULES", ())
    (found,) = check_token(patient)
    assert (found.status, "SoftHSM2 is not installed" in found.sentence) == (Status.FAILED, True)


# --- certificates -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("days", "certificate", "status", "sentence"),
    [
        (-1, "root", Status.FAILED, "not valid before"),
        (60, "document signer", Status.OK, "its key signs until"),
        (85, "document signer", Status.WARNING, "may sign until"),
        (100, "document signer", Status.FAILED, "may sign no more"),
        (2 * 365, "csca", Status.OK, "its key signs until"),
        (3 * 365 - 40, "csca", Status.WARNING, "may sign until"),
        (4 * 365, "csca", Status.FAILED, "may sign no more"),
        (9 * 365, "issuing", Status.OK, "until"),
        (11 * 365, "issuing", Status.WARNING, "a holder's certificate"),
        (16 * 365, "issuing", Status.FAILED, "ended on"),
        (11 * 365, "root", Status.OK, "until"),
        (21 * 365, "root", Status.WARNING, "a holder's certificate"),
        (26 * 365, "root", Status.FAILED, "ended on"),
    ],
)
def test_a_certificate_that_ends_is_told_in_time(
    patient: Patient, days: int, certificate: str, status: Status, sentence: str
) -> None:
    found = worst(check_certificates(later(patient, days * DAY)), f"certificate {certificate}")
    assert (found.status, sentence in found.sentence) == (status, True), found.sentence


def test_authorities_that_are_not_whole_are_told(patient: Patient) -> None:
    (patient.authorities / "csca.der").unlink()
    (found,) = check_certificates(patient)
    assert worst([found], "certificates").status is Status.FAILED


@pytest.mark.parametrize("file", ["evidence.json", "audit.spki.der"])
def test_evidence_that_is_gone_is_told(patient: Patient, file: str) -> None:
    (patient.authorities / file).unlink()
    findings = examine(patient, QUICK)
    assert worst(findings, "evidence").status is Status.FAILED
    assert worst(findings, "audit").status is Status.FAILED


def test_certificates_that_are_not_those_of_the_evidence_are_told(patient: Patient) -> None:
    evidence = patient.authorities / "evidence.json"
    told = json.loads(evidence.read_text())
    told["certificates"][0]["sha256"] = "0" * 64
    evidence.write_text(json.dumps(told))
    found = worst(check_certificates(patient), "evidence")
    assert (found.status, "root.der" in found.sentence) == (Status.FAILED, True)


# --- stations -----------------------------------------------------------------------------------------------------
def test_a_service_that_does_not_answer_is_told(patient: Patient, tmp_path: Path) -> None:
    patient = replace(patient, pcsc_socket=tmp_path / "nothing", readers=("Station 1",))
    service, reader = check_pcsc(patient)
    assert (service.status, reader.status) == (Status.FAILED, Status.FAILED)
    assert "no PC/SC service answers" in service.sentence
    (found,) = check_pcsc(replace(patient, answer_of=lambda *_: None))[:1]
    assert "pcscd is not installed" in found.sentence


def test_readers_are_listed_by_a_real_service(patient: Patient, tmp_path: Path) -> None:
    station = tmp_path / "station-1"
    station.mkdir()
    with ExitStack() as stack:
        hall = simulated.start_hall(stack, f"--station={station}")
        if hall.pcsc_socket is None:
            pytest.skip(f"no pcscd here: {hall.no_pcsc}")
        name = hall.slots[0].reader
        assert name is not None
        service, there, away = check_pcsc(
            replace(patient, pcsc_socket=hall.pcsc_socket, readers=(name, "Another reader"))
        )
        assert (service.status, there.status, away.status) == (Status.OK, Status.OK, Status.FAILED)
        assert name in away.sentence
        unasked = worst(check_pcsc(replace(patient, pcsc_socket=hall.pcsc_socket)), "readers")
        assert (unasked.status, name in unasked.sentence) == (Status.NOT_APPLICABLE, True)


def test_printers_are_asked(patient: Patient, tmp_path: Path) -> None:
    with ExitStack() as stack:
        _, uri = simulated.start_printer(stack, tmp_path / "printer")
        patient = replace(patient, printers=(uri, "ipp://127.0.0.1:9/ipp/print", "printer"))
        there, away, nonsense = check_printers(patient)
    assert (there.status, away.status, nonsense.status) == (Status.OK, Status.FAILED, Status.FAILED)
    assert "Simulated ID-1 card printer" in there.sentence
    assert "cannot be reached" in away.sentence
    assert "ipp" in nonsense.what_to_do


RIBBON = Supply("colour ribbon", 80, low=False)


@pytest.mark.parametrize(
    ("status", "expected", "word"),
    [
        (PrinterStatus("P", PrinterState.IDLE, (), True, (), (RIBBON,)), Status.OK, "colour ribbon 80 %"),
        (PrinterStatus("P", PrinterState.PROCESSING, ("moving-report",), True, (), ()), Status.OK, "at work"),
        (PrinterStatus("P", PrinterState.STOPPED, ("paused",), True, (), ()), Status.FAILED, "paused"),
        (PrinterStatus("P", PrinterState.IDLE, ("media-jam-error",), True, (), ()), Status.FAILED, "media-jam"),
        (PrinterStatus("P", PrinterState.IDLE, ("cover-open-warning",), True, (), ()), Status.WARNING, "cover-open"),
        (PrinterStatus("P", PrinterState.IDLE, ("media-low",), True, (), ()), Status.WARNING, "media-low"),
        (PrinterStatus("P", PrinterState.IDLE, (), False, (), ()), Status.FAILED, "takes no jobs"),
        (PrinterStatus("P", 0, (), True, (), ()), Status.WARNING, "no state"),
        (PrinterStatus("P", PrinterState.IDLE, (), True, (), (replace(RIBBON, percent=4, low=True),)),
         Status.WARNING, "low on colour ribbon 4 %"),
    ],
)  # fmt: skip
def test_what_a_printer_says_is_judged(status: PrinterStatus, expected: Status, word: str) -> None:
    found = worst([judge_printer("printer", status)], "printer")
    assert (found.status, word in found.sentence) == (expected, True), found.sentence


# --- work ---------------------------------------------------------------------------------------------------------
def test_held_jobs_are_told_by_reason(patient: Patient) -> None:
    findings = check_jobs(patient)
    assert worst(findings, "jobs").sentence == "1 done, 1 held"
    held = worst(findings, "jobs held")
    assert (held.status, held.sentence) == (Status.WARNING, "1 held: no-profile")


def test_every_reason_of_the_engine_has_its_advice() -> None:
    reasons = {preparing.reason_of(refused.__new__(refused)) for refused in preparing.REFUSALS}
    reasons |= {NO_PROFILE, HELD_BY_OPERATOR, "spoiled-too-often", "unexpected-error"}
    assert reasons == set(WHAT_TO_DO)


@pytest.mark.parametrize(("stage", "advice"), [("encode", "start the same station again"), ("keys", "takes the jobs")])
def test_claims_of_dead_workers_are_told(patient: Patient, stage: str, advice: str) -> None:
    in_the_file(
        engine(patient),
        "UPDATE job SET state = 'claimed', stage = ?, owner = 'station-1', station = 'station-1',"
        " lease_until = '2026-01-01 00:00:00.000000' WHERE state = 'done'",
        stage,
    )
    found = worst(check_jobs(patient), "jobs claimed")
    assert (found.status, "station-1" in found.sentence, advice in found.what_to_do) == (Status.WARNING, True, True)


def test_unclear_jobs_are_told(patient: Patient) -> None:
    in_the_file(engine(patient), "UPDATE job SET state = 'unclear', reason_code = 'unexpected-error'")
    assert "2 unclear: unexpected-error" in worst(check_jobs(patient), "jobs unclear").sentence


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE stock_posting SET quantity = quantity + 1 WHERE account = 'good'",
        "DELETE FROM stock_posting WHERE account LIKE 'hopper/%'",
        "UPDATE blank SET state = 'spoiled' WHERE state = 'good'",
        "DELETE FROM blank WHERE state = 'received'",
    ],
)
def test_blanks_that_are_not_accounted_for_are_told(patient: Patient, statement: str) -> None:
    in_the_file(engine(patient), statement)
    assert worst(check_blanks(patient), "blanks").status is Status.FAILED


# --- audit --------------------------------------------------------------------------------------------------------
def test_a_log_that_was_changed_is_told_with_its_number(patient: Patient) -> None:
    in_the_file(engine(patient), "UPDATE audit_event SET body = '{}' WHERE seq = 2")
    found = worst(check_audit(patient), "audit")
    assert (found.status, "broken at number 2" in found.sentence) == (Status.FAILED, True)


def wait(patient: Patient, at: str) -> None:
    body = json.dumps({"at": at, "kind": "x"})
    in_the_file(engine(patient), "INSERT INTO event_pending (body) VALUES (?)", body)


def test_events_that_nobody_signed_or_numbered_are_told(patient: Patient) -> None:
    in_the_file(engine(patient), "DELETE FROM audit_checkpoint")
    wait(patient, "2026-01-01T00:00:00+00:00")
    findings = check_audit(patient)
    assert worst(findings, "audit").status is Status.WARNING
    waiting = worst(findings, "audit events waiting")
    assert (waiting.status, waiting.sentence.startswith("1 without a number")) == (Status.WARNING, True)


def test_events_of_this_moment_may_wait(patient: Patient) -> None:
    wait(patient, datetime.now(UTC).isoformat())
    assert worst(check_audit(patient), "audit events waiting").status is Status.OK

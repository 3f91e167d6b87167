"""`perso run` as a person or a program starts it: a folder of records in, verified cards and one JSON object out.

Everything is real: SoftHSM2, pcscd with virtual readers, OpenSC, OpenSSL; processes of their own, started and ended by
the command itself.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

PERSO = Path(sys.executable).with_name("perso")
SAMPLES = Path(__file__).resolve().parents[2] / "simulators" / "records"
EID = ("PADIS-2026-0000001", "PADIS-2026-0000002", "PADIS-2026-0000009")
"""A child without fingers, a citizen, a non-citizen."""
MINUTES = 300

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]


def perso(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PERSO), *arguments], capture_output=True, text=True, check=False, timeout=MINUTES)


def run(records: Path, state: Path, *more: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON of standard output, and what it said on standard error."""
    done = perso("run", "--records", str(records), "--state", str(state), "--json", *more)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def folder_of(directory: Path, *names: str) -> Path:
    directory.mkdir()
    for name in names:
        shutil.copy(SAMPLES / f"{name}.json", directory)
    return directory


def changed(record_id: str, **holder: object) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((SAMPLES / f"{EID[1]}.json").read_text())
    record["record_id"] = record_id
    record["holder"] |= holder
    return record


def check_blanks(state: Path, blanks: Mapping[str, int]) -> None:
    """What the ledger says is what lies in hopper and trays."""
    assert blanks["received"] == blanks["good"] + blanks["spoiled"] + blanks["left"]
    lying = Counter[str]()
    for station in (state / "simulated").glob("station-*"):
        lying["good"] += len(list((station / "good").glob("*")))
        lying["spoiled"] += len(list((station / "reject").glob("*")))
        lying["left"] += sum(1 for chip in (station / "boxes").glob("*/*") if chip.is_dir())
    assert {name: lying[name] for name in ("good", "spoiled", "left")} == {
        name: blanks[name] for name in ("good", "spoiled", "left")
    }


def processes_at(directory: Path) -> list[str]:
    """Live processes that name this directory in their command line or hold a file below it open."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            held = [str(link.readlink()) for link in (entry / "fd").iterdir()]
        except OSError:
            continue
        if str(directory) in line or any(path.startswith(str(directory)) for path in held):
            found.append(f"{entry.name} {line}")
    return found


def wait_until_gone(directory: Path) -> None:
    """Whatever worked here ends by itself within seconds."""
    deadline = time.monotonic() + 10
    while (left := processes_at(directory)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """One run on all samples, two stations."""
    state = tmp_path_factory.mktemp("samples") / "state"
    code, told, said = run(SAMPLES, state, "--stations", "2")
    assert code == 0, said
    yield state, told


def test_the_samples_become_verified_cards(sample_run: tuple[Path, dict[str, Any]]) -> None:
    state, told = sample_run
    assert set(told) == {"records", "accepted", "rejected", "held", "cards", "blanks", "cards_per_hour"}
    assert (told["records"], told["accepted"], told["rejected"]) == (24, 24, [])
    types = {
        record["record_id"]: record["document"]["type"]
        for record in (json.loads(file.read_text()) for file in SAMPLES.glob("*.json"))
    }
    eid = {record_id for record_id, kind in types.items() if kind.startswith("eid-")}
    assert {card["record_id"] for card in told["cards"]} == eid
    assert {entry["record_id"] for entry in told["held"]} == set(types) - eid
    assert {entry["reason"] for entry in told["held"]} == {"no-profile"}
    for card in told["cards"]:
        assert set(card) == {"record_id", "document_number", "chip_serial", "state", "judges", "seconds"}
        assert card["state"] == "verified"
        assert card["judges"] == {"own": "ok", "opensc": "ok", "openssl": "ok"}
    assert len({card["document_number"] for card in told["cards"]}) == len(eid)
    check_blanks(state, told["blanks"])


def test_forty_cards_take_one_station_at_most_two_seconds_each(tmp_path: Path) -> None:
    """From the claim to the verdict of all judges; one may be late, for test machines stall at times."""
    records = tmp_path / "records"
    records.mkdir()
    for number in range(40):
        record = changed(f"PADIS-2026-{1000 + number:07d}")
        (records / f"{number}.json").write_text(json.dumps(record))
    code, told, said = run(records, tmp_path / "state", "--stations", "1")
    assert code == 0, said
    seconds = sorted(card["seconds"] for card in told["cards"])
    assert len(seconds) == 40
    assert seconds[-2] <= 2.0, seconds


def test_a_later_run_tells_the_same_and_makes_nothing_anew(sample_run: tuple[Path, dict[str, Any]]) -> None:
    state, told = sample_run
    code, again, _ = run(SAMPLES, state)
    assert code == 0
    assert {**again, "cards_per_hour": 0} == {**told, "cards_per_hour": 0}


def test_the_source_was_told_of_every_document(sample_run: tuple[Path, dict[str, Any]]) -> None:
    state, told = sample_run
    stored = list((state / "simulated" / "document-system").glob("documents*"))
    entries = [json.loads(line) for file in stored for line in file.read_text().splitlines()]
    verified = {body["record_id"]: body for body in entries if body.get("state") == "verified"}
    for card in told["cards"]:
        body = verified[card["record_id"]]
        assert (body["document_number"], body["chip_serial"]) == (card["document_number"], card["chip_serial"])
        assert {each["state"] for each in body["certificates"]} == {"on-hold"}
        assert len(body["certificates"]) == 2


def test_every_step_of_every_card_is_a_numbered_event(sample_run: tuple[Path, dict[str, Any]]) -> None:
    state, told = sample_run
    events = json.loads(perso("report", "events", "--state", str(state), "--json").stdout)["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    steps = {
        "record.accepted", "job.keyed", "certificates.issued", "job.imaged",
        "blank.bound", "card.encoded", "card.printed", "card.verified", "keys.destroyed",
    }  # fmt: skip
    by_job: dict[str, set[str]] = {}
    for event in events:
        by_job.setdefault(event.get("job_id", ""), set()).add(event["kind"])
    for card in told["cards"]:
        assert steps <= by_job[f"{card['record_id']}-r1-a1"]


def test_an_export_is_for_its_user_alone_and_is_logged(sample_run: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    state, told = sample_run
    serial = told["cards"][0]["chip_serial"]
    done = perso("card", "export", serial, str(tmp_path / "out"), "--state", str(state), "--json")
    files = [Path(name) for name in json.loads(done.stdout)["files"]]
    assert {"face.pdf", "inspection.html", "inspection.json", "auth.cer", "sign.cer"} <= {file.name for file in files}
    assert any("DG2" in file.name for file in files)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    events = json.loads(perso("report", "events", "--state", str(state), "--json").stdout)["events"]
    assert (events[-1]["kind"], events[-1]["blank"]) == ("card.exported", serial)


def test_a_finished_card_is_judged_again(sample_run: tuple[Path, dict[str, Any]]) -> None:
    state, told = sample_run
    done = perso("inspect", told["cards"][0]["chip_serial"], "--state", str(state), "--json")
    assert done.returncode == 0, done.stderr
    verdicts = {judge["judge"]: judge["verdict"] for judge in json.loads(done.stdout)["judges"]}
    assert verdicts == {"own": "ok", "opensc": "not-applicable", "openssl": "ok"}, "its PINs are blocked"


def test_bad_records_are_refused_with_all_failures_and_the_good_ones_made(
    sample_run: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    state, _ = sample_run
    folder = folder_of(tmp_path / "mixed", EID[1])
    bad = changed("PADIS-2026-0900001", nationality="DEU", birth_date="2030-02-31")
    (folder / "bad.json").write_text(json.dumps(bad))
    (folder / "not-json.json").write_bytes(b"\xff{ nothing")
    (folder / "list.json").write_text("[1, 2]")
    (folder / "good.json").write_text(json.dumps(changed("PADIS-2026-0900002")))
    code, told, said = run(folder, state)
    assert code == 0, said
    assert (told["records"], told["accepted"], len(told["rejected"])) == (5, 2, 3)
    refused = {entry["file"]: entry for entry in told["rejected"]}
    assert refused["bad.json"]["record_id"] == "PADIS-2026-0900001"
    pointers = {error["pointer"] for error in refused["bad.json"]["errors"]}
    assert {"/holder/nationality", "/holder/birth_date"} <= pointers
    assert all(set(error) == {"pointer", "rule", "message"} for entry in told["rejected"] for error in entry["errors"])
    assert {card["record_id"]: card["state"] for card in told["cards"]} == {
        EID[1]: "verified",
        "PADIS-2026-0900002": "verified",
    }


def test_killed_with_all_its_children_it_goes_on(tmp_path: Path) -> None:
    folder, state = folder_of(tmp_path / "records", *EID), tmp_path / "state"
    for sentence, seconds in (
        ("key ceremony", 0.6),
        ("starting", 0.1),  # simulators come up
        ("starting", 0.7),  # workers are being started: their imports take a second
        ("starting", 1.2),
        ("starting", 2.0),
        ("starting", 3.0),  # records come in, keys are made
        ("starting", 4.5),  # cards are made
    ):
        child = subprocess.Popen(
            [str(PERSO), "run", "--records", str(folder), "--state", str(state), "--json"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stderr is not None
        while sentence not in child.stderr.readline():
            assert child.poll() is None
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stderr.close()
        wait_until_gone(state)
    code, told, said = run(folder, state)
    assert code == 0, said
    assert sorted(card["record_id"] for card in told["cards"]) == sorted(EID)
    assert {card["state"] for card in told["cards"]} == {"verified"}
    assert told["blanks"]["good"] == len(EID)
    check_blanks(state, told["blanks"])


def test_asked_to_end_it_ends_orderly_and_goes_on_later(tmp_path: Path) -> None:
    folder, state = folder_of(tmp_path / "records", *EID), tmp_path / "state"
    child = subprocess.Popen(
        [str(PERSO), "run", "--records", str(folder), "--state", str(state), "--json"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    while "starting" not in child.stderr.readline():
        assert child.poll() is None
    time.sleep(2.5)
    child.terminate()
    said = child.stderr.read()
    child.stderr.close()
    assert child.wait(30) == 130
    assert "goes on from here" in said
    wait_until_gone(state)
    code, told, said = run(folder, state)
    assert code == 0, said
    assert {card["state"] for card in told["cards"]} == {"verified"}
    assert {path.stat().st_mode & 0o077 for path in state.glob("*.sqlite*")} == {0}, "for its user alone"


def test_two_runs_side_by_side_never_meet(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "records", EID[1])
    states = [tmp_path / "production", tmp_path / "specimen"]
    children = [
        subprocess.Popen(
            [str(PERSO), "run", "--records", str(folder), "--state", str(state), "--json", *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for state, more in zip(states, ([], ["--specimen"]), strict=True)
    ]
    serials = set()
    for child in children:
        out, said = child.communicate(timeout=MINUTES)
        assert child.returncode == 0, said
        told = json.loads(out)
        assert [card["judges"]["opensc"] for card in told["cards"]] == ["ok"]
        serials |= {card["chip_serial"] for card in told["cards"]}
    assert len(serials) == 2

    # The specimen card is open to anybody who knows its PIN, in a reader of any PC/SC program.
    serial = next(iter((states[1] / "simulated" / "station-1" / "good").iterdir())).name
    check_specimen_takes_its_pin(states[1], serial)


def check_specimen_takes_its_pin(state: Path, serial: str) -> None:
    holder = subprocess.Popen(
        [str(PERSO), "card", "insert", serial, "--state", str(state), "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        told = json.loads(holder.stdout.readline())
        environment = {
            **os.environ,
            "OPENSC_CONF": told["OPENSC_CONF"],
            "PCSCLITE_CSOCK_NAME": told["PCSCLITE_CSOCK_NAME"],
            "PIN": "1234",
        }
        listed = subprocess.run(
            ["pkcs15-tool", "--reader", told["reader"], "--list-certificates"],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert listed.stdout.count("X.509 Certificate") == 2, listed.stderr
        pin = subprocess.run(
            ["pkcs15-tool", "--reader", told["reader"], "--verify-pin", "--auth-id", "01", "--pin", "env:PIN"],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert pin.returncode == 0, pin.stderr
    finally:
        holder.send_signal(signal.SIGINT)
        assert holder.wait(20) == 0
        assert holder.stdout is not None
        holder.stdout.close()


def test_without_pcsc_the_chips_are_reached_directly_and_the_run_says_so(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "records", EID[0])
    code, told, said = run(folder, tmp_path / "state", "--direct")
    assert code == 0, said
    assert told["cards"][0]["judges"] == {"own": "ok", "opensc": "not-applicable", "openssl": "ok"}
    assert "not proven" in said


def test_a_second_run_on_the_same_state_is_refused(tmp_path: Path) -> None:
    folder, state = folder_of(tmp_path / "records", EID[0]), tmp_path / "state"
    first = subprocess.Popen(
        [str(PERSO), "run", "--records", str(folder), "--state", str(state), "--direct", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (state / "locks" / "state.lock").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    second = perso("run", "--records", str(folder), "--state", str(state), "--json")
    assert second.returncode == 1
    assert "another run" in second.stderr
    assert first.communicate(timeout=MINUTES)
    assert first.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "--records", "/nowhere"), "is not a folder"),
        (("card", "list", "--state", "/nowhere"), "holds no line"),
        (("ceremony", "/nowhere.toml"), "perso:"),
    ],
)
def test_a_wrong_call_gets_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    done = perso(*arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr

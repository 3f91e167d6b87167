"""Personal data, images, PINs and keys are never in clear in anything that the centre writes.

A real `perso run` makes the cards of two marked records and refuses seven others (`marked_records`), is killed with -9
while a card is being inspected, and is run again to the end; in that second run a card fails its inspection by judges
that tell all they were given, and an exception quotes what it should not (`misjudging_run`). Then every marker is
looked for in every form, through every packing (`clear_text_search`), in
- all files of the state but `simulated/` (databases with -wal and -shm, log, token, ceremony), at the end, right after
  the kill, and every two seconds between; and every value of every table;
- standard output and error of both runs, and the folder that they ran in (a core file would lie there);
- all temporary files, sampled every 20 ms, deleted but open ones too (`run_watcher`);
- command lines and environments of all processes, sampled every 5 ms (a PIN may stand in the environment of a judge
  and nowhere else).

Markers are the records' own texts and pictures, and, read afterwards out of the simulated chips and the chip maker's
safe, all one-time PINs ever set, private keys, card keys, masters, data groups and certificates; besides these the
token's PIN and the forms that private keys have in DER and PEM.

In clear by design: record ids, document numbers, serials, public keys, states, times, issue and expiry dates (they go
to the source with the message that a card is verified), and on standard output the identifier of a refused record.
"""

import base64
import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary

from personalization.store.tables import key_metadata, metadata
from tests.chaos.clear_text_search import ClearTextSearch, Found
from tests.chaos.marked_records import GOOD, MarkedRecords, Person, make_marked_records
from tests.chaos.marker_forms import PRIVATE_KEY_SHAPES, Marker, bytes_marker, text_marker
from tests.chaos.run_watcher import RunWatcher, files_below, product_files

RUN_SECONDS = 120.0
STRANGER = Person(
    "stranger", "Šmērgultiņpuiķis", "Ģedvīlijs Ērgļonis", "Smörgolts", "1987-03-14", "Vēžuņģirnavas", "1293",
    "smo4.ergl@example.org", "+37129013846", "officer-hqd-6620", "PK-HQD3H4H5H6",
)  # fmt: skip
ANOTHER = replace(STRANGER, name="another", surname="Kņazjukēviča", birth_date="1958-10-06", code_tail="1387")
PUBLIC_BINARY = {"card_key.point", "audit_checkpoint.signature", "client_key.public"}
SEALED_KINDS = {
    "record", "image", "face", "marks", "report", "report-page",
    "tbs.auth", "tbs.sign", "certificate.auth", "certificate.sign",
}  # fmt: skip


# --- the run ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is left of the two runs.

    `secrets` are what chips and chip maker hold in clear, `faults` what went wrong at inspection (`misjudging_run`).
    """

    state: Path
    said: Path
    records: MarkedRecords
    watcher: RunWatcher
    report: dict[str, Any]
    secrets: tuple[Marker, ...]
    faults: frozenset[str]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    root = tmp_path_factory.mktemp("clear")
    state, said, temporary, work, misjudged = (
        root / name for name in ("state", "said", "temporary", "work", "misjudged")
    )
    for folder in (said, temporary, work, misjudged):
        folder.mkdir()
    records = make_marked_records(root / "records")
    with RunWatcher(state, temporary, work) as watcher:
        with _run(root, records, watcher, "killed") as killed:
            _wait_until_inspected(state, killed)
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        watcher.look_at_state()
        with _run(root, records, watcher, "finished", module="tests.chaos.misjudging_run") as finished:
            assert finished.wait(RUN_SECONDS) == 0, (said / "finished.err").read_text()
        watcher.look_at_state()
    report = json.loads((said / "finished.out").read_text())
    faults = frozenset(path.name for path in misjudged.iterdir())
    yield Evidence(state, said, records, watcher, report, tuple(_secrets(state)), faults)


def _run(
    root: Path, records: MarkedRecords, watcher: RunWatcher, name: str, *, module: str = "api.cli"
) -> subprocess.Popen[bytes]:
    with (root / "said" / f"{name}.out").open("wb") as out, (root / "said" / f"{name}.err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "run", "--records", records.folder, "--state", root / "state", "--json"],
            cwd=root / "work",
            env={
                **os.environ,
                "TMPDIR": str(root / "temporary"),
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "MISJUDGING_FOLDER": str(root / "misjudged"),
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    watcher.follow(process.pid)
    return process


def _wait_until_inspected(state: Path, process: subprocess.Popen[bytes]) -> None:
    """Until a card is printed and stands before its judges: one-time PINs are set, private keys not yet destroyed."""
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        try:
            with sqlite3.connect(f"file:{state / 'engine.sqlite'}?mode=ro", uri=True) as connection:
                row = connection.execute("SELECT count(*) FROM job_step WHERE stage = 'print'").fetchone()
            connection.close()
            if row[0]:
                return
        except sqlite3.OperationalError:
            pass  # not there yet
        time.sleep(0.02)
    pytest.fail("no card reached its inspection")


def _secrets(state: Path) -> Iterator[Marker]:
    """What is known in clear on the other side of the wires, from the chips' whole history."""
    cells: dict[str, set[bytes]] = {}
    for memory in (state / "simulated").rglob("memory.jsonl"):
        for line in memory.read_bytes().splitlines():
            for name, value in json.loads(line.partition(b" ")[2]).items():
                cells.setdefault(name, set()).add(base64.b64decode(value))
    pins = {found[0].decode() for name in cells if name.startswith("pin.") for value in cells[name]
            for found in re.finditer(rb"\d{12}", value)}  # fmt: skip
    yield text_marker("a one-time PIN", *pins)
    packed = {b"\x2c" + bytes.fromhex(pin) + b"\xff" for pin in pins}  # ISO 9564-1 format 2: 12 digits
    yield bytes_marker("a packed one-time PIN", *packed)
    scalars = {value[1:] for name in ("key.81", "key.9F") for value in cells[name]}
    yield bytes_marker("a private key of a card", *scalars)
    card_keys = {value[at : at + 32] for name in cells if name.startswith("keys.") for value in cells[name]
                 for at in range(0, len(value), 32)}  # fmt: skip
    yield bytes_marker("a secure channel key of a card", *card_keys)
    for name, file in (("DG1", ".0101"), ("DG2", ".0102"), ("DG3", ".0103")):
        contents = {value for cell in cells if cell.endswith(file) for value in cells[cell]}
        yield bytes_marker(name, *(part for value in contents for part in _parts(value)))
    for name, file in (("authentication certificate", ".3401"), ("signature certificate", ".341F"), ("SOD", ".011D")):
        contents = {value for cell in cells if cell.endswith(file) for value in cells[cell]}
        yield bytes_marker(name, *(value[-40:] for value in contents))  # the signature: in no other document
    masters = json.loads((state / "simulated" / "maker-keys.json").read_text())["masters"]
    yield bytes_marker("a master", *(bytes.fromhex(master) for master in masters.values()))
    yield text_marker("the token's PIN", (state / "token.pin").read_text().strip())


def _parts(content: bytes) -> Iterator[bytes]:
    if len(content) < 400:
        yield content[5:]
    for at in range(200, len(content) - 32, max(400, len(content) // 8)):
        yield content[at : at + 32]


def _search(evidence: Evidence, *more: Marker) -> ClearTextSearch:
    return ClearTextSearch([*evidence.records.markers, *evidence.secrets, PRIVATE_KEY_SHAPES, *more])


def _leaks(search: ClearTextSearch, contents: Iterator[tuple[str, bytes]]) -> set[tuple[str, Found]]:
    return {(origin, found) for origin, content in contents for found in search.find(content)}


@pytest.mark.services
def test_the_run_did_what_it_must_so_that_there_was_something_to_leak(evidence: Evidence) -> None:
    verified = [card for card in evidence.report["cards"] if card["state"] == "verified"]
    assert len({card["record_id"] for card in verified}) == len(verified) == len(GOOD)
    assert len(evidence.report["rejected"]) == 7
    assert all(card["judges"]["own"] == "ok" for card in verified)
    assert evidence.faults == {"raised", "talked", "programs"}
    assert evidence.report["blanks"]["spoiled"] >= 1, "a card failed its inspection"
    log = (evidence.state / "perso.log").read_text()
    assert "stopped by RuntimeError at " in log
    assert re.search(r"judge openssl, step \d+ \(.*\) failed", log)
    watcher = evidence.watcher
    assert watcher.passes > 100
    assert any(origin.startswith("deleted: ") for origin in watcher.written), "open deleted files are seen"
    assert any(origin.startswith("state/engine.sqlite-wal") for origin in watcher.written)
    assert any(b"\0-m\0simulators.hall\0" in line for line in watcher.command_lines)
    assert any(line.startswith(b"softhsm2-util\0") for line in watcher.command_lines)
    if all(card["judges"]["opensc"] == "ok" for card in verified):  # not without PC/SC
        assert any(line.startswith(b"pkcs11-tool\0") for line in watcher.command_lines)
        assert any(origin.startswith("/tmp/perso-") for origin in watcher.written)  # noqa: S108 - the readers' folder


@pytest.mark.services
def test_the_search_finds_all_of_it_where_it_is_in_clear(evidence: Evidence) -> None:
    """The simulators' stores hold what a card holds and what was printed: there the same search finds it."""
    search = _search(evidence)
    simulated = files_below(evidence.state / "simulated")
    found = {leak.marker for path in simulated for leak in search.find(path.read_bytes())}
    for person in GOOD:
        for what in ("surname", "given names", "birth date", "personal code", "portrait", "fingerprint 0"):
            assert f"{person.name}: {what}" in found
    assert {marker.name for marker in evidence.secrets} - found == {"a packed one-time PIN", "the token's PIN"}
    folder = files_below(evidence.records.folder)
    found = {leak.marker for path in folder for leak in search.find(path.read_bytes())}
    assert {marker.name for marker in evidence.records.markers} <= found


@pytest.mark.services
def test_people_who_were_never_there_are_not_found(evidence: Evidence) -> None:
    """What the search finds is there: no form of it is so short or so common that chance brings it about."""
    strangers = [marker for person in (STRANGER, ANOTHER) for marker in person.markers()]
    search = ClearTextSearch([*strangers, text_marker("a PIN never drawn", "481516234207", "730184629517")])
    everything = [*product_files(evidence.state), *files_below(evidence.records.folder), *files_below(evidence.said)]
    assert _leaks(search, ((str(path), path.read_bytes()) for path in everything)) == set()


@pytest.mark.services
def test_no_file_of_the_state_holds_anything_in_clear(evidence: Evidence) -> None:
    search = _search(evidence, evidence.records.shown)
    files = ((str(path.relative_to(evidence.state)), path.read_bytes()) for path in product_files(evidence.state))
    assert _leaks(search, ((name, content) for name, content in files if name != "token.pin")) == set()
    assert (evidence.state / "token.pin").stat().st_mode & 0o077 == 0
    assert evidence.state.stat().st_mode & 0o077 == 0


@pytest.mark.services
def test_no_temporary_file_and_no_earlier_state_held_anything_in_clear(evidence: Evidence) -> None:
    search = _search(evidence, evidence.records.shown)
    contents = {
        digest: (origin, content)  # the same content is often seen under several names
        for origin, versions in evidence.watcher.written.items()
        if not origin.startswith(("state/token.pin", f"open: {evidence.said}"))  # judged by the tests beside this one
        for digest, content in versions.items()
    }
    assert _leaks(search, iter(contents.values())) == set()


@pytest.mark.services
def test_no_table_holds_anything_in_clear(evidence: Evidence) -> None:
    search = _search(evidence, evidence.records.shown)
    assert _leaks(search, _values(evidence.state)) == set()


@pytest.mark.services
def test_what_must_be_ciphertext_looks_like_it(evidence: Evidence) -> None:
    """Every binary column is public by name, or holds what no compressor finds a pattern in."""
    declared = {
        f"{table.name}.{column.name}"
        for known in (metadata, key_metadata)
        for table in known.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    ciphertext = declared - PUBLIC_BINARY
    assert ciphertext == {"sealed_body.body", "card_key.wrapped", "data_key.wrapped"}
    seen: Counter[str] = Counter()
    for place, value in _values(evidence.state):
        if place in ciphertext:
            seen[place] += 1
            assert len(zlib.compress(value, 9)) >= len(value), f"{place} has a pattern"
            if len(value) >= 4096:
                assert _entropy_bits(value) > 7.9, f"{place} is not of even bytes"
    assert seen["data_key.wrapped"] == len(GOOD)
    assert seen["card_key.wrapped"] == 0, "destroyed once the cards are verified"
    with sqlite3.connect(evidence.state / "engine.sqlite") as connection:
        kinds = {kind for (kind,) in connection.execute("SELECT DISTINCT kind FROM sealed_body")}
    connection.close()
    assert kinds == SEALED_KINDS


@pytest.mark.services
def test_nothing_was_said_in_clear(evidence: Evidence) -> None:
    search = _search(evidence)
    assert _leaks(search, ((path.name, path.read_bytes()) for path in files_below(evidence.said))) == set()
    log = (evidence.state / "perso.log").read_bytes()
    for text in (log, *(path.read_bytes() for path in files_below(evidence.said))):
        assert not re.search(rb"(?<![0-9A-Za-z])\d{12}(?![0-9A-Za-z])", text), "12 digits may be a one-time PIN"
    refused = {entry["record_id"] for entry in evidence.report["rejected"]}
    said = json.dumps(evidence.report, ensure_ascii=False)
    for shown in refused - {None}:
        said = said.replace(f'"record_id": "{shown}"', "")
    assert ClearTextSearch([evidence.records.shown]).find(said.encode()) == set(), "shown as an identifier alone"


@pytest.mark.services
def test_no_command_line_or_environment_held_anything_in_clear(evidence: Evidence) -> None:
    search = _search(evidence)
    lines = ((line[:60].decode("utf-8", "replace"), line) for line in evidence.watcher.command_lines)
    assert _leaks(search, lines) == set()
    pins = ClearTextSearch([marker for marker in evidence.secrets if marker.name == "a one-time PIN"])
    others = [marker for marker in evidence.secrets if "one-time PIN" not in marker.name]
    personal = ClearTextSearch([*evidence.records.markers, *others, PRIVATE_KEY_SHAPES])
    assert _leaks(personal, (("environment", found) for found in evidence.watcher.environments)) == set()
    holding = {found for found in evidence.watcher.environments if pins.find(found)}
    assert all(b"OPENSC_CONF=" in found for found in holding), "a PIN stands in the environment of OpenSC alone"


def _values(state: Path) -> Iterator[tuple[str, bytes]]:
    """Every value of both databases, as "table.column" and bytes."""
    for name in ("engine.sqlite", "data-keys.sqlite"):
        connection = sqlite3.connect(f"file:{state / name}?mode=ro", uri=True)
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names from the schema itself
            columns = [column[0] for column in cursor.description]
            for row in cursor:
                for column, value in zip(columns, row, strict=True):
                    if value is not None:
                        yield f"{table}.{column}", value if isinstance(value, bytes) else str(value).encode()
        connection.close()


def _entropy_bits(data: bytes) -> float:
    return -sum(n / len(data) * math.log2(n / len(data)) for n in Counter(data).values())

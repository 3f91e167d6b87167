"""The document information system hands records over in an order that never changes, whatever the files hold."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import simulators
from simulators.record_shelf import LARGEST_RECORD_BYTES, record_text
from tests.simulators.started import Started, started

RECORDS = Path(simulators.__file__).parent / "records"


class Client:
    """A client with one connection that is kept open."""

    def __init__(self, system: Started) -> None:
        url = urlsplit(system.told["url"])
        assert url.hostname is not None
        self._connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)

    def close(self) -> None:
        self._connection.close()

    def get(self, target: str) -> Any:
        status, told = self.send("GET", target)
        assert status == 200
        return told

    def post(self, target: str, value: object) -> int:
        return self.send("POST", target, json.dumps(value))[0]

    def send(self, method: str, target: str, body: str | None = None) -> tuple[int, Any]:
        self._connection.request(method, target, body)
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "records"
    folder.mkdir()
    return folder


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[Client]:
    """A system that serves the records that come with it."""
    with started("document_system", "--records", RECORDS, "--directory", tmp_path / "state") as process:
        client = Client(process)
        yield client
        client.close()


def write(folder: Path, name: str, at: str, revision: int = 1) -> None:
    (folder / name).write_text(json.dumps({"record_id": name, "revision": revision, "approved": {"at": at}}))


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def served(folder: Path, after: int = 0) -> dict[int, Any]:
    """Position -> record, asked from a fresh process whose state lies beside the folder."""
    with started("document_system", "--records", folder, "--directory", folder.parent / "state") as process:
        client = Client(process)
        told = client.get(f"/approved-records?after={after}&limit=1000")
        client.close()
    return dict(zip(told["positions"], told["records"], strict=True))


def test_records_come_in_pages_oldest_first(samples: Client) -> None:
    cursor, records = "", []
    while page := samples.get(f"/approved-records?after={cursor}&limit=10"):
        if not page["records"]:
            break
        assert len(page["records"]) <= 10
        assert page["next"] == str(page["positions"][-1])
        records += page["records"]
        cursor = page["next"]
    assert page == {"records": [], "positions": [], "next": "24"}
    instants = [record["approved"]["at"] for record in records]
    assert len(records) == 24
    assert instants == sorted(instants)
    stored = {path.name: json.loads(path.read_bytes()) for path in RECORDS.iterdir()}
    assert {record["record_id"] + ".json": record for record in records} == stored


def test_files_tell_where_each_record_stands(samples: Client) -> None:
    files = samples.get("/files")["files"]
    page = samples.get("/approved-records")
    assert [file["position"] for file in files] == page["positions"] == list(range(1, 25))
    assert [file["file"] for file in files] == [record["record_id"] + ".json" for record in page["records"]]


def test_the_order_stays_when_files_come_change_and_go(folder: Path) -> None:
    write(folder, "b.json", "2026-01-02T00:00:00Z")
    write(folder, "a.json", "2026-01-01T23:30:00+00:00")
    (folder / "0.json").write_text("no time in here")
    first = served(folder)
    assert [first[1]["record_id"], first[2]["record_id"], first[3]] == ["a.json", "b.json", "no time in here"]
    (folder / "a.json").unlink()
    write(folder, "b.json", "2026-01-02T00:00:00Z", revision=2)
    write(folder, "c.json", "2025-01-01T00:00:00Z")
    second = served(folder)
    assert {position: record["revision"] for position, record in second.items() if position != 3} == {4: 1, 5: 2}
    assert second[4]["record_id"] == "c.json"  # the oldest of the new ones
    assert served(folder, after=4) == {5: second[5]}
    with (folder.parent / "state" / "served.jsonl").open("a") as lines:
        lines.write('{"position": 6, "fi')
    assert served(folder) == second  # a line that a kill cut off is forgotten


def test_a_file_that_vanishes_while_it_runs_is_skipped(folder: Path) -> None:
    for name in ("a.json", "b.json", "c.json"):
        write(folder, name, "2026-01-01T00:00:00Z")
    with started("document_system", "--records", folder, "--directory", folder.parent / "state") as process:
        client = Client(process)
        (folder / "b.json").unlink()
        write(folder, "c.json", "2026-01-01T00:00:00Z", revision=2)
        assert client.get("/approved-records")["positions"] == [1]
        assert client.get("/files")["files"] == [{"position": 1, "file": "a.json"}]
        client.close()


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"", ""),
        (b"{", "{"),
        (b"\xff\xfe{}", "��{}"),
        (b"[1, 2]", [1, 2]),
        (b'"text"', "text"),
        (b"null", None),
        (b"\xef\xbb\xbf{}", {}),  # a byte order mark
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": Infinity, "b": 1e999}', {"a": float("inf"), "b": float("inf")}),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b"9" * 5000, "9" * 5000),  # more digits than Python's json takes
        (b"[" * 100_000, "[" * 100_000),
        (b"[" * 500 + b"]" * 500, "[" * 500 + "]" * 500),
        (b"x" * (LARGEST_RECORD_BYTES + 1), "x" * 1000),
    ],
    ids=range(14),
)
def test_whatever_a_file_holds_is_delivered(folder: Path, content: bytes, value: object) -> None:
    (folder / "record.json").write_bytes(content)
    assert json.loads(record_text(folder / "record.json")) == value


def test_strange_files_do_not_spoil_the_page(folder: Path) -> None:
    write(folder, "good.json", "2026-01-01T00:00:00Z")
    (folder / "1.json").write_bytes(b"[" * 5000)
    (folder / "2.json").write_bytes(b'{"approved": {"at": NaN}, "x": 1, "x": 2}')
    (folder / "3.json").write_bytes(b'{"approved": {"at": "0001-01-01T00:00:00+14:00"}}')
    (folder / "4.json").write_bytes(b'{"approved": "at"}')
    (folder / "5.json").mkdir()
    assert len(served(folder)) == 5


def test_only_json_files_are_records(folder: Path) -> None:
    write(folder, "good.json", "2026-01-01T00:00:00Z")
    for name in (
        "readme.txt",
        ".gitignore",
        ".hidden.json",
        ".json",
        "good.json~",
        "good.json.bak",
        "#good.json#",
        "json",
    ):
        write(folder, name, "2026-01-01T00:00:00Z")
    assert [record["record_id"] for record in served(folder).values()] == ["good.json"]


def test_receipts_and_documents_are_kept_once(tmp_path: Path, samples: Client) -> None:
    receipt = {"revision": 1, "outcome": "rejected", "errors": [{"pointer": "/x", "rule": "r", "message": "No."}]}
    document = {"record_id": "PADIS-2026-0000001", "revision": 1, "document_number": "PA0000001"}
    for status in (201, 200):
        assert samples.post("/approved-records/PADIS-2026-0000001/receipt", receipt) == status
        assert samples.post("/approved-records/a%2Fb/receipt", {"outcome": "accepted"}) == status
        assert samples.post("/documents", document) == status
    assert lines_of(tmp_path / "state" / "receipts.jsonl") == [
        {"record_id": "PADIS-2026-0000001", **receipt},
        {"record_id": "a/b", "outcome": "accepted"},
    ]
    assert lines_of(tmp_path / "state" / "documents.jsonl") == [document]


def test_cancellations_come_in_order(samples: Client) -> None:
    cancellations = [{"record_id": f"PADIS-2026-000000{n}", "revision": 1, "reason": "withdrawn"} for n in (1, 2)]
    for cancellation in (*cancellations, cancellations[0]):
        samples.post("/cancellations", cancellation)
    assert samples.get("/cancellations") == {"cancellations": cancellations, "next": "2"}
    assert samples.get("/cancellations?after=1") == {"cancellations": cancellations[1:], "next": "2"}
    assert samples.get("/cancellations?after=2") == {"cancellations": [], "next": "2"}


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("GET", "/", None, 404),
        ("GET", "/approved-records?after=-1", None, 400),
        ("GET", "/approved-records?limit=many", None, 400),
        ("POST", "/approved-records", "{}", 404),
        ("POST", "/approved-records/X/receipt", "{", 400),
        ("POST", "/approved-records/X/receipt", "[]", 400),
        ("POST", "/approved-records/X/receipt", '{"outcome": "maybe"}', 400),
        ("POST", "/documents", "{}", 400),
        ("POST", "/documents", "[" * 100_000, 400),
        ("POST", "/cancellations", '{"record_id": "X"}', 400),
    ],
)
def test_bad_requests_are_problems(samples: Client, method: str, target: str, body: str | None, status: int) -> None:
    got, problem = samples.send(method, target, body)
    assert (got, problem["status"]) == (status, status)
    assert samples.get("/files")  # on the same connection


def test_what_was_posted_outlives_a_kill(tmp_path: Path) -> None:
    for status in (201, 200):
        with started("document_system", "--records", RECORDS, "--directory", tmp_path) as process:
            client = Client(process)
            assert client.post("/documents", {"record_id": "X"}) == status
            process.kill()
            client.close()

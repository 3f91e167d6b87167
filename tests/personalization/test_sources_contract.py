"""The contract suite for document information systems: a right one passes, and each fault is found by its step."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli import main
from personalization.records import load_places
from personalization.sources.contract import Step, Verdict, all_well, check_document_system
from tests.personalization import document_systems as systems
from tests.personalization.document_systems import KNOWN, Sound
from tests.personalization.record_vectors import SAMPLES, changed
from tests.simulators.started import started

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
JSON = {"content-type": "application/json"}
SAMPLE_FOLDER = SAMPLES[0].parent
SAMPLE = "PADIS-2026-0000002"


def judge(
    exchange: Callable[[httpx.Request], httpx.Response], record_id: str | None = None, **more: Any
) -> tuple[Step, ...]:
    with httpx.Client(base_url="http://padis.test", transport=httpx.MockTransport(exchange)) as client:
        return check_document_system(client, places=load_places(), now=NOW, record_id=record_id, **more)


def named(steps: tuple[Step, ...], verdict: Verdict) -> set[str]:
    return {step.name for step in steps if step.verdict is verdict}


WRITING = {
    "receipt",
    "the same receipt again",
    "receipt of an unknown record",
    "document",
    "the same document again",
    "document in a later version's state",
    "malformed messages",
}


def test_the_simulated_document_system_keeps_the_interface(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over real HTTP and by the command, as its people would run it: first reading alone, then with a named record."""
    state = tmp_path / "state"
    with started("document_system", "--records", SAMPLE_FOLDER, "--directory", state) as process:
        url = process.told["url"]
        httpx.post(f"{url}/cancellations", json={"record_id": SAMPLE, "revision": 1, "reason": "a test"})
        assert main(["sources", "check", url, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert {path.name: path.read_text() for path in state.glob("[rd][eo]c*.jsonl")} == {
            "receipts.jsonl": "",
            "documents.jsonl": "",
        }
        assert main(["sources", "check", url, "--write", "--record-id", SAMPLE]) == 0
        table = capsys.readouterr().out
    assert told["ok"] is True
    assert [step["number"] for step in told["steps"]] == list(range(1, 23))
    assert {step["name"]: step["verdict"] for step in told["steps"]} == {
        step["name"]: "not-run" if step["name"] in WRITING else "passed" for step in told["steps"]
    }
    assert "the interface is kept" in table
    assert "not-run" not in table
    sent = [json.loads(line) for line in (state / "receipts.jsonl").read_text().splitlines()]
    assert [entry["record_id"] for entry in sent] == [SAMPLE, "PADIS-1900-0000000", "../č %/?#"]
    assert {entry["record_id"] for entry in map(json.loads, (state / "documents.jsonl").read_text().splitlines())} == {
        SAMPLE
    }


@pytest.mark.parametrize(
    ("broken", "steps"),
    [
        (systems.SkipsAtPageEnds, {"small pages, same records"}),
        (systems.ForgetsItsCursor, {"pages to the end"}),
        (systems.DeliversOnce, {"same cursor, same page", "small pages, same records"}),
        (systems.FaultOnUnknownCursor, {"unknown cursor"}),
        (systems.SilentOnUnknownCursor, {"unknown cursor"}),
        (systems.BrokenOff, {"unknown cursor"}),
        (systems.NewestFirst, {"oldest first"}),
        (systems.LowerRevisionLater, {"oldest first"}),
        (systems.SaysItIsHtml, {"content type"}),
        (systems.HasALimitOfItsOwn, {"limit"}),
        (systems.BeginsAnewAtTheEnd, {"end of the feed"}),
        (systems.NoCursor, {"form of a page", "pages to the end"}),
        (systems.RefusesAnEmptyCursor, {"beginning"}),
        (systems.FaultOnNonsense, {"malformed requests"}),
        (systems.FindsEveryAddress, {"malformed requests"}),
        (systems.NoCancellations, {"cancellations"}),
        (systems.CancellationsInACircle, {"cancellations"}),
        (systems.CancelsByDecision, {"cancellations"}),
        (systems.TellsNewsOnce, {"the same receipt again", "the same document again"}),
        (systems.KnowsAllStates, {"document in a later version's state"}),
        (systems.FaultOnUnknownRecord, {"receipt of an unknown record"}),
        (systems.TakesAnything, {"malformed messages"}),
        (systems.NoReceipts, {"receipt", "the same receipt again"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_each_fault_is_found_by_its_step(broken: type[Sound], steps: set[str]) -> None:
    judged = judge(broken(), KNOWN)
    assert named(judged, Verdict.FAILED) == steps
    assert not all_well(judged)


def test_a_sound_system_passes_every_step() -> None:
    sound = Sound()
    judged = judge(sound, KNOWN)
    assert {step.verdict for step in judged} == {Verdict.PASSED}, judged
    assert {path for path, _ in sound.posted} == {f"/approved-records/{KNOWN}/receipt", "/documents"}


def test_an_order_that_changes_is_found() -> None:
    assert named(judge(systems.AnotherOrderEachTime()), Verdict.FAILED) & {
        "same cursor, same page",
        "small pages, same records",
        "beginning",
    }


def test_a_login_page_is_no_feed() -> None:
    failed = named(judge(systems.AnswersALoginPage()), Verdict.FAILED)
    assert {"content type", "form of a page", "pages to the end", "cancellations"} <= failed


def test_receipts_for_anybody_are_remarked_and_no_failure() -> None:
    judged = judge(systems.TakesReceiptsForAnybody(), KNOWN)
    assert named(judged, Verdict.REMARK) == {"receipt of an unknown record"}
    assert all_well(judged)


def test_nothing_is_sent_unless_a_record_is_named() -> None:
    sound = Sound()
    assert named(judge(sound), Verdict.NOT_RUN) == WRITING
    assert sound.methods == {"GET"}


def test_a_record_that_was_not_handed_over_cannot_be_written_for() -> None:
    sound = Sound()
    assert named(judge(sound, "PADIS-2026-9999999"), Verdict.FAILED) == WRITING
    assert sound.methods == {"GET"}


def test_records_are_judged_by_schema_and_rules_and_not_quoted() -> None:
    sound = Sound()
    sound.records[1] = changed(sound.records[1], {"/holder/surname": "Sudrabkalniete2", "/holder/nationality": "QQQ"})
    sound.records[2] = changed(sound.records[2], {"/holder/nationality": "QQQ"})
    sound.records[3] = "no JSON at its source"
    judged = judge(sound)
    assert named(judged, Verdict.FAILED) == {"records keep the rules"}
    (step,) = (step for step in judged if step.verdict is Verdict.FAILED)
    assert step.sentence == "3 of 8 records break rules: json/form 1, name-letters 1, nationality 2."
    assert "Sudrabkalniete" not in str(judged)


@pytest.mark.parametrize("depth", [50, 300, 600, 900, 1200, 100_000])
def test_no_depth_of_a_record_stops_the_suite(depth: int) -> None:
    class Deep(Sound):
        def get(self) -> httpx.Response:
            answer = super().get()
            deep = b"[" * depth + b"]" * depth
            return httpx.Response(answer.status_code, content=answer.content.replace(b'"LVA"', deep), headers=JSON)

    failed = named(judge(Deep(), KNOWN), Verdict.FAILED)
    assert failed & {"records keep the rules", "form of a page"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"records": [1], "next": "\\ud800"}',
        b'{"records": [{"record_id": 5, "revision": true, "approved": []}], "next": "1"}',
        b'{"records": [{"a": 1, "a": 2}, NaN, null, 1e999], "next": "1"}',
        b'{"records": {}, "next": []}',
        b'{"records": [], "next": "x", "cancellations": [{}]}',
        b"[]",
        b"",
        b"\xff",
    ],
)
def test_whatever_comes_every_step_is_told(body: bytes) -> None:
    steps = judge(lambda _: httpx.Response(200, content=body, headers=JSON), KNOWN)
    assert len(steps) == 22
    assert not all_well(steps)


def test_an_empty_feed_proves_nothing() -> None:
    empty = Sound()
    empty.records.clear()
    judged = judge(empty)
    assert named(judged, Verdict.FAILED) == {"pages to the end"}
    assert "records keep the rules" in named(judged, Verdict.NOT_RUN)


def test_only_as_many_records_are_read_as_were_asked_for() -> None:
    judged = judge(Sound(), most_records=5)
    assert "5 of 5 records keep the schema and every rule." in {step.sentence for step in judged}
    assert all_well(judged)


@contextmanager
def served(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server of its own that answers every GET so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hang(over: threading.Event) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        over.wait(10)

    return answer


def drip(over: threading.Event) -> Callable[[BaseHTTPRequestHandler], None]:
    """A byte now and then: each piece is in time, the whole never comes."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not over.wait(0.05):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    return answer


@pytest.mark.parametrize("how", [hang, drip])
def test_who_hangs_is_not_waited_for(
    how: Callable[[threading.Event], Callable[[BaseHTTPRequestHandler], None]],
) -> None:
    over = threading.Event()
    started_at = time.monotonic()
    with served(how(over)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        try:
            judged = check_document_system(client, places=load_places(), now=NOW, patience=timedelta(seconds=0.3))
        finally:
            over.set()
    assert judged[0].verdict is Verdict.FAILED
    assert judged[0].sentence == "There was no whole answer within 0.3 s."
    assert {step.verdict for step in judged[1:]} == {Verdict.NOT_RUN}
    assert time.monotonic() - started_at < 8  # one wait, not one for each step


@pytest.mark.parametrize(
    "arguments",
    [
        ["ftp://padis.test"],
        ["http://127.0.0.1:9", "--write"],
        ["http://127.0.0.1:9", "--record-id", KNOWN],
        ["http://127.0.0.1:9", "--write", "--record-id", "Kalniņa"],
    ],
)
def test_the_command_says_what_it_needs(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sources", "check", *arguments]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("perso: ")
    assert "Kalniņa" not in told.err


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sources", "check", "http://127.0.0.1:9", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert told["steps"][0]["verdict"] == "failed"

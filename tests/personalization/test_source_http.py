"""The HTTP client of a document information system: the wire, and the three ways in which a source fails."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from personalization.records import Failure
from personalization.sources import http
from personalization.sources.http import HttpDocumentSystem
from personalization.sources.port import (
    Cancellation,
    DocumentSystem,
    SourceMalformed,
    SourceRefused,
    SourceUnavailable,
)
from personalization.strict_json import RepeatedNames


def source(answer: Callable[[httpx.Request], httpx.Response]) -> HttpDocumentSystem:
    return HttpDocumentSystem("http://padis.test/base", transport=httpx.MockTransport(answer))


def answering(body: Any, status: int = 200) -> HttpDocumentSystem:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return source(lambda _: httpx.Response(status, content=content))


def test_it_is_a_document_system() -> None:
    system: DocumentSystem = answering({})
    assert system


def test_pages_follow_the_cursor() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={"records": [{"a": 1}, 2], "positions": [7, 8], "next": "c&8"})

    with source(answer) as system:
        page = system.approved_records(None, 50)
        assert page.records == ({"a": 1}, 2)
        assert page.positions == (7, 8)
        system.approved_records(page.next, 10)
    assert asked == [
        "http://padis.test/base/approved-records?limit=50",
        "http://padis.test/base/approved-records?limit=10&after=c%268",
    ]


def test_positions_and_a_next_cursor_may_be_missing() -> None:
    page = answering({"records": []}).approved_records("here", 5)
    assert (page.records, page.positions, page.next) == ((), None, "here")
    assert answering({"records": [], "next": None}).approved_records(None, 5).next == ""


def test_one_bad_record_does_not_spoil_its_page() -> None:
    body = b'{"records": [{"a": 1, "a": 2}, NaN, "\\ud800"], "next": "3"}'
    page = answering(body).approved_records(None, 5)
    assert isinstance(page.records[0], RepeatedNames)
    assert len(page.records) == 3


def test_a_receipt_tells_every_failure_and_its_record_in_the_path() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    system = source(answer)
    system.send_receipt("PADIS-2026-0000001", 2, "rejected", (Failure("/a~1b", "rule", "A sentence."),))
    system.send_receipt("../x/é?\ud800", None, "rejected", ())
    assert seen[0].method == "POST"
    assert seen[0].url.raw_path == b"/base/approved-records/PADIS-2026-0000001/receipt"
    assert json.loads(seen[0].content) == {
        "revision": 2,
        "outcome": "rejected",
        "errors": [{"pointer": "/a~1b", "rule": "rule", "message": "A sentence."}],
    }
    assert seen[1].url.raw_path == b"/base/approved-records/%2E%2E%2Fx%2F%C3%A9%3F%3F/receipt"
    assert json.loads(seen[1].content)["revision"] is None


def test_documents_are_told() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201)

    system = source(answer)
    system.send_document({"record_id": "PADIS-2026-0000001", "state": "encoded"})
    assert seen[0].url.path == "/base/documents"
    assert json.loads(seen[0].content) == {"record_id": "PADIS-2026-0000001", "state": "encoded"}


def test_cancellations() -> None:
    page = answering({"cancellations": [{"record_id": "A", "reason": "x"}, "B"], "next": "2"}).cancellations("0")
    assert page.cancellations == (Cancellation("A"), Cancellation("B"))
    assert page.next == "2"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408, 425])
def test_come_again(status: int) -> None:
    with pytest.raises(SourceUnavailable):
        answering({}, status).send_document({})


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 409, 422])
def test_never(status: int) -> None:
    with pytest.raises(SourceRefused):
        answering({}, status).send_document({})


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError])
def test_nobody_there(error: type[httpx.TransportError]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("away", request=request)

    with pytest.raises(SourceUnavailable) as caught:
        source(answer).send_receipt("PADIS-2026-0000001", 1, "accepted", ())
    assert "PADIS" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        [],
        {"records": {}},
        {"next": "1"},
        {"records": [], "next": 5},
        {"records": [], "next": "x" * 201},
        {"records": [1], "positions": [], "next": "1"},
        {"records": [1], "positions": ["1"], "next": "1"},
        {"records": [1], "positions": [True], "next": "1"},
        b'{"records": [], "records": [], "next": "1"}',
        b'{"records": [], "next": NaN}',
    ],
)
def test_answers_of_another_form(body: Any) -> None:
    with pytest.raises(SourceMalformed):
        answering(body).approved_records(None, 5)


def test_cancellations_of_another_form() -> None:
    bodies: list[dict[str, object]] = [{"cancellations": [{}]}, {"cancellations": [1]}, {"cancellations": None}]
    for body in bodies:
        with pytest.raises(SourceMalformed):
            answering(body).cancellations(None)


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAXIMUM_ANSWER_BYTES", 1000)
    with pytest.raises(SourceMalformed, match="longer"):
        answering({"records": ["x" * 2000], "next": "1"}).approved_records(None, 5)


def test_a_damaged_content_coding() -> None:
    system = source(lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"x")))
    with pytest.raises(SourceMalformed):
        system.approved_records(None, 5)

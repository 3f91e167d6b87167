"""Records: a document system hands them over, one or a bulk, and reads what became of them."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from api.http.answers import Answers, problems
from api.http.bodies import JSON, NDJSON, RECORD_BYTES, Line, bulk_lines, media_type, whole_body
from api.http.callers import HandsOver, ReadsRecords
from api.http.problems import Problem, failure_bodies, problem_of
from api.http.schemas import Accepted, Record, RecordIdPath
from api.http.service import Service
from personalization.acceptance import Answer
from personalization.errors import EngineError, place_of
from personalization.records import UNPARSED_TEXT, Failure
from personalization.views import read_record

BATCH_LINES = 50
BATCH_BYTES = RECORD_BYTES
LINE_TOO_LONG = Failure("", "too-large", f"The line is longer than the {RECORD_BYTES} bytes that a record may have.")

log = logging.getLogger("perso")
router = APIRouter(prefix="/v1", tags=["records"])

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": {"$ref": "#/components/schemas/ApprovedRecord"}},
            NDJSON: {"schema": {"type": "string", "description": "One approved record in each line, at most 2000."}},
        },
    }
}
TAKEN: Answers = {
    200: {
        "description": "One record: it was accepted before. A bulk: an answer for each line, in order.",
        "content": {
            JSON: {"schema": {"$ref": "#/components/schemas/Accepted"}},
            NDJSON: {"schema": {"$ref": "#/components/schemas/BulkLine"}},
        },
    },
    201: {
        "description": "Accepted; a job makes the document.",
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Accepted"}}},
        "headers": {"Location": {"description": "The record.", "schema": {"type": "string"}}},
    },
}


@router.post(
    "/records",
    operation_id="pushRecords",
    openapi_extra=BODY,
    status_code=201,
    response_class=Response,
    responses={
        **TAKEN,
        **problems(
            "malformed-json", "too-slow", "too-large", "unsupported-media-type", "record-rejected",
            "acceptance-away", "halted",
        ),
    },
)  # fmt: skip
async def push_records(request: Request, caller: HandsOver) -> Response:
    """Hand over one approved record, or a bulk of them; the same record in the same revision is one order."""
    if media_type(request, JSON, NDJSON) == NDJSON:
        return await _push_bulk(request, _source(caller.source))
    content = await whole_body(request, RECORD_BYTES)
    service: Service = request.app.state.service
    (answer,) = await service.acceptance.push(_source(caller.source), [content], service.clock())
    if answer is None:
        raise Problem("malformed-json")
    if answer.outcome == "rejected":
        identity = {"record_id": answer.record_id, "revision": answer.revision}
        named = {name: value for name, value in identity.items() if value is not None}
        raise Problem("record-rejected", more={**named, "errors": failure_bodies(answer.failures)})
    body = Accepted.of(answer).model_dump()
    if answer.repeated:
        return JSONResponse(body, 200)
    return JSONResponse(body, 201, {"Location": f"/v1/records/{answer.record_id}"})


@router.get(
    "/records/{record_id}",
    operation_id="readRecord",
    responses=problems("record-unknown", "invalid-parameters"),
)
async def get_record(request: Request, record_id: RecordIdPath, caller: ReadsRecords) -> Record:
    """What became of a record: its receipts and its jobs. A document system sees its own."""
    service: Service = request.app.state.service
    view = await run_in_threadpool(read_record, service.database, record_id, caller.source)
    if view is None:
        raise Problem("record-unknown")
    return Record.of(view)


def _source(source: str | None) -> str:
    if source is None:
        raise Problem("forbidden", "This caller is registered without a source.")
    return source


async def _push_bulk(request: Request, source: str) -> Response:
    answers = _answer_bulk(request, source)
    # The first batch decides whether there is an answer at all: what stops it is a problem of the whole request.
    first = await anext(answers, b"")
    return _BulkAnswer(first, answers, request)


async def _answer_bulk(request: Request, source: str) -> AsyncIterator[bytes]:
    """The answers batch by batch. Raises what stops the first batch; later trouble is said in a last line."""
    batch: list[Line] = []
    size, begun, at = 0, False, 1
    try:
        async for line in bulk_lines(request):
            batch.append(line)
            at = batch[0].number
            size += len(line.content or b"")
            if len(batch) >= BATCH_LINES or size >= BATCH_BYTES:
                answered = await _answer_batch(request, source, batch)
                at, batch, size, begun = batch[-1].number + 1, [], 0, True
                yield answered
        if batch:
            yield await _answer_batch(request, source, batch)
    except (Problem, EngineError) as error:
        if not begun:
            raise
        yield _to_line({"line": at, "outcome": "stopped", "problem": problem_of(error).body()})


async def _answer_batch(request: Request, source: str, batch: Sequence[Line]) -> bytes:
    service: Service = request.app.state.service
    contents = [line.content for line in batch if line.content is not None]
    answers = iter(await service.acceptance.push(source, contents, service.clock()) if contents else ())
    return b"".join(_line_answer(line, None if line.content is None else next(answers)) for line in batch)


def _line_answer(line: Line, answer: Answer | None) -> bytes:
    if answer is None:
        failure = LINE_TOO_LONG if line.content is None else UNPARSED_TEXT
        return _to_line({"line": line.number, "outcome": "rejected", "errors": failure_bodies([failure])})
    members = {"record_id": answer.record_id, "revision": answer.revision, "job_id": answer.job_id}
    return _to_line(
        {
            "line": line.number,
            "outcome": answer.outcome,
            **{name: value for name, value in members.items() if value is not None},
            "repeated": answer.repeated,
            "errors": failure_bodies(answer.failures),
        }
    )


def _to_line(members: dict[str, object]) -> bytes:
    return json.dumps(members, ensure_ascii=False).encode() + b"\n"


class _BulkAnswer(Response):
    """Sends answers while the body still comes in; a client that reads only after it has sent all is not held up."""

    media_type = NDJSON

    def __init__(self, first: bytes, answers: AsyncIterator[bytes], request: Request) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._first = first
        self._answers = answers
        self._path = request.url.path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the lines read it
        """ASGI."""
        ready: asyncio.Queue[bytes | None] = asyncio.Queue()
        ready.put_nowait(self._first)
        reading = asyncio.create_task(self._read(ready))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (chunk := await ready.get()) is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await reading
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            reading.cancel()

    async def _read(self, ready: "asyncio.Queue[bytes | None]") -> None:
        try:
            async for chunk in self._answers:
                ready.put_nowait(chunk)
        except ClientDisconnect:
            log.info("a bulk was broken off by its sender")
        except Exception as error:
            log.error("a bulk failed: %s at %s", type(error).__name__, place_of(error))
            raise
        finally:
            ready.put_nowait(None)

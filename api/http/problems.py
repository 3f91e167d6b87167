"""Errors as RFC 9457 problems: one catalogue, stable types, and never a value of what was sent."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hsm.errors import HsmError
from personalization.acceptance_door import AcceptanceAway
from personalization.errors import Halt, StoreUnavailable, place_of
from personalization.records import Failure

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:eid-perso:problem:"
RETRY_SECONDS = 2
HALTED_SECONDS = 60

log = logging.getLogger("perso")


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """An entry of the catalogue: status, title, and after how many seconds it is worth trying again, if ever."""

    status: int
    title: str
    retry_after: int | None = None


CATALOGUE: Mapping[str, ProblemKind] = {
    "malformed-request": ProblemKind(400, "The request is not well-formed HTTP"),
    "malformed-json": ProblemKind(400, "The body is not JSON in UTF-8"),
    "unauthorized": ProblemKind(401, "No known caller"),
    "forbidden": ProblemKind(403, "The caller's role does not allow this"),
    "not-found": ProblemKind(404, "There is nothing at this address"),
    "record-unknown": ProblemKind(404, "No such record"),
    "job-unknown": ProblemKind(404, "No such job"),
    "method-not-allowed": ProblemKind(405, "This address does not take that method"),
    "too-slow": ProblemKind(408, "The body did not come in time"),
    "not-possible": ProblemKind(409, "The job's state does not allow this"),
    "too-large": ProblemKind(413, "The body is too large"),
    "unsupported-media-type": ProblemKind(415, "The body's media type is not one that is taken here"),
    "invalid-parameters": ProblemKind(422, "A parameter is not valid"),
    "record-rejected": ProblemKind(422, "The record was rejected"),
    "too-many-requests": ProblemKind(429, "The caller has too many requests under way", RETRY_SECONDS),
    "internal": ProblemKind(500, "The service failed"),
    "acceptance-away": ProblemKind(503, "Records cannot be taken at the moment", RETRY_SECONDS),
    "store-unavailable": ProblemKind(503, "The database does not answer", RETRY_SECONDS),
    "halted": ProblemKind(503, "The centre has stopped taking records", HALTED_SECONDS),
}


CODES: Mapping[type[Exception], str] = {
    StoreUnavailable: "store-unavailable",
    AcceptanceAway: "acceptance-away",
    Halt: "halted",
    HsmError: "halted",
}
"""Errors of the engine that have a code of their own; every other one is `internal`."""


class Problem(Exception):
    """An error that a caller is told: a code of the catalogue, and what is to be said beside its title."""

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.kind = CATALOGUE[code]
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def body(self) -> dict[str, object]:
        """RFC 9457 §3."""
        members: dict[str, object] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.kind.title,
            "status": self.kind.status,
        }
        if self.detail is not None:
            members["detail"] = self.detail
        return members | self.more

    def response(self) -> JSONResponse:
        """As it goes out."""
        headers = dict(self.headers)
        if self.kind.retry_after is not None:
            headers["Retry-After"] = str(self.kind.retry_after)
        return JSONResponse(self.body(), self.kind.status, headers, media_type=PROBLEM_JSON)


def failure_bodies(failures: Sequence[Failure]) -> list[dict[str, str]]:
    """Failures of a record as they are told: pointer, rule, message."""
    return [{"pointer": each.pointer, "rule": each.rule, "message": each.message} for each in failures]


def problem_of(error: Exception) -> Problem:
    """What a caller is told of an error; nothing of an error's own text, for it may quote data."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid_parameters(error)
        case HTTPException():
            return _of_http(error)
        case _:
            return Problem(next((code for kind, code in CODES.items() if isinstance(error, kind)), "internal"))


def _invalid_parameters(error: RequestValidationError) -> Problem:
    errors = [
        {"pointer": "/" + "/".join(str(part) for part in each["loc"][:2]), "rule": each["type"], "message": each["msg"]}
        for each in error.errors()
    ]
    return Problem("invalid-parameters", more={"errors": errors})


def _of_http(error: HTTPException) -> Problem:
    code = {404: "not-found", 405: "method-not-allowed", 413: "too-large", 415: "unsupported-media-type"}.get(
        error.status_code, "malformed-request" if error.status_code < 500 else "internal"
    )
    return Problem(code, headers=error.headers)


def install(app: FastAPI) -> None:
    """Every error of every route becomes a problem."""

    async def answer(_request: Request, error: Exception) -> JSONResponse:
        return problem_of(error).response()

    told: tuple[type[Exception], ...] = (Problem, *CODES, RequestValidationError, HTTPException)
    for kind in told:
        app.add_exception_handler(kind, answer)
    app.add_middleware(LastLine)


class LastLine:
    """What nobody foresaw becomes a problem too; the log gets its place, never its text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *FIXED_HEADERS]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - the last line
            log.error("a request failed: %s at %s", type(error).__name__, place_of(error))
            if started:
                raise ConnectionError("the answer had begun") from None  # the server then ends the connection
            await problem_of(error).response()(scope, receive, sending)


FIXED_HEADERS: Any = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]

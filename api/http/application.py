"""The application of the job API: routes, problems, and the OpenAPI document."""

import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http import events, jobs, openapi, problems, records, token_route
from api.http.answers import problems as answers
from api.http.callers import Known
from api.http.service import Service

THREADS = 12
"""Fewer than a database has connections for (SQLAlchemy's pool: 15)."""

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
log = logging.getLogger("perso")


def build_application(service: Service, around: AbstractAsyncContextManager[None] | None = None) -> FastAPI:
    """The ASGI application. `around`: entered before the first request and left after the last."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        if around is None:
            yield
            return
        async with around:
            yield

    app = FastAPI(
        title="eid-perso job API",
        version="1",
        summary="Hand approved records over to a personalization centre and follow what becomes of them.",
        description="Errors are RFC 9457 problems. No answer holds anything of a holder.",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    app.state.service = service
    app.state.under_way = Counter()
    for router in (token_route.router, records.router, jobs.router, events.router, _description()):
        app.router.routes.extend(router.routes)  # flat, so that whoever walks the routes finds each
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    problems.install(app)
    app.add_middleware(RequestLog)
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = openapi.document(app)
    return app.openapi_schema


def _description() -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["description"])

    @router.get("/openapi.json", operation_id="readDescription", responses=answers(), response_model=dict[str, Any])
    async def get_description(request: Request, _caller: Known) -> JSONResponse:
        """This description of the API (OpenAPI 3.1)."""
        return JSONResponse(request.app.openapi())

    return router


class RequestLog:
    """One line for each request: who, which route, what came of it. Never the path itself, which anybody can fill."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.monotonic(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            caller = scope.get("state", {}).get("caller")
            log.info(
                "%s %s %s %d %.0f ms",
                caller.client_id if caller else "-",
                scope["method"] if scope["method"] in ("GET", "POST") else "-",
                getattr(scope.get("route"), "path", "-"),
                status,
                1000 * (time.monotonic() - begun),
            )

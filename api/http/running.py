"""The job API's process: its parts put together, the server run, the client certificates kept up to date."""

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio.to_thread

from api.clients import certificates_in_use
from api.commands.opened_state import OpenedState, settings_of
from api.http.acceptance_client import AcceptanceClient
from api.http.application import build_application
from api.http.assertions import Tokens
from api.http.server import ClientCertificates, Server, log_to, make_server
from api.http.service import Service
from card_profiles.profile import profile_for
from personalization.assembly import now
from personalization.errors import StoreUnavailable
from personalization.processes import keep_memory_private
from personalization.store.database import Database

CERTIFICATE_SECONDS = 2.0


@dataclass(slots=True)
class _Running:
    """The server, once it is made: routes that wait ask whether it is about to end."""

    server: Server | None = None

    def stopping(self) -> bool:
        return self.server is not None and self.server.should_exit


def serve(
    opened: OpenedState, tls: ClientCertificates | None, bound: socket.socket, url: str, ready: Callable[[], None]
) -> bool:
    """Serve on a bound socket until asked to end; whether it came to serving. `url`: how clients know this server."""
    keep_memory_private()
    log_to(opened.directory.log_file)
    specimen = opened.directory.specimen
    acceptance = AcceptanceClient(settings_of(opened, specimen=specimen, pcsc_socket=None))
    running = _Running()
    service = Service(
        database=opened.database,
        acceptance=acceptance,
        tokens=Tokens(now),
        audiences=frozenset({url, f"{url.rstrip('/')}/v1/token"}),
        profile_for=functools.partial(profile_for, specimen=specimen),
        clock=now,
        stopping=running.stopping,
    )

    app = build_application(service, _around(acceptance, tls, opened.database))
    running.server = make_server(app, tls.context if tls else None, ready)
    with suppress(KeyboardInterrupt):  # uvicorn repeats the signal once it has ended orderly
        running.server.run([bound])
    return running.server.started


@asynccontextmanager
async def _around(
    acceptance: AcceptanceClient, tls: ClientCertificates | None, database: Database
) -> AsyncIterator[None]:
    async with acceptance:
        if tls is None:
            yield
            return
        tls.trust(certificates_in_use(database))
        watching = asyncio.create_task(_watch_certificates(tls, database))
        try:
            yield
        finally:
            watching.cancel()


async def _watch_certificates(tls: ClientCertificates, database: Database) -> None:
    """What is registered while the server runs is trusted within seconds."""
    while True:
        await asyncio.sleep(CERTIFICATE_SECONDS)
        try:
            tls.trust(await anyio.to_thread.run_sync(certificates_in_use, database))
        except StoreUnavailable:
            continue

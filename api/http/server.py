"""The server process: uvicorn with our limits, TLS that knows the registered client certificates, and our log."""

import asyncio
import logging
import socket
import ssl
from asyncio import Transport
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.http.problems import Problem
from personalization.errors import place_of

HEAD_BYTES = 16 * 1024
HEAD_SECONDS = 20.0
KEEP_ALIVE_SECONDS = 30
STOP_SECONDS = 15
PEER_CERTIFICATE = "peer_certificate"


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1 with the peer's certificate in the scope's state, a time limit for heads, and our problem."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """`asyncio.Protocol`: the handshake is done."""
        super().connection_made(transport)
        session = transport.get_extra_info("ssl_object")
        certificate = session.getpeercert(binary_form=True) if session is not None else None
        if certificate is not None:
            self.app_state = {**self.app_state, PEER_CERTIFICATE: certificate}
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._end_if_idle)

    def data_received(self, data: bytes) -> None:
        """`asyncio.Protocol`."""
        super().data_received(data)
        if self._between_requests():
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_SECONDS, self._end_if_idle)
        else:
            self._stop_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """`asyncio.Protocol`."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence is not ours
        """What could not be read as HTTP."""
        response = Problem("malformed-request").response()
        head = h11.Response(status_code=400, headers=[*response.raw_headers, (b"connection", b"close")])
        try:
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            pass  # an answer had begun: there is no place for another
        self.transport.close()

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_if_idle(self) -> None:
        self._head_timer = None
        if self._between_requests() and not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """`uvicorn.Server.startup`."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def make_server(app: FastAPI, tls: ssl.SSLContext | None, ready: Callable[[], None]) -> Server:
    """The server of an application; it takes the socket it is run with."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=HEAD_BYTES,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )
    return Server(config, ready)


class ClientCertificates:
    """TLS 1.2 and 1.3 that asks for a client certificate and trusts exactly the registered ones (RFC 8705 §2.2)."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(certificate, key)
        self.context.verify_mode = ssl.CERT_OPTIONAL
        # Each is its own anchor, whoever issued it. A revoked one still shakes hands; it is then known as nobody.
        self.context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self.context.num_tickets = 0
        self.context.options |= ssl.OP_NO_TICKET
        self._trusted: set[str] = set()

    def trust(self, certificates: dict[str, bytes]) -> None:
        """Trust what was registered since: name -> DER."""
        for name, der in certificates.items():
            if name not in self._trusted:
                self.context.load_verify_locations(cadata=der)
                self._trusted.add(name)


class PlacesOnly(logging.Formatter):
    """The log's form; of an exception its place alone, for its text may quote data."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        """Kind and place."""
        kind, error, _ = ei
        return f"{kind.__name__} at {place_of(error)}" if error is not None else ""


def log_to(path: Path) -> None:
    """The service's log, uvicorn's and asyncio's troubles among it."""
    handler = logging.FileHandler(path)
    handler.setFormatter(PlacesOnly("%(asctime)s serve %(levelname)s %(message)s"))
    for name, level in (("perso", logging.INFO), ("uvicorn", logging.WARNING), ("asyncio", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False

"""The application called in this process, its acceptance without a process of its own, and keys to sign with."""

import asyncio
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI

from api.clients import Caller
from api.http.application import build_application
from api.http.assertions import Tokens
from api.http.service import Service
from card_profiles.profile import profile_for
from personalization.acceptance import Acceptance, Answer
from personalization.acceptance_door import Push, Trouble, answer_push
from personalization.audit import sequence_events
from personalization.store.database import Database
from tests.personalization.engine.made_up import NOW

URL = "https://perso.example"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
NDJSON = {"content-type": "application/x-ndjson"}
JSON = {"content-type": "application/json"}
PROBLEM_MEMBERS = {"type", "title", "status"}

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass
class DirectAcceptance:
    """`AcceptancePort` in this process; `trouble` is raised by the next pushes."""

    acceptance: Acceptance
    trouble: list[Exception | None] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    async def push(self, source: str, contents: Sequence[bytes], now: datetime) -> Sequence[Answer | None]:
        if self.trouble and (error := self.trouble.pop(0)) is not None:
            raise error
        self.batches.append(len(contents))
        reply = answer_push(self.acceptance, Push(source, tuple(contents), now))
        assert not isinstance(reply, Trouble), reply
        return reply


@dataclass
class Clock:
    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Api:
    """The application; requests go through ASGI, each in an event loop of its own."""

    app: FastAPI
    service: Service
    clock: Clock
    callers: dict[str, Caller] = field(default_factory=dict)

    def as_(self, name: str) -> "Calls":
        """Calls by a registered caller, with a token of its own."""
        return Calls(self.app, {"authorization": f"Bearer {self.service.tokens.issue(self.callers[name])}"})

    @property
    def nobody(self) -> "Calls":
        return Calls(self.app, {})

    def number_events(self) -> None:
        """What the acceptance process does while it is idle."""
        while sequence_events(self.service.database):
            continue


@dataclass
class Calls:
    """HTTP calls with fixed headers."""

    app: FastAPI
    headers: Mapping[str, str]

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self.headers, **more.pop("headers", {})}

        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(call())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self("POST", path, **more)


def make_api(database: Database, acceptance: DirectAcceptance) -> Api:
    clock = Clock()
    service = Service(
        database=database,
        acceptance=acceptance,
        tokens=Tokens(clock),
        audiences=frozenset({URL, f"{URL}/v1/token"}),
        profile_for=functools.partial(profile_for, specimen=True),
        clock=clock,
        stopping=lambda: False,
    )
    return Api(build_application(service), service, clock)


def problem(answer: httpx.Response, code: str) -> dict[str, Any]:
    """The problem that an answer must be: well-formed, of this code."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    assert body.keys() >= PROBLEM_MEMBERS
    assert body["type"] == f"urn:eid-perso:problem:{code}", body
    assert body["status"] == answer.status_code
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    if answer.status_code in (429, 503):
        assert int(answer.headers["retry-after"]) > 0
    return body


def signing_key() -> SigningKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: SigningKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def assertion(
    key: Any, kid: str, client_id: str, *, algorithm: str = "ES256", at: datetime = NOW, **claims: object
) -> str:
    """A client assertion as a document system signs it; `claims` replace or, being None, take away."""
    content = {
        "iss": client_id,
        "sub": client_id,
        "aud": f"{URL}/v1/token",
        "iat": int(at.timestamp()),
        "exp": int(at.timestamp()) + 60,
        "jti": "first",
        **claims,
    }
    kept = {name: value for name, value in content.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": kid})


def form(signed: str, **more: str) -> dict[str, str]:
    """The body of a token request."""
    fields = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
    return fields | more

"""Who calls: a bearer token or a client certificate, a registered client, and the roles that a route takes.

`Requires` is the one place where a route's roles stand; the OpenAPI document and the test that walks all routes read
them there.
"""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from api.client_keys import KeyKind, certificate_name
from api.clients import Caller, Role, caller_by_key
from api.http.problems import Problem
from api.http.service import Service

MOST_AT_ONCE = 32
"""Requests of one caller that are under way; an honest document system has a handful."""


class Requires:
    """A dependency: the caller is known and has one of these roles."""

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles)

    async def __call__(self, request: Request) -> AsyncIterator[Caller]:
        """The caller, while the request is under way. Raises `Problem`: unauthorized, forbidden, too-many-requests."""
        service: Service = request.app.state.service
        caller = await run_in_threadpool(known_caller, service, request)
        request.state.caller = caller
        if caller.role not in self.roles:
            raise Problem("forbidden", f"This takes the role {' or '.join(sorted(self.roles))}.")
        under_way: Counter[str] = request.app.state.under_way
        if under_way[caller.client_id] >= MOST_AT_ONCE:
            raise Problem("too-many-requests")
        under_way[caller.client_id] += 1
        try:
            yield caller
        finally:
            under_way[caller.client_id] -= 1


def known_caller(service: Service, request: Request) -> Caller:
    """The registered client behind a request. Raises `Problem` unauthorized."""
    found = None
    if (authorization := request.headers.get("authorization")) is not None:
        scheme, _, token = authorization.partition(" ")
        kid = service.tokens.kid_of(token.strip()) if scheme.lower() == "bearer" else None
        if kid is None:
            raise _unknown('Bearer error="invalid_token"')  # RFC 6750 §3.1
        # Asked anew each time: a revoked key ends its tokens at once.
        found = caller_by_key(service.database, kid, KeyKind.JWT)
    elif (certificate := getattr(request.state, "peer_certificate", None)) is not None:
        found = caller_by_key(service.database, certificate_name(certificate), KeyKind.CERTIFICATE)
    if found is None:
        raise _unknown("Bearer")
    return found[0]


def _unknown(challenge: str) -> Problem:
    return Problem(
        "unauthorized",
        "Send a bearer token from /v1/token, or connect with a registered client certificate.",
        headers={"WWW-Authenticate": challenge},
    )


def roles_of(route: BaseRoute) -> frozenset[Role] | None:
    """The roles that a route takes; None where it names none."""
    if not isinstance(route, APIRoute):
        return None
    found = [each.call.roles for each in route.dependant.dependencies if isinstance(each.call, Requires)]
    return frozenset.intersection(*found) if found else None


ANYONE = Requires(*Role)
HANDS_OVER = Requires(Role.DOCUMENT_SYSTEM)
READS_RECORDS = Requires(Role.DOCUMENT_SYSTEM, Role.AUDITOR)
READS_JOBS = Requires(Role.DOCUMENT_SYSTEM, Role.OPERATOR, Role.AUDITOR)
STEERS_JOBS = Requires(Role.OPERATOR)
CANCELS_JOBS = Requires(Role.OPERATOR, Role.DOCUMENT_SYSTEM)
READS_EVENTS = Requires(Role.DOCUMENT_SYSTEM, Role.AUDITOR)

Known = Annotated[Caller, Depends(ANYONE)]
HandsOver = Annotated[Caller, Depends(HANDS_OVER)]
ReadsRecords = Annotated[Caller, Depends(READS_RECORDS)]
ReadsJobs = Annotated[Caller, Depends(READS_JOBS)]
SteersJobs = Annotated[Caller, Depends(STEERS_JOBS)]
CancelsJobs = Annotated[Caller, Depends(CANCELS_JOBS)]
ReadsEvents = Annotated[Caller, Depends(READS_EVENTS)]

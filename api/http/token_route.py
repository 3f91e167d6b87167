"""`POST /v1/token`: a signed assertion for a bearer token (RFC 6749 §4.4, RFC 7523 §2.2)."""

import logging
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from api.http.answers import problems
from api.http.assertions import TOKEN_LIFETIME, AssertionRefused, verify_assertion
from api.http.bodies import FORM, media_type, whole_body
from api.http.schemas import Token, TokenError
from api.http.service import Service

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FORM_BYTES = 2**16
MOST_FIELDS = 20

log = logging.getLogger("perso")
router = APIRouter(prefix="/v1", tags=["callers"])

FORM_SCHEMA = {
    "type": "object",
    "required": ["grant_type", "client_assertion_type", "client_assertion"],
    "properties": {
        "grant_type": {"const": "client_credentials"},
        "client_assertion_type": {"const": ASSERTION_TYPE},
        "client_assertion": {
            "type": "string",
            "description": "A JWT (ES256, ES384, PS256, EdDSA) with kid in its header; iss and sub the client's id, "
            "aud this address, exp at most five minutes ahead, a jti of its own.",
        },
        "client_id": {"type": "string", "description": "If sent, the client's id."},
        "scope": {"type": "string", "description": "If sent, the client's role."},
    },
}


@router.post(
    "/token",
    operation_id="getToken",
    openapi_extra={
        "requestBody": {"required": True, "content": {FORM: {"schema": FORM_SCHEMA}}},
        "security": [],
        "x-roles": [],
    },
    responses={
        400: {"description": "RFC 6749 §5.2", "model": TokenError},
        401: {"description": "The assertion proves nothing: `invalid_client`.", "model": TokenError},
        **{
            status: said
            for status, said in problems("too-slow", "too-large", "unsupported-media-type").items()
            if status not in (401, 403, 429)
        },
    },
    response_model=Token,
)
async def get_token(request: Request) -> JSONResponse:
    """A bearer token of five minutes for a registered client that signs an assertion."""
    media_type(request, FORM)
    body = await whole_body(request, FORM_BYTES)
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )  # fmt: skip
    except ValueError:
        return _error(400, "invalid_request")
    fields = dict(pairs)
    if len(fields) != len(pairs) or "grant_type" not in fields:
        return _error(400, "invalid_request", "grant_type is missing, or a field is there twice")
    if fields["grant_type"] != "client_credentials":
        return _error(400, "unsupported_grant_type")
    if fields.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in fields:
        return _error(401, "invalid_client", "send a client_assertion of type jwt-bearer")
    return await run_in_threadpool(_issue, request.app.state.service, fields)


def _issue(service: Service, fields: dict[str, str]) -> JSONResponse:
    try:
        caller = verify_assertion(service.database, fields["client_assertion"], service.audiences, service.clock())
    except AssertionRefused as refused:
        log.warning("an assertion was refused at step %s", refused)
        return _error(401, "invalid_client", "the assertion proves no registered client")
    if fields.get("client_id", caller.client_id) != caller.client_id:
        return _error(401, "invalid_client", "client_id is not the assertion's")
    if fields.get("scope", caller.role) != caller.role:
        return _error(400, "invalid_scope")
    token = Token(
        access_token=service.tokens.issue(caller),
        expires_in=int(TOKEN_LIFETIME.total_seconds()),
        scope=caller.role,
    )
    return JSONResponse(token.model_dump(), headers={"Pragma": "no-cache"})


def _error(status: int, error: str, description: str | None = None) -> JSONResponse:
    said = {"error": error} | ({"error_description": description} if description else {})
    return JSONResponse(said, status)

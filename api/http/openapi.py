"""The OpenAPI 3.1 document: what FastAPI knows of the routes, with roles, the record's schema and the problems."""

import json
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.clients import Role
from api.http.callers import roles_of
from api.http.schemas import Accepted, BulkLine, Problem

OAUTH, MUTUAL_TLS = "privateKeyJwt", "clientCertificate"
REFERENCE = "#/components/schemas/{model}"
ROLES = {
    Role.DOCUMENT_SYSTEM: "Hands records over and follows what becomes of them; sees its own alone.",
    Role.OPERATOR: "Reads jobs and holds, releases and cancels them.",
    Role.AUDITOR: "Reads everything and changes nothing.",
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of all routes."""
    described = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        summary=app.summary,
        description=app.description,
        routes=app.routes,
    )
    schemas = described["components"]["schemas"]
    for model in (Accepted, BulkLine, Problem):
        schema = model.model_json_schema(ref_template=REFERENCE)
        schemas |= schema.pop("$defs", {})
        schemas[schema["title"]] = schema
    schemas["ApprovedRecord"] = _record_schema()
    described["components"]["securitySchemes"] = _security_schemes()
    for route in app.routes:
        roles = roles_of(route)
        if isinstance(route, APIRoute) and roles is not None:
            for method in route.methods or ():
                operation = described["paths"][route.path][method.lower()]
                operation["x-roles"] = sorted(roles)
                operation["security"] = [
                    {scheme: [role]} for scheme in (OAUTH, MUTUAL_TLS) for role in sorted(roles)
                ]  # fmt: skip
    return described


def _record_schema() -> Any:
    text = files("personalization.rules").joinpath("data/approved-record.schema.json").read_text("utf-8")
    schema = json.loads(text.replace('"#/$defs/', '"#/components/schemas/ApprovedRecord/$defs/'))
    return {name: value for name, value in schema.items() if name not in ("$schema", "$id")}


def _security_schemes() -> dict[str, Any]:
    flow = {"tokenUrl": "/v1/token", "scopes": {str(role): said for role, said in ROLES.items()}}
    return {
        OAUTH: {
            "type": "oauth2",
            "description": "private_key_jwt (RFC 7523); see docs/api.md.",
            "flows": {"clientCredentials": flow},
        },
        MUTUAL_TLS: {"type": "mutualTLS", "description": "A registered client certificate (RFC 8705 §2.2)."},
    }

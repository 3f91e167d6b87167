"""Which answers a route declares: the OpenAPI document names each, and tests hold the routes to it."""

from typing import Any

from api.http.problems import CATALOGUE, PROBLEM_JSON, TYPE_PREFIX

Answers = dict[int | str, dict[str, Any]]

ALWAYS = ("unauthorized", "forbidden", "too-many-requests", "internal", "store-unavailable")
HEADERS = {
    401: {"WWW-Authenticate": "RFC 6750 §3."},
    429: {"Retry-After": "Seconds."},
    503: {"Retry-After": "Seconds."},
}


def problems(*codes: str) -> Answers:
    """The problems of these codes and those that every route has, by status."""
    by_status: dict[int, list[str]] = {}
    for code in (*ALWAYS, *codes):
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    return {status: _problem(status, sorted(set(named))) for status, named in sorted(by_status.items())}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    examples = {
        code: {"value": {"type": TYPE_PREFIX + code, "title": CATALOGUE[code].title, "status": status}}
        for code in codes
    }
    declared: dict[str, Any] = {
        "description": "; ".join(CATALOGUE[code].title for code in codes),
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }
    if status in HEADERS:
        declared["headers"] = {
            name: {"description": said, "schema": {"type": "string"}} for name, said in HEADERS[status].items()
        }
    return declared

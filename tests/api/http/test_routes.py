"""Every route names its callers, and nobody else gets past it; whatever goes wrong is a well-formed problem."""

import re
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute

from api.clients import Role
from api.http.callers import roles_of
from api.http.problems import CATALOGUE
from tests.api.http.conftest import CALLERS
from tests.api.http.in_process import Api, problem

TOKEN = "/v1/token"
EXAMPLES = {"record_id": "PADIS-2026-0000001", "job_id": "PADIS-2026-0000001-r1-a1"}
REQUIRED = {
    ("POST", "/v1/records"): {Role.DOCUMENT_SYSTEM},
    ("GET", "/v1/records/{record_id}"): {Role.DOCUMENT_SYSTEM, Role.AUDITOR},
    ("GET", "/v1/jobs"): set(Role),
    ("GET", "/v1/jobs/{job_id}"): set(Role),
    ("POST", "/v1/jobs/{job_id}/hold"): {Role.OPERATOR},
    ("POST", "/v1/jobs/{job_id}/release"): {Role.OPERATOR},
    ("POST", "/v1/jobs/{job_id}/cancel"): {Role.OPERATOR, Role.DOCUMENT_SYSTEM},
    ("GET", "/v1/events"): {Role.DOCUMENT_SYSTEM, Role.AUDITOR},
    ("GET", "/v1/openapi.json"): set(Role),
}


def routes(api: Api) -> Iterator[tuple[str, APIRoute]]:
    for route in api.app.routes:
        assert isinstance(route, APIRoute), f"{route} is of a kind that this walk does not see into"
        for method in route.methods or ():
            yield method, route


def test_every_route_names_its_roles(api: Api) -> None:
    named = {(method, route.path): roles_of(route) for method, route in routes(api)}
    assert named.pop(("POST", TOKEN)) is None, "the one route at which nobody is known yet"
    assert named == {route: frozenset(roles) for route, roles in REQUIRED.items()}


def test_without_a_known_caller_every_route_is_shut(api: Api) -> None:
    for method, route in routes(api):
        path = route.path.format(**EXAMPLES)
        if path == TOKEN:
            answer = api.nobody(method, path, data={"grant_type": "client_credentials"})
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
            continue
        problem(api.nobody(method, path), "unauthorized")
        for header in (
            "Bearer unknown",
            "Bearer",
            "Basic cGFkaXM6eA==",
            "Bearer " + "x" * 5000,
            "Bearer \xff".encode("latin-1"),
        ):
            problem(api.nobody(method, path, headers={"authorization": header}), "unauthorized")


def test_with_another_role_every_route_is_shut(api: Api) -> None:
    for method, route in routes(api):
        roles = roles_of(route) or frozenset(Role)
        for name, (role, _) in CALLERS.items():
            if role not in roles:
                problem(api.as_(name)(method, route.path.format(**EXAMPLES)), "forbidden")


def test_the_roles_stand_in_the_description(api: Api) -> None:
    described = api.as_("auditor").get("/v1/openapi.json").json()
    for method, route in routes(api):
        operation = described["paths"][route.path][method.lower()]
        roles = sorted(roles_of(route) or ())
        assert operation["x-roles"] == roles
        assert {role for each in operation["security"] for scopes in each.values() for role in scopes} == set(roles)
        assert operation["operationId"]


def test_every_declared_problem_is_in_the_catalogue(api: Api) -> None:
    described = api.as_("auditor").get("/v1/openapi.json").text
    codes = set(re.findall(r"urn:eid-perso:problem:([a-z-]+)", described)) - {""}
    assert codes <= set(CATALOGUE)
    assert set(CATALOGUE) - codes <= {"not-found", "method-not-allowed", "malformed-request"}, "of no route"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/", "not-found"),
        ("GET", "/v1", "not-found"),
        ("GET", "/v1/jobs/", "not-found"),
        ("GET", "/docs", "not-found"),
        ("GET", "/openapi.json", "not-found"),
        ("GET", "/v1/records/..%2f..%2fetc", "not-found"),
        ("DELETE", "/v1/jobs", "method-not-allowed"),
        ("PATCH", "/v1/events", "method-not-allowed"),
        ("OPTIONS", "/v1/records", "method-not-allowed"),
        ("TRACE", "/v1/records", "method-not-allowed"),
        ("GET", "/v1/jobs?limit=0", "invalid-parameters"),
        ("GET", "/v1/jobs?limit=x", "invalid-parameters"),
        ("GET", "/v1/jobs?state=lost", "invalid-parameters"),
        ("GET", "/v1/jobs?cursor=AAAA", "invalid-parameters"),
        ("GET", "/v1/jobs?cursor=%00", "invalid-parameters"),
        ("GET", "/v1/jobs/190422-26041", "invalid-parameters"),
        ("GET", "/v1/jobs/PADIS-2026-0000001-r1-a1%0a", "invalid-parameters"),
    ],
)
def test_what_goes_wrong_is_a_problem(api: Api, method: str, path: str, code: str) -> None:
    answer = api.as_("auditor")(method, path)
    body = problem(answer, code)
    assert "190422" not in answer.text
    assert (code == "invalid-parameters") == ("errors" in body)
    if code == "method-not-allowed":
        assert answer.headers["allow"]


def test_what_nobody_foresaw_is_a_problem_and_says_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("Kalniņš 190422-26041")

    monkeypatch.setattr("api.http.jobs.read_job", fail)
    answer = api.as_("auditor").get("/v1/jobs/PADIS-2026-0000001-r1-a1")
    assert problem(answer, "internal").keys() == {"type", "title", "status"}


def test_a_caller_with_too_many_requests_under_way_waits(api: Api) -> None:
    api.app.state.under_way["auditor"] = 32
    problem(api.as_("auditor").get("/v1/jobs"), "too-many-requests")
    assert api.as_("operator").get("/v1/jobs").status_code == 200
    api.app.state.under_way["auditor"] = 0

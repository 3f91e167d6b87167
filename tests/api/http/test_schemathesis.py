"""Schemathesis against the OpenAPI document, in this process: no 5xx, no undeclared answer, status, type or shape."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.client_keys import key_from_pem
from api.clients import Caller, add_client
from personalization.store.database import Database, create_key_store, upgrade
from personalization.store.sealing import Vault
from tests.api.http.conftest import CALLERS
from tests.api.http.in_process import JSON, Api, DirectAcceptance, make_api, public_pem, signing_key
from tests.api.http.test_routes import REQUIRED, TOKEN
from tests.personalization.engine.conftest import open_file
from tests.personalization.engine.made_up import NOW, SoftwareDataKeys, make_acceptance, sample

EXAMPLES = 20
KNOWN = {"record_id": "PADIS-2026-0000001", "job_id": "PADIS-2026-0000001-r1-a1"}
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]

bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The application on a file, with one record, and callers of every role. Nobody waits for events: it is ending."""
    directory = tmp_path_factory.mktemp("schemathesis")
    upgrade(f"sqlite:///{directory / 'engine.sqlite'}")
    create_key_store(f"sqlite:///{directory / 'keys.sqlite'}")
    database, key_store = open_file(directory / "engine.sqlite"), open_file(directory / "keys.sqlite")
    api = _api(database, key_store)
    pushed = sample(KNOWN["record_id"])
    assert api.as_("padis").post("/v1/records", content=json.dumps(pushed), headers=JSON).status_code == 201
    api.number_events()
    yield api
    database.close()
    key_store.close()


def _api(database: Database, key_store: Database) -> Api:
    api = make_api(database, DirectAcceptance(make_acceptance(database, Vault(key_store, SoftwareDataKeys()))))
    api.app.state.service = replace(api.service, stopping=lambda: True)
    for name, (role, source) in CALLERS.items():
        key = key_from_pem(public_pem(signing_key()))
        add_client(database, name, role, source, key, now=NOW)
        api.callers[name] = Caller(name, role, source, key.kid)
    return api


@pytest.fixture(scope="module")
def described(made: Api) -> Any:
    return schemathesis.openapi.from_asgi("/v1/openapi.json", made.app, headers=dict(made.as_("auditor").headers))


ROUTES = [("POST", TOKEN), *REQUIRED]
CALLS = [
    pytest.param(method, path, mode, id=f"{method} {path} {mode.value}")
    for method, path in ROUTES
    for mode in GenerationMode
    if (path, mode) != ("/v1/openapi.json", GenerationMode.NEGATIVE)  # it takes nothing that could be wrong
]


@pytest.mark.parametrize(("method", "path", "mode"), CALLS)
def test_every_answer_is_a_declared_one(
    made: Api, described: Any, method: str, path: str, mode: GenerationMode
) -> None:
    """Called by somebody whom the route takes; the token route by anybody. Half of the calls mean what there is."""
    operation = described[path][method]
    roles = operation.definition.raw["x-roles"]
    name = next((name for name, (role, _) in CALLERS.items() if role in roles), None)
    headers = {} if name is None else dict(made.as_(name).headers)
    seen: set[int] = set()
    calls = itertools.count(1)

    @bounded
    @given(
        case=operation.as_strategy(generation_mode=mode),
    )
    def call(case: schemathesis.Case[Any]) -> None:
        count = next(calls)
        if count % 2 and mode is GenerationMode.POSITIVE:
            case.path_parameters = {name: KNOWN[name] for name in case.path_parameters or {}}
            if path == "/v1/records":
                record = sample(KNOWN["record_id"], revision=1 + count // 4)  # each once anew, and once again
                case.body, case.media_type = record, "application/json"
        seen.add(case.call_and_validate(headers=headers, checks=CHECKS).status_code)

    call()
    if mode is GenerationMode.POSITIVE and path != TOKEN:
        assert seen & {200, 201, 409}, "some calls reach what the route is for"

"""The job API in this process, on both databases, with callers of every role."""

from collections.abc import Iterator

import pytest

from api.client_keys import ClientKey, key_from_pem
from api.clients import Caller, Role, add_client
from personalization.store.database import Database
from personalization.store.sealing import Vault
from tests.api.http.in_process import Api, DirectAcceptance, SigningKey, make_api, public_pem, signing_key
from tests.personalization.engine.conftest import (  # noqa: F401 - fixtures
    data_keys,
    database,
    database_pair,
    key_store,
    migrated_file,
    postgres,
    postgres_pair,
    vault,
)
from tests.personalization.engine.made_up import NOW, make_acceptance

CALLERS = {
    "padis": (Role.DOCUMENT_SYSTEM, "padis"),
    "vmis": (Role.DOCUMENT_SYSTEM, "vmis"),
    "operator": (Role.OPERATOR, None),
    "auditor": (Role.AUDITOR, None),
}


@pytest.fixture(scope="session")
def keys() -> dict[str, SigningKey]:
    """A key pair for each caller, made once."""
    return {name: signing_key() for name in CALLERS}


@pytest.fixture
def acceptance(database: Database, vault: Vault) -> DirectAcceptance:  # noqa: F811 - the fixtures imported above
    return DirectAcceptance(make_acceptance(database, vault))


@pytest.fixture
def api(database: Database, acceptance: DirectAcceptance, keys: dict[str, SigningKey]) -> Iterator[Api]:  # noqa: F811
    """The application with all callers registered; `api.as_(name)` calls as one of them."""
    made = make_api(database, acceptance)
    for name, (role, source) in CALLERS.items():
        key: ClientKey = key_from_pem(public_pem(keys[name]))
        add_client(database, name, role, source, key, now=NOW)
        made.callers[name] = Caller(name, role, source, key.kid)
    yield made
    assert not any(made.app.state.under_way.values()), "every request has left"

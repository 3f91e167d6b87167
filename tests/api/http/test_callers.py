"""`private_key_jwt`: an assertion proves a caller once, for minutes, under a registered key; nothing else does."""

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.client_keys import key_from_pem
from api.clients import Role, add_client, revoke_client
from personalization.store.database import Database
from personalization.store.tables import client_assertion
from tests.api.http.in_process import URL, Api, SigningKey, assertion, form, problem, public_pem, signing_key
from tests.personalization.engine.made_up import NOW

HOUR = 3600


def token(api: Api, signed: str, **more: str) -> httpx.Response:
    return api.nobody.post("/v1/token", data=form(signed, **more))


def refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), answer.text
    assert answer.headers["content-type"] == "application/json"


def kid(key: SigningKey) -> str:
    return key_from_pem(public_pem(key)).kid


@pytest.fixture
def sign(keys: dict[str, SigningKey]) -> Any:
    """Signs as padis does; what is given replaces claims."""

    def signed(**claims: object) -> str:
        return assertion(keys["padis"], kid(keys["padis"]), "padis", **claims)  # type: ignore[arg-type]

    return signed


def unsecured(header: dict[str, object], claims: dict[str, object], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


# --- taken --------------------------------------------------------------------------------------------------------
def test_an_assertion_becomes_a_token_that_calls(api: Api, sign: Any) -> None:
    answer = token(api, sign())
    assert answer.status_code == 200
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 300, "document-system")
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    bearer = {"authorization": f"Bearer {body['access_token']}"}
    assert api.nobody.get("/v1/jobs", headers=bearer).status_code == 200
    api.clock.forward(299)
    assert api.nobody.get("/v1/jobs", headers=bearer).status_code == 200
    api.clock.forward(2)
    problem(api.nobody.get("/v1/jobs", headers=bearer), "unauthorized")


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (rsa.generate_private_key(65537, 2048), "PS256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
    ids=["P-256", "P-384", "RSA", "Ed25519"],
)
def test_keys_of_each_kind_are_taken(api: Api, database: Database, key: SigningKey, algorithm: str) -> None:
    add_client(database, "new", Role.AUDITOR, None, key_from_pem(public_pem(key)), now=NOW)
    answer = token(api, assertion(key, kid(key), "new", algorithm=algorithm))
    assert answer.json()["scope"] == "auditor"


def test_the_kid_is_the_thumbprint_of_rfc_7638() -> None:
    """The key of RFC 7638 section 3.1."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn"
        "1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    public = jwt.PyJWK({"kty": "RSA", "n": n, "e": "AQAB", "alg": "PS256"}).key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert key_from_pem(pem).kid == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize(
    "claims",
    [{"aud": URL}, {"aud": ["https://other.example", URL]}, {"iat": None}, {"nbf": int(NOW.timestamp())}],
    ids=["issuer", "several", "no iat", "nbf"],
)
def test_claims_may_say_it_in_more_ways(api: Api, sign: Any, claims: dict[str, object]) -> None:
    assert token(api, sign(**claims)).status_code == 200


# --- refused ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example/v1/token"},
        {"aud": None},
        {"aud": []},
        {"aud": 7},
        {"iss": "operator"},
        {"sub": "operator"},
        {"iss": None},
        {"exp": int(NOW.timestamp()) - 31},
        {"exp": int(NOW.timestamp()) + HOUR},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 1e300},
        {"nbf": int(NOW.timestamp()) + HOUR},
        {"iat": int(NOW.timestamp()) + HOUR},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 201},
    ],
    ids=str,
)
def test_a_claim_that_does_not_hold_is_refused(api: Api, sign: Any, claims: dict[str, object]) -> None:
    refused(token(api, sign(**claims)))


def test_an_assertion_is_taken_once(api: Api, sign: Any) -> None:
    assert token(api, sign()).status_code == 200
    refused(token(api, sign()))
    api.clock.forward(89)  # within the skew after its end it still does not pass
    refused(token(api, sign()))
    assert token(api, sign(jti="second", exp=int(api.clock().timestamp()) + 60)).status_code == 200


def test_taken_assertions_are_forgotten_once_they_are_over(api: Api, sign: Any, database: Database) -> None:
    token(api, sign())
    api.clock.forward(HOUR)
    later = int(api.clock().timestamp())
    assert token(api, sign(jti="second", exp=later + 60, iat=later)).status_code == 200
    with database.reading() as connection:
        assert len(connection.execute(client_assertion.select()).all()) == 1


def test_an_unsecured_or_a_confused_algorithm_is_refused(api: Api, keys: dict[str, SigningKey]) -> None:
    """RFC 8725 §2.1: `none`, and HMAC under the public key taken for a secret."""
    claims = {"iss": "padis", "sub": "padis", "aud": URL, "exp": int(NOW.timestamp()) + 60, "jti": "first"}
    named = {"kid": kid(keys["padis"])}
    for algorithm in ("none", "None", "NONE", "", None, "HS256", 7, ["ES256"]):
        refused(token(api, unsecured({"alg": algorithm, **named}, claims)))
    for algorithm, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384)):
        signed = unsecured({"alg": algorithm, "typ": "JWT", **named}, claims).rsplit(".", 1)[0]
        mac = hmac.new(public_pem(keys["padis"]), signed.encode(), digest).digest()
        refused(token(api, f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"))
    refused(token(api, unsecured({"alg": "ES256", **named}, claims, bytes(64))))
    refused(token(api, unsecured({"alg": "ES256", "crit": ["b64"], "b64": False, **named}, claims, bytes(64))))


def test_an_algorithm_of_another_key_is_refused(api: Api, keys: dict[str, SigningKey]) -> None:
    other = rsa.generate_private_key(65537, 2048)
    refused(token(api, assertion(other, kid(keys["padis"]), "padis", algorithm="PS256")))
    refused(token(api, assertion(other, kid(keys["padis"]), "padis", algorithm="RS256")))


def test_another_key_under_the_name_of_a_registered_one_is_refused(api: Api, keys: dict[str, SigningKey]) -> None:
    refused(token(api, assertion(signing_key(), kid(keys["padis"]), "padis")))
    refused(token(api, assertion(keys["operator"], kid(keys["operator"]), "padis")))


def test_an_unknown_key_is_refused(api: Api) -> None:
    stranger = signing_key()
    refused(token(api, assertion(stranger, kid(stranger), "padis")))
    refused(token(api, assertion(stranger, "", "padis")))
    refused(token(api, assertion(stranger, "x" * 3000, "padis")))


def test_a_certificates_name_is_no_key_for_assertions(
    api: Api, database: Database, keys: dict[str, SigningKey]
) -> None:
    assert not [row for row in api.callers.values() if len(row.kid) == 64]
    refused(token(api, assertion(keys["padis"], "0" * 64, "padis")))


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "..", "é.é.é", "e30.e30.e30", "a" * 60_000])
def test_what_is_no_jwt_is_refused(api: Api, text: str) -> None:
    refused(token(api, text))


@pytest.mark.parametrize("whole", [True, False], ids=["the client", "its key"])
def test_a_revoked_key_opens_nothing_and_its_tokens_end_at_once(
    api: Api, database: Database, sign: Any, keys: dict[str, SigningKey], whole: bool
) -> None:
    bearer = {"authorization": f"Bearer {token(api, sign()).json()['access_token']}"}
    assert api.nobody.get("/v1/jobs", headers=bearer).status_code == 200
    revoke_client(database, "padis", None if whole else kid(keys["padis"]), NOW)
    problem(api.nobody.get("/v1/jobs", headers=bearer), "unauthorized")
    refused(token(api, sign(jti="second")))


# --- the form -----------------------------------------------------------------------------------------------------
def test_the_other_errors_are_those_of_rfc_6749(api: Api, sign: Any) -> None:
    def error(answer: httpx.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["error"]

    def post(data: dict[str, Any]) -> httpx.Response:
        return api.nobody.post("/v1/token", data=data)

    assert error(post({"client_assertion": sign()})) == (400, "invalid_request")
    assert error(post({"grant_type": ["client_credentials", "password"]})) == (400, "invalid_request")
    assert error(post(form(sign()) | {"grant_type": "password"})) == (400, "unsupported_grant_type")
    assert error(post(form(sign()) | {"client_assertion_type": "basic"})) == (401, "invalid_client")
    assert error(post(form(sign(jti="a"), client_id="operator"))) == (401, "invalid_client")
    assert error(post(form(sign(jti="b"), scope="operator"))) == (400, "invalid_scope")
    assert post(form(sign(jti="c"), client_id="padis", scope="document-system")).status_code == 200


def test_the_forms_body_has_its_type_and_its_limit(api: Api) -> None:
    def post(content: bytes, kind: str = "application/x-www-form-urlencoded") -> httpx.Response:
        return api.nobody.post("/v1/token", content=content, headers={"content-type": kind})

    problem(post(b"{}", "application/json"), "unsupported-media-type")
    problem(post(b"x" * 70_000), "too-large")
    for content in (b"", b"\xff=\xff", b"%ff=%fe", b"a&" * 1000, b"&&&", b"grant_type"):
        answer = post(content)
        assert answer.status_code == 400
        assert answer.json()["error"] in ("invalid_request", "unsupported_grant_type")

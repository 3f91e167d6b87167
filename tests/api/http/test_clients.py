"""Clients are registered and revoked by command: which keys are taken, and that all of it is an event."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from api.client_keys import KeyRefused, certificate_from_pem, key_from_pem
from api.clients import ClientRefused, Role, add_client, list_clients, revoke_client
from personalization.audit import events_after
from personalization.store.database import Database
from tests.api.http.certificates import self_signed
from tests.api.http.in_process import public_pem, signing_key
from tests.personalization.engine.made_up import NOW, kinds_of_events


def register(database: Database, client_id: str = "padis", role: Role = Role.AUDITOR, source: str | None = None) -> str:
    key = key_from_pem(public_pem(signing_key()))
    add_client(database, client_id, role, source, key, now=NOW)
    return key.kid


def test_a_client_has_keys_that_come_and_go(database: Database) -> None:
    first, second = register(database), register(database)
    assert revoke_client(database, "padis", first, NOW) == 1
    (client,) = list_clients(database)
    assert [(key.kid, key.revoked_at) for key in client.keys if key.kid == second] == [(second, None)]
    assert client.disabled_at is None
    assert revoke_client(database, "padis", None, NOW) == 1
    (client,) = list_clients(database)
    assert client.disabled_at == NOW
    assert all(key.revoked_at == NOW for key in client.keys)
    assert revoke_client(database, "padis", None, NOW) == 0
    assert kinds_of_events(database) == ["client.added"] * 2 + ["client.revoked"] * 2
    events = events_after(database, 0)
    assert [event.body["key"] for event in events] == [first, second, first, second]
    assert events[0].body["detail"] == {"client": "padis", "role": "auditor", "kind": "jwt"}


@pytest.mark.parametrize(
    ("client_id", "role", "source", "sentence"),
    [
        ("Padis", Role.AUDITOR, None, "a client id"),
        ("", Role.AUDITOR, None, "a client id"),
        ("x" * 41, Role.AUDITOR, None, "a client id"),
        ("padis\n", Role.AUDITOR, None, "a client id"),
        ("padis", Role.DOCUMENT_SYSTEM, None, "names its --source"),
        ("padis", Role.OPERATOR, "padis", "names its --source"),
        ("padis", Role.DOCUMENT_SYSTEM, "x" * 21, "a source's name"),
        ("known", Role.OPERATOR, None, "another role needs another id"),
        ("gone", Role.AUDITOR, None, "under another id"),
    ],
)
def test_what_is_not_registered(
    database: Database, client_id: str, role: Role, source: str | None, sentence: str
) -> None:
    register(database, "known")
    register(database, "gone")
    revoke_client(database, "gone", None, NOW)
    before = list_clients(database), kinds_of_events(database)
    with pytest.raises(ClientRefused, match=sentence):
        register(database, client_id, role, source)
    assert (list_clients(database), kinds_of_events(database)) == before


def test_a_key_is_one_clients_and_once_revoked_nobodys(database: Database) -> None:
    key = key_from_pem(public_pem(signing_key()))
    add_client(database, "padis", Role.AUDITOR, None, key, now=NOW)
    for client_id in ("padis", "other"):
        with pytest.raises(ClientRefused, match="registered, or was once"):
            add_client(database, client_id, Role.AUDITOR, None, key, now=NOW)
    revoke_client(database, "padis", key.kid, NOW)
    with pytest.raises(ClientRefused):
        add_client(database, "padis", Role.AUDITOR, None, key, now=NOW)
    with pytest.raises(ClientRefused, match="no such key"):
        revoke_client(database, "padis", key.kid, NOW)
    with pytest.raises(ClientRefused, match="no client"):
        revoke_client(database, "nobody", None, NOW)


@pytest.mark.parametrize(
    "private",
    [
        rsa.generate_private_key(65537, 1024),  # noqa: S505 - refused
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        dsa.generate_private_key(2048),
        X25519PrivateKey.generate(),
    ],
    ids=["RSA 1024", "P-521", "secp256k1", "DSA", "X25519"],
)
def test_other_keys_are_refused(private: rsa.RSAPrivateKey) -> None:
    with pytest.raises(KeyRefused, match="none of"):
        key_from_pem(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_a_private_key_is_refused_and_not_kept() -> None:
    pem = signing_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(KeyRefused, match="pubout"):
        key_from_pem(pem)
    with pytest.raises(KeyRefused):
        key_from_pem(b"")


def test_a_certificate_must_be_a_clients_and_valid_today(tmp_path: Path) -> None:
    today = datetime.now(UTC)

    def read(certificate: Path) -> None:
        certificate_from_pem(certificate.read_bytes(), today)

    read(self_signed(tmp_path, "client")[0])
    read(self_signed(tmp_path, "any", usage=None)[0])
    with pytest.raises(KeyRefused, match="client authentication"):
        read(self_signed(tmp_path, "server", usage=ExtendedKeyUsageOID.SERVER_AUTH)[0])
    with pytest.raises(KeyRefused, match="not valid today"):
        read(self_signed(tmp_path, "over", ends=timedelta(minutes=-1))[0])
    with pytest.raises(KeyRefused, match="not valid today"):
        read(self_signed(tmp_path, "early", begins=timedelta(hours=1))[0])
    with pytest.raises(KeyRefused, match="not a certificate"):
        read(self_signed(tmp_path, "key")[1])

"""Machine clients: who they are, in which role, and by which keys; registered and revoked by command, as events."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from api.client_keys import ClientKey, KeyKind
from personalization.audit import Event, record_events
from personalization.errors import EngineError
from personalization.store.database import Database
from personalization.store.tables import client, client_assertion, client_key

CLIENT_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
SOURCE = re.compile(r"[a-z][a-z0-9-]{0,19}")
ACTOR = "command-line"


class Role(StrEnum):
    """What a client may do; each route names the roles it takes."""

    DOCUMENT_SYSTEM = "document-system"
    OPERATOR = "operator"
    AUDITOR = "auditor"


class ClientRefused(EngineError):
    """A client cannot be registered or revoked as asked; the sentence says why."""


class AssertionRepeated(EngineError):
    """This client assertion was taken before."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, in which role; `source` names whose records a document system hands over. `kid`: by which key."""

    client_id: str
    role: Role
    source: str | None
    kid: str

    @property
    def actor(self) -> str:
        """How events name this caller."""
        return f"client:{self.client_id}"


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A registered key as it is listed."""

    kid: str
    kind: KeyKind
    added_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """A registered client as it is listed, with its keys, oldest first."""

    id: str
    role: Role
    source: str | None
    created_at: datetime
    disabled_at: datetime | None
    keys: tuple[KeyEntry, ...]


def add_client(
    database: Database, client_id: str, role: Role, source: str | None, key: ClientKey, *, now: datetime
) -> None:
    """Register a client with a key, or one more key of a client. Raises `ClientRefused`."""
    if not CLIENT_ID.fullmatch(client_id):
        raise ClientRefused(
            "a client id has 1 to 40 of a-z, 0-9, full stop and hyphen, and starts with a letter or digit"
        )
    if (role is Role.DOCUMENT_SYSTEM) != (source is not None):
        raise ClientRefused("a document-system, and no other role, names its --source")
    if source is not None and not SOURCE.fullmatch(source):
        raise ClientRefused("a source's name has 1 to 20 of a-z, 0-9 and hyphen, and starts with a letter")
    try:
        with database.begin() as connection:
            _check_same(connection, client_id, role, source, now)
            connection.execute(
                insert(client_key).values(
                    kid=key.kid, client_id=client_id, kind=key.kind, public=key.public, added_at=now
                )
            )
            detail = (("client", client_id), ("role", str(role)), ("kind", str(key.kind)))
            record_events(connection, Event("client.added", now, ACTOR, key=key.kid, detail=detail))
    except IntegrityError:
        raise ClientRefused("this key is registered, or was once; a client gets a key of its own") from None


def _check_same(connection: Connection, client_id: str, role: Role, source: str | None, now: datetime) -> None:
    known = connection.execute(select(client).where(client.c.id == client_id)).first()
    if known is None:
        connection.execute(insert(client).values(id=client_id, role=role, source=source, created_at=now))
        return
    if known.disabled_at is not None:
        raise ClientRefused(f"{client_id} was revoked; register it under another id")
    if (known.role, known.source) != (role, source):
        named = f" of source {known.source}" if known.source else ""
        raise ClientRefused(f"{client_id} is registered as {known.role}{named}; another role needs another id")


def revoke_client(database: Database, client_id: str, kid: str | None, now: datetime) -> int:
    """Revoke a client with all its keys, or only the key `kid`; how many keys. Raises `ClientRefused`."""
    with database.begin() as connection:
        known = connection.execute(select(client.c.disabled_at).where(client.c.id == client_id)).first()
        if known is None:
            raise ClientRefused(f"no client {client_id}; `perso clients list` shows them")
        wanted = client_key.c.client_id == client_id
        if kid is not None:
            wanted &= client_key.c.kid == kid
        kids = connection.execute(
            update(client_key).where(wanted, client_key.c.revoked_at.is_(None)).values(revoked_at=now)
            .returning(client_key.c.kid)
        ).scalars().all()  # fmt: skip
        if kid is not None and not kids:
            raise ClientRefused(f"{client_id} has no such key that is not revoked yet")
        if kid is None and known.disabled_at is None:
            connection.execute(update(client).where(client.c.id == client_id).values(disabled_at=now))
        detail = (("client", client_id), ("scope", "key" if kid else "client"))
        newly = known.disabled_at is None
        for revoked in kids or ((None,) if newly else ()):
            record_events(connection, Event("client.revoked", now, ACTOR, key=revoked, detail=detail))
    return len(kids)


def list_clients(database: Database) -> Sequence[ClientEntry]:
    """All clients in the order of their ids."""
    with database.reading() as connection:
        clients = connection.execute(select(client).order_by(client.c.id)).all()
        keys = connection.execute(select(client_key).order_by(client_key.c.added_at, client_key.c.kid)).all()
    return [
        ClientEntry(
            id=each.id,
            role=Role(each.role),
            source=each.source,
            created_at=each.created_at,
            disabled_at=each.disabled_at,
            keys=tuple(
                KeyEntry(key.kid, KeyKind(key.kind), key.added_at, key.revoked_at)
                for key in keys
                if key.client_id == each.id
            ),
        )
        for each in clients
    ]


def caller_by_key(database: Database, kid: str, kind: KeyKind) -> tuple[Caller, bytes] | None:
    """Who has this key, and its public half; None where it is unknown or revoked."""
    with database.reading() as connection:
        row = connection.execute(
            select(client, client_key.c.public)
            .join(client_key, client_key.c.client_id == client.c.id)
            .where(
                client_key.c.kid == kid,
                client_key.c.kind == kind,
                client_key.c.revoked_at.is_(None),
                client.c.disabled_at.is_(None),
            )
        ).first()
    return None if row is None else (_caller(row, kid), row.public)


def certificates_in_use(database: Database) -> dict[str, bytes]:
    """The registered client certificates that are not revoked: name -> DER."""
    with database.reading() as connection:
        rows = connection.execute(
            select(client_key.c.kid, client_key.c.public).where(
                client_key.c.kind == KeyKind.CERTIFICATE, client_key.c.revoked_at.is_(None)
            )
        ).all()
    return {row.kid: row.public for row in rows}


def take_assertion(database: Database, client_id: str, jti: str, expires_at: datetime, now: datetime) -> None:
    """Note that an assertion (SHA-256 of its jti, hex) was taken. Raises `AssertionRepeated`."""
    try:
        with database.begin() as connection:
            connection.execute(delete(client_assertion).where(client_assertion.c.expires_at < now))
            connection.execute(insert(client_assertion).values(client_id=client_id, jti=jti, expires_at=expires_at))
    except IntegrityError:
        raise AssertionRepeated("this assertion was taken before") from None


def _caller(row: Row[tuple[object, ...]], kid: str) -> Caller:
    return Caller(row.id, Role(row.role), row.source, kid)

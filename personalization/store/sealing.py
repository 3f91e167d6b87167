"""Envelope encryption: every record has a data key of its own, wrapped in the HSM; bodies are AES-256-GCM under it.

Whoever takes the engine's database has ciphertext; whoever takes the key store has wrapped keys; only both and the
HSM together open anything. Erasing the data key erases the record's data (docs/design.md, "Secrets").
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from hsm.ports import DataKeys
from personalization.errors import DataErased, SealBroken
from personalization.store.database import Database
from personalization.store.tables import data_key, sealed_body

NONCE_BYTES = 12


class RecordRef(NamedTuple):
    """Whose data key is meant: record id and revision."""

    record_id: str
    revision: int


class Vault:
    """Seals and opens bodies; keeps the unwrapped data keys of the batch in hand, and forgets them with it."""

    def __init__(self, key_store: Database, hsm: DataKeys) -> None:
        self._key_store = key_store
        self._hsm = hsm
        self._ciphers: dict[RecordRef, AESGCM] = {}

    def create_keys(self, records: Iterable[RecordRef]) -> None:
        """Data keys for new records; a record that has one keeps it. Committed before any body is sealed under it."""
        with self._key_store.begin() as connection:
            for record in records:
                _, wrapped = self._hsm.new_data_key()
                dialect = sqlite if self._key_store.is_sqlite else postgresql
                statement = dialect.insert(data_key).values(
                    record_id=record.record_id, revision=record.revision, wrapped=wrapped
                )
                connection.execute(statement.on_conflict_do_nothing())

    def forget(self) -> None:
        """Drop all unwrapped data keys from memory."""
        self._ciphers.clear()

    def load_keys(self, records: Iterable[RecordRef]) -> None:
        """Unwrap the data keys of a batch, asked for in one query. Raises `DataErased`."""
        missing = [record for record in dict.fromkeys(records) if record not in self._ciphers]
        if not missing:
            return
        with self._key_store.reading() as connection:
            rows = connection.execute(
                select(data_key).where(data_key.c.record_id.in_({record.record_id for record in missing}))
            ).all()
        wrapped = {RecordRef(row.record_id, row.revision): row.wrapped for row in rows}
        for record in missing:
            key = wrapped.get(record)
            if key is None:
                raise DataErased(f"the data of record {record.record_id} has been erased")
            self._ciphers[record] = AESGCM(self._hsm.unwrap_data_key(key))

    def seal(self, connection: Connection, record: RecordRef, owner_id: str, bodies: Mapping[str, bytes]) -> None:
        """Store new bodies in the caller's transaction. Raises `DataErased`."""
        self.seal_batch(connection, ((record, owner_id, bodies),))

    def seal_batch(self, connection: Connection, batch: Sequence[tuple[RecordRef, str, Mapping[str, bytes]]]) -> None:
        """`seal` of several owners' bodies: record, owner id and bodies by kind. Raises `DataErased`."""
        self.load_keys(record for record, _, _ in batch)
        rows = [
            {
                "owner_id": owner_id,
                "kind": kind,
                "record_id": record.record_id,
                "revision": record.revision,
                "body": self._sealed(record, owner_id, kind, clear),
            }
            for record, owner_id, bodies in batch
            for kind, clear in bodies.items()
        ]
        if rows:
            connection.execute(insert(sealed_body), rows)

    def open(self, connection: Connection, owner_id: str, kinds: Iterable[str]) -> dict[str, bytes]:
        """The bodies of these kinds that exist. Raises `DataErased`, `SealBroken`."""
        return self.open_batch(connection, (owner_id,), kinds)[owner_id]

    def open_batch(
        self, connection: Connection, owner_ids: Sequence[str], kinds: Iterable[str]
    ) -> dict[str, dict[str, bytes]]:
        """`open` of several owners' bodies, by owner id. Raises `DataErased`, `SealBroken`."""
        rows = connection.execute(
            select(sealed_body).where(sealed_body.c.owner_id.in_(owner_ids), sealed_body.c.kind.in_(tuple(kinds)))
        ).all()
        self.load_keys(RecordRef(row.record_id, row.revision) for row in rows)
        opened: dict[str, dict[str, bytes]] = {owner_id: {} for owner_id in owner_ids}
        for row in rows:
            opened[row.owner_id][row.kind] = self._opened(
                RecordRef(row.record_id, row.revision), row.owner_id, row.kind, row.body
            )
        return opened

    def erase(self, record: RecordRef) -> None:
        """Erase the data key: from now on nothing sealed under it can be opened by anybody.

        Raises `StoreUnavailable` where a trace may be left in the key store's log: erase again.
        """
        self._ciphers.pop(record, None)
        with self._key_store.begin() as connection:
            connection.execute(
                update(data_key)
                .where(data_key.c.record_id == record.record_id, data_key.c.revision == record.revision)
                .values(wrapped=None, erased_at=self._key_store.now(connection))
            )
        self._key_store.sweep()

    def _sealed(self, record: RecordRef, owner_id: str, kind: str, clear: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ciphers[record].encrypt(nonce, clear, _bound_to(record, owner_id, kind))

    def _opened(self, record: RecordRef, owner_id: str, kind: str, body: bytes) -> bytes:
        nonce, ciphertext = body[:NONCE_BYTES], body[NONCE_BYTES:]
        try:
            return self._ciphers[record].decrypt(nonce, ciphertext, _bound_to(record, owner_id, kind))
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            raise SealBroken(f"the sealed {kind} of {owner_id} does not open") from None


def _bound_to(record: RecordRef, owner_id: str, kind: str) -> bytes:
    """Associated data: a body moved to another row, record or kind does not open."""
    return f"{record.record_id}/{record.revision}/{owner_id}/{kind}".encode()

"""Pull: pages of records and of cancellations are taken from a source, each in one transaction with its cursor."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from personalization.acceptance import (
    RECORD_ID,
    Acceptance,
    Delivered,
    queue_receipt,
    raw_identity,
    withdraw_order,
)
from personalization.records import CheckedRecord
from personalization.sources.port import DocumentSystem, Page, SourceRefused
from personalization.store.database import Database
from personalization.store.sealing import Vault
from personalization.store.tables import received_record, source_cursor

PAGE_RECORDS = 50


class Intake:
    """Pulls from one source; a page is never half taken."""

    def __init__(
        self, *, database: Database, vault: Vault, acceptance: Acceptance, source: DocumentSystem, source_name: str
    ) -> None:
        self._database = database
        self._vault = vault
        self._acceptance = acceptance
        self._source = source
        self._source_name = source_name

    def pull(self, now: datetime) -> int:
        """Take the next page; how many records it held. Raises the source's errors: nothing is then taken."""
        with self._database.reading() as connection:
            after = connection.execute(
                select(source_cursor.c.records_after).where(source_cursor.c.source == self._source_name)
            ).scalar_one_or_none()
        page = self._source.approved_records(after, PAGE_RECORDS)
        if not page.records and page.next in (after, ""):
            return 0  # nothing new: nothing is written
        delivered = self._check(page, now)
        self._acceptance.create_keys(delivered)
        self._answer_nameless(delivered)
        try:
            with self._database.begin() as connection:
                for item in delivered:
                    self._take(connection, item, now)
                self._move_cursor(connection, "records_after", page.next)
        finally:
            self._vault.forget()
        return len(delivered)

    def pull_cancellations(self, now: datetime) -> int:
        """Take newly withdrawn orders; how many."""
        with self._database.reading() as connection:
            after = connection.execute(
                select(source_cursor.c.cancellations_after).where(source_cursor.c.source == self._source_name)
            ).scalar_one_or_none()
        page = self._source.cancellations(after)
        if not page.cancellations and page.next == after:
            return 0
        with self._database.begin() as connection:
            for cancellation in page.cancellations:
                withdraw_order(connection, cancellation.record_id, "intake", now)
            self._move_cursor(connection, "cancellations_after", page.next)
        return len(page.cancellations)

    def _check(self, page: Page, now: datetime) -> tuple[Delivered, ...]:
        positions: Sequence[int | None] = page.positions or (None,) * len(page.records)
        return tuple(
            self._acceptance.check(content, now, position)
            for position, content in zip(positions, page.records, strict=True)
        )

    def _answer_nameless(self, delivered: Sequence[Delivered]) -> None:
        """Refusals under an identifier that is not one of ours are answered at once, and that identifier not kept."""
        for item in delivered:
            record_id, revision = raw_identity(item.content)
            if (
                isinstance(record_id, str)
                and not RECORD_ID.fullmatch(record_id)
                and not isinstance(item.checked, CheckedRecord)
            ):
                with suppress(SourceRefused):  # then nobody is there to be told, and the page goes on
                    self._source.send_receipt(record_id, revision, "rejected", item.checked)

    def _take(self, connection: Connection, item: Delivered, now: datetime) -> None:
        if (
            item.position is not None
            and connection.execute(
                select(received_record.c.id).where(
                    received_record.c.source == self._source_name, received_record.c.position == item.position
                )
            ).first()
        ):
            return  # the same place delivered twice
        answer = self._acceptance.take(connection, self._source_name, item, now)
        queue_receipt(connection, self._source_name, answer, now)

    def _move_cursor(self, connection: Connection, column: str, value: str) -> None:
        changed = connection.execute(
            update(source_cursor).where(source_cursor.c.source == self._source_name).values({column: value})
        ).rowcount
        if changed == 0:
            connection.execute(insert(source_cursor).values({"source": self._source_name, column: value}))

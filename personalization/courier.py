"""Tells the source what it must know: receipts, and what was made as it becomes true; at least once, in order."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from personalization.audit import Event, record_events
from personalization.records import Failure
from personalization.sources.port import DocumentSystem, SourceMalformed, SourceRefused, SourceUnavailable
from personalization.store.database import Database
from personalization.store.tables import source_message

BATCH = 50


def send_messages(database: Database, source: DocumentSystem, source_name: str, now: datetime) -> int:
    """Send what is queued for a source, oldest first; how many went. Stops quietly where the source is away."""
    with database.reading() as connection:
        rows = connection.execute(
            select(source_message)
            .where(
                source_message.c.source == source_name,
                source_message.c.sent_at.is_(None),
                source_message.c.refused.is_(None),
            )
            .order_by(source_message.c.id)
            .limit(BATCH)
        ).all()
    sent: list[int] = []
    refused: dict[int, Event] = {}
    for row in rows:
        body = json.loads(row.body)
        try:
            _send(source, row.kind, body)
        except SourceRefused:
            detail = (("message", row.kind),)
            refused[row.id] = Event("message.refused", now, "courier", body["record_id"], detail=detail)
        except SourceMalformed:
            sent.append(row.id)  # the status said that it was taken; only the body after it cannot be read
        except SourceUnavailable:
            break
        else:
            sent.append(row.id)
    if sent or refused:
        with database.begin() as connection:
            connection.execute(update(source_message).where(source_message.c.id.in_(sent)).values(sent_at=now))
            connection.execute(
                update(source_message).where(source_message.c.id.in_(refused)).values(refused="refused-by-source")
            )
            record_events(connection, *refused.values())
    return len(sent)


def _send(source: DocumentSystem, kind: str, body: dict[str, Any]) -> None:
    if kind == "document":
        source.send_document(body)
        return
    failures = tuple(Failure(**failure) for failure in body["errors"])
    source.send_receipt(body["record_id"], body["revision"], body["outcome"], failures)

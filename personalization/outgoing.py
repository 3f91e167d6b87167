"""What a source is to be told, queued in the transaction of the state it tells about; the courier sends it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select

from personalization.flow import JobId
from personalization.store.tables import blank, certificate, job, received_record, source_message


def queue_message(connection: Connection, source: str, kind: str, body: object, now: datetime) -> None:
    """Queue one message: kind `receipt` or `document`, and its JSON body."""
    _queue(connection, kind, [(source, body)], now)


def _queue(connection: Connection, kind: str, messages: Sequence[tuple[str, object]], now: datetime) -> None:
    rows = [
        {"source": source, "kind": kind, "body": json.dumps(body, sort_keys=True), "queued_at": now}
        for source, body in messages
    ]
    if rows:
        connection.execute(insert(source_message), rows)


def report_document(
    connection: Connection, job_id: JobId, state: str, now: datetime, more: Mapping[str, object] | None = None
) -> None:
    """Queue what is true of a document now: its number, chip and certificate serials, and their states.

    state: `certified`, `verified`, `spoiled` or `cancelled`; `more`: further members of the body. No personal data.
    """
    report_documents(connection, (job_id,), state, now, more)


def report_documents(
    connection: Connection,
    job_ids: Sequence[JobId],
    state: str,
    now: datetime,
    more: Mapping[str, object] | None = None,
) -> None:
    """`report_document` of a batch, in this order; `more` is true of each of them."""
    documents = {
        row.id: row
        for row in connection.execute(
            select(job.c.id, job.c.record_id, job.c.revision, job.c.document_number, blank.c.chip_serial)
            .outerjoin(blank, blank.c.job_id == job.c.id)
            .where(job.c.id.in_(job_ids))
        )
    }
    sources = _sources(connection, [row.record_id for row in documents.values()])
    pairs: dict[str, list[dict[str, str]]] = {}
    for each in connection.execute(
        select(certificate.c.job_id, certificate.c.slot, certificate.c.serial, certificate.c.state)
        .where(certificate.c.job_id.in_(job_ids))
        .order_by(certificate.c.job_id, certificate.c.slot)
    ):
        pairs.setdefault(each.job_id, []).append({"slot": each.slot, "serial": each.serial, "state": each.state})
    messages: list[tuple[str, object]] = []
    for job_id in job_ids:
        row = documents[job_id]
        if row.record_id not in sources or row.document_number is None:
            continue  # no source to tell, or no document that it could have heard of
        body: dict[str, object] = {
            "record_id": row.record_id,
            "revision": row.revision,
            "document_number": row.document_number,
            "state": state,
            "at": now.isoformat(),
            "certificates": pairs.get(job_id, []),
            **(more or {}),
        }
        if row.chip_serial is not None:
            body["chip_serial"] = row.chip_serial
        messages.append((sources[row.record_id], body))
    _queue(connection, "document", messages, now)


def _sources(connection: Connection, record_ids: Sequence[str]) -> dict[str, str]:
    """Which source delivered each record, where one did."""
    rows = connection.execute(
        select(received_record.c.record_id, received_record.c.source)
        .where(received_record.c.record_id.in_(record_ids), received_record.c.outcome == "accepted")
        .distinct()
    )
    return {row.record_id: row.source for row in rows}

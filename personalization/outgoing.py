"""What a source is to be told, queued in the transaction of the state it tells about; the courier sends it."""

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, insert, select

from personalization.flow import JobId
from personalization.store.tables import blank, certificate, job, received_record, source_message


def queue_message(connection: Connection, source: str, kind: str, body: object, now: datetime) -> None:
    """Queue one message: kind `receipt` or `document`, and its JSON body."""
    connection.execute(
        insert(source_message).values(source=source, kind=kind, body=json.dumps(body, sort_keys=True), queued_at=now)
    )


def report_document(
    connection: Connection, job_id: JobId, state: str, now: datetime, more: Mapping[str, object] | None = None
) -> None:
    """Queue what is true of a document now: its number, chip and certificate serials, and their states.

    state: `certified`, `verified`, `spoiled` or `cancelled`; `more`: further members of the body. No personal data.
    """
    row = connection.execute(
        select(job.c.record_id, job.c.revision, job.c.document_number, blank.c.chip_serial)
        .outerjoin(blank, blank.c.job_id == job.c.id)
        .where(job.c.id == job_id)
    ).one()
    source = connection.execute(
        select(received_record.c.source).where(received_record.c.record_id == row.record_id).limit(1)
    ).scalar_one_or_none()
    if source is None or row.document_number is None:
        return  # no source to tell, or no document that it could have heard of
    pair = connection.execute(
        select(certificate.c.slot, certificate.c.serial, certificate.c.state)
        .where(certificate.c.job_id == job_id)
        .order_by(certificate.c.slot)
    ).all()
    body: dict[str, object] = {
        "record_id": row.record_id,
        "revision": row.revision,
        "document_number": row.document_number,
        "state": state,
        "at": now.isoformat(),
        "certificates": [{"slot": each.slot, "serial": each.serial, "state": each.state} for each in pair],
        **(more or {}),
    }
    if row.chip_serial is not None:
        body["chip_serial"] = row.chip_serial
    queue_message(connection, source, "document", body, now)

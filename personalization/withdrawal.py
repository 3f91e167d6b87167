"""Taking an order back: cancelled at the source, or replaced by a higher revision.

A card that was already touched is destroyed as spoiled, its pair revoked; nothing of it is handed out.
"""

from datetime import datetime

from sqlalchemy import Connection, select, update

from personalization.audit import Event, record_events
from personalization.centre import stock
from personalization.flow import ChipSerial, JobId, JobState
from personalization.outgoing import report_document
from personalization.store.tables import blank, card_key, certificate, job, order


def withdraw_jobs(connection: Connection, record_id: str, reason: str, now: datetime, *, actor: str = "intake") -> int:
    """Cancel the record's jobs that are active or done; how many. A card in a station is spoiled by that station.

    The owner of a claimed job finds its next write refused and drops the work. The fence stays: taking a new one here,
    job by job, would lock job and fence counter in the other order than `claim` does.
    """
    lock_order(connection, record_id)
    rows = connection.execute(
        select(job.c.id, job.c.state).where(
            job.c.record_id == record_id, job.c.state.not_in((JobState.FAILED, JobState.CANCELLED))
        )
    ).all()
    for row in rows:
        connection.execute(
            update(job).where(job.c.id == row.id).values(state=JobState.CANCELLED, reason_code=reason, finished_at=now)
        )
        revoke_pair(connection, row.id, "cessationOfOperation", now)
        destroy_keys(connection, row.id, now)
        report_document(connection, row.id, "cancelled", now)
        card = connection.execute(select(blank.c.chip_serial, blank.c.state).where(blank.c.job_id == row.id)).first()
        if card is not None and card.state == stock.GOOD:
            stock.withdraw_good(connection, ChipSerial(card.chip_serial), now)
        record_events(connection, Event("job.cancelled", now, actor, record_id, row.id, detail=(("reason", reason),)))
    return len(rows)


def lock_order(connection: Connection, record_id: str) -> None:
    """Whoever ends a job and starts another takes the order first: a remake must not slip past a withdrawal."""
    connection.execute(select(order.c.record_id).where(order.c.record_id == record_id).with_for_update())


def revoke_pair(connection: Connection, job_id: JobId, reason: str, now: datetime) -> int:
    """Revoke every certificate of a job, issued or only intended; a revocation is never undone."""
    changed = connection.execute(
        update(certificate)
        .where(certificate.c.job_id == job_id, certificate.c.state != "revoked")
        .values(state="revoked", state_since=now, revocation_reason=reason)
    ).rowcount
    if changed:
        record_events(
            connection, Event("certificates.revoked", now, "engine", job_id=job_id, detail=(("reason", reason),))
        )
    return changed


def destroy_keys(connection: Connection, job_id: JobId, now: datetime) -> None:
    """Destroy the wrapped private keys of a job: the card has them, or nobody shall."""
    changed = connection.execute(
        update(card_key)
        .where(card_key.c.job_id == job_id, card_key.c.wrapped.is_not(None))
        .values(wrapped=None, destroyed_at=now)
    ).rowcount
    if changed:
        record_events(
            connection, Event("keys.destroyed", now, "engine", job_id=job_id, detail=(("count", str(changed)),))
        )

"""A card that failed: its blank is counted as spoiled, its pair revoked, and the document made again, first of all."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from card_profiles.profile import load_profile
from personalization.audit import Event, record_events
from personalization.centre import stock
from personalization.flow import ChipSerial, JobId, JobRef, JobState, Priority
from personalization.intake import take_number
from personalization.store.jobs import NewJob, enqueue, set_aside
from personalization.store.tables import job
from personalization.withdrawal import destroy_keys, revoke_pair

MAXIMUM_ATTEMPTS = 3


def spoil_and_remake(
    connection: Connection, ref: JobRef, *, station: str, chip_serial: ChipSerial | None, reason: str, now: datetime
) -> None:
    """End the job as failed and queue its remake, all in the caller's transaction.

    The remake is a new job of the same order with a new number, pair and EF.SOD. After `MAXIMUM_ATTEMPTS` cards it is
    held for people: something is wrong that another blank will not mend.
    """
    set_aside(connection, ref, JobState.FAILED, reason, now=now, after=timedelta(0))
    if chip_serial is not None:
        stock.settle(connection, chip_serial, station, good=False, now=now)
    revoke_pair(connection, ref.id, "cessationOfOperation", now)
    destroy_keys(connection, ref.id, now)
    detail = (("reason", reason),)
    record_events(connection, Event("card.spoiled", now, station, ref.record_id, ref.id, chip_serial, detail=detail))
    profile = load_profile(ref.profile_id)
    remake = NewJob(
        id=JobId(f"{ref.record_id}-r{ref.revision}-a{ref.attempt + 1}"),
        record_id=ref.record_id,
        revision=ref.revision,
        attempt=ref.attempt + 1,
        profile_id=profile.id,
        document_number=take_number(connection, profile),
        priority=min(Priority.REMAKE, _priority(connection, ref)),
        hold_reason=None if ref.attempt < MAXIMUM_ATTEMPTS else "spoiled-too-often",
    )
    enqueue(connection, remake, now)
    record_events(connection, Event("job.remade", now, station, ref.record_id, remake.id, detail=detail))
    if remake.hold_reason is not None:
        held = (("reason", remake.hold_reason),)
        record_events(connection, Event("job.held", now, station, ref.record_id, remake.id, detail=held))


def _priority(connection: Connection, ref: JobRef) -> Priority:
    return Priority(connection.execute(select(job.c.priority).where(job.c.id == ref.id)).scalar_one())

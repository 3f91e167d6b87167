"""A card that failed: its blank is counted as spoiled, its pair revoked, and the document made again, first of all."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select

from card_profiles.profile import load_profile
from personalization.audit import Event, record_events
from personalization.centre import stock
from personalization.document_numbers import take_number
from personalization.flow import ChipSerial, JobId, JobRef, JobState, Priority, Stage
from personalization.outgoing import report_document
from personalization.store.jobs import NewJob, enqueue, set_aside
from personalization.store.sealing import RecordRef, Vault
from personalization.store.tables import job, job_step
from personalization.withdrawal import destroy_keys, lock_order, revoke_pair

MAXIMUM_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class FailedInspection:
    """What is kept of an inspection that ended a card: the step's result (verdicts), its reports in clear, its time."""

    result: Mapping[str, object]
    bodies: Mapping[str, bytes]
    milliseconds: int


def spoil_and_remake(
    connection: Connection,
    ref: JobRef,
    *,
    station: str,
    chip_serial: ChipSerial | None,
    reason: str,
    now: datetime,
    inspection: FailedInspection | None = None,
    vault: Vault | None = None,
) -> None:
    """End the job as failed and queue its remake, all in the caller's transaction.

    The remake is a new job of the same order with a new number, pair and EF.SOD. After `MAXIMUM_ATTEMPTS` cards it is
    held for people: something is wrong that another blank will not mend. The `inspection` that failed, if one did, is
    kept with the job, its reports sealed by `vault`.
    """
    lock_order(connection, ref.record_id)
    set_aside(connection, ref, JobState.FAILED, reason, now=now, after=timedelta(0))
    if inspection is not None and vault is not None:
        _keep(connection, vault, ref, inspection, now)
    if chip_serial is not None:
        stock.settle(connection, chip_serial, station, good=False, now=now)
    revoke_pair(connection, ref.id, "cessationOfOperation", now)
    destroy_keys(connection, ref.id, now)
    report_document(connection, ref.id, "spoiled", now)
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


def _keep(connection: Connection, vault: Vault, ref: JobRef, inspection: FailedInspection, now: datetime) -> None:
    # A failed job never runs again, so that nobody takes this step for a finished one.
    connection.execute(
        insert(job_step).values(
            job_id=ref.id,
            stage=Stage.INSPECT,
            result=json.dumps(inspection.result, sort_keys=True),
            fence=ref.fence,
            finished_at=now,
            milliseconds=inspection.milliseconds,
        )
    )
    vault.seal(connection, RecordRef(ref.record_id, ref.revision), ref.id, inspection.bodies)

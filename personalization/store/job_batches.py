"""What `personalization.store.jobs` does to one job, done to a batch of jobs in a few statements.

A preparing worker holds fifty jobs at a time; asking the database for each of them apart would cost more than their
keys. Jobs of a batch may stand under several owners and fences; each group is held by its own.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from personalization.errors import FencedOut
from personalization.flow import JobId, JobRef, JobState, Stage
from personalization.store.jobs import LEASE
from personalization.store.tables import intent, job, job_step


def check_fences(connection: Connection, refs: Sequence[JobRef], now: datetime) -> None:
    """`jobs.check_fence` of them all. Raises `FencedOut` where one is no longer ours."""
    _update_held(connection, refs, {"lease_until": now + LEASE})


def finish_stages(
    connection: Connection,
    stage: Stage,
    results: Sequence[tuple[JobRef, Mapping[str, object]]],
    *,
    now: datetime,
    milliseconds: int,
    to: Stage,
    keep: bool,
) -> None:
    """`jobs.finish_stage` of jobs that go on: all move, or none where one was lost. Raises `FencedOut`.

    milliseconds: what one of them took, on average.
    """
    values: dict[str, object] = {"attempts": 0, "reason_code": None, "lease_until": now + LEASE, "stage": to}
    if not keep:
        values |= {"state": JobState.READY, "owner": None, "station": None, "run_after": now}
    _update_held(connection, [ref for ref, _ in results], values)
    rows = [
        {
            "job_id": ref.id,
            "stage": stage,
            "result": json.dumps(result, sort_keys=True),
            "fence": ref.fence,
            "finished_at": now,
            "milliseconds": milliseconds,
        }
        for ref, result in results
    ]
    try:
        if rows:
            connection.execute(insert(job_step), rows)
    except IntegrityError:
        raise FencedOut(f"stage {stage} of a job of the batch was finished by another owner") from None


def store_intents(connection: Connection, stage: Stage, wanted: Sequence[tuple[JobRef, str]], now: datetime) -> None:
    """`jobs.store_intent` of them all: what is going to be done, once; a key stored earlier is kept.

    Raises `FencedOut`.
    """
    check_fences(connection, [ref for ref, _ in wanted], now)
    stored = set(
        connection.execute(
            select(intent.c.job_id).where(intent.c.job_id.in_(_ids(ref for ref, _ in wanted)), intent.c.stage == stage)
        ).scalars()
    )
    rows = [
        {"job_id": ref.id, "stage": stage, "effect_key": effect_key, "fence": ref.fence, "stored_at": now}
        for ref, effect_key in wanted
        if ref.id not in stored
    ]
    if rows:
        connection.execute(insert(intent), rows)


def _update_held(connection: Connection, refs: Sequence[JobRef], values: Mapping[str, object]) -> None:
    held = sorted(refs, key=_holder)
    for (owner, fence), group in groupby(held, _holder):
        ids = _ids(group)
        changed = connection.execute(
            update(job)
            .where(job.c.id.in_(ids), job.c.owner == owner, job.c.fence == fence, job.c.state == JobState.CLAIMED)
            .values(**values)
        ).rowcount
        if changed != len(ids):
            raise FencedOut(f"a job of the batch is no longer held under fence {fence}")


def _holder(ref: JobRef) -> tuple[str, int]:
    return ref.owner, ref.fence


def _ids(refs: Iterable[JobRef]) -> list[JobId]:
    return [ref.id for ref in refs]

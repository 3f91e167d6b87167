"""Stage `keys`: the holder's pairs, made in the HSM as session objects; the private half leaves only wrapped.

Power cut: nothing is stored, so nothing refers to the lost keys and new ones are made; or the wrapped blobs and the
step are stored together, and are adopted.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from card_profiles.codecs.ec_parameters import public_key_info
from card_profiles.model import CardProfile, KeySpec
from card_profiles.profile import load_profile
from hsm.ports import CardKeyMaker, PublicKey, WrappedCardKey
from personalization.audit import Event, record_events
from personalization.errors import Halt
from personalization.flow import CURVES, AcceptedJob, JobId, JobRef, KeyedJob, Stage, StoredKey
from personalization.store.database import Database
from personalization.store.job_batches import finish_stages
from personalization.store.tables import card_key


def make_keys(
    database: Database, hsm: CardKeyMaker, jobs: Sequence[AcceptedJob], now: datetime
) -> tuple[KeyedJob, ...]:
    """Keys for every slot of every job of the batch, stored in one transaction."""
    started = time.monotonic()
    made = _make(hsm, jobs)
    milliseconds = int((time.monotonic() - started) * 1000 / max(len(jobs), 1))
    with database.begin() as connection:
        finish_stages(
            connection,
            Stage.KEYS,
            [(job.ref, {"slots": sorted(made[job.ref.id])}) for job in jobs],
            now=now,
            milliseconds=milliseconds,
            to=Stage.CERTIFY,
            keep=True,
        )
        _store(connection, [(job.ref, made[job.ref.id]) for job in jobs if made[job.ref.id]], now)
    return tuple(
        KeyedJob(job, {slot: StoredKey(pair.public, pair.wrapped) for slot, pair in made[job.ref.id].items()})
        for job in jobs
    )


def key_specs(job: AcceptedJob) -> tuple[KeySpec, ...]:
    """The key slots that this job fills: none where certificates are not wanted."""
    profile: CardProfile = load_profile(job.ref.profile_id)
    return profile.keys if job.record.certificates.wanted else ()


def load_keys(connection: Connection, job_id: JobId) -> Mapping[str, StoredKey]:
    """The stored keys of a job by slot. Raises `Halt` where a private half is gone though the job still needs it."""
    rows = connection.execute(select(card_key).where(card_key.c.job_id == job_id)).all()
    if any(row.wrapped is None for row in rows):
        raise Halt("key-destroyed", f"job {job_id} goes on but its keys were destroyed")
    return {row.slot: StoredKey(PublicKey(CURVES[row.curve], row.point), row.wrapped) for row in rows}


def spki_digest(public: PublicKey) -> str:
    """SHA-256 of the SubjectPublicKeyInfo with a named curve, in hex."""
    return hashlib.sha256(public_key_info(public.curve.value, public.point, explicit=False)).hexdigest()


def _make(hsm: CardKeyMaker, jobs: Sequence[AcceptedJob]) -> dict[JobId, dict[str, WrappedCardKey]]:
    """Slot -> pair of every job; curve by curve."""
    wanted = [(job.ref.id, spec) for job in jobs for spec in key_specs(job)]
    made: dict[JobId, dict[str, WrappedCardKey]] = {job.ref.id: {} for job in jobs}
    for curve in sorted({spec.curve for _, spec in wanted}):
        slots = [(job_id, spec.slot) for job_id, spec in wanted if spec.curve == curve]
        pairs = hsm.make_card_keys(CURVES[curve], len(slots))
        for (job_id, slot), pair in zip(slots, pairs, strict=True):
            made[job_id][slot] = pair
    return made


def _store(connection: Connection, made: Sequence[tuple[JobRef, Mapping[str, WrappedCardKey]]], now: datetime) -> None:
    rows = [
        {
            "job_id": ref.id,
            "slot": slot,
            "curve": pair.public.curve.value,
            "point": pair.public.point,
            "spki_sha256": spki_digest(pair.public),
            "wrapped": pair.wrapped,
        }
        for ref, keys in made
        for slot, pair in keys.items()
    ]
    if not rows:
        return
    try:
        connection.execute(insert(card_key), rows)
    except IntegrityError:
        raise Halt("public-key-seen", "the HSM made a key that was seen before") from None
    record_events(
        connection,
        *(
            Event("job.keyed", now, ref.owner, ref.record_id, ref.id, detail=(("slots", str(len(keys))),))
            for ref, keys in made
        ),
    )

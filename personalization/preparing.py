"""The preparing worker: keys, pairs and images of many jobs ahead of encoding, so that a station never waits."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from hsm.errors import HsmError, HsmUnavailable
from personalization.acceptance import open_jobs
from personalization.audit import Event, record_events
from personalization.errors import DataErased, EngineError, FencedOut, place_of
from personalization.face import FaceRefused
from personalization.flow import AcceptedJob, CertifiedJob, JobRef, JobState, KeyedJob, Stage
from personalization.portrait import PortraitTooLarge
from personalization.stages.certify import CertificateTooLarge, Certification, load_certificates
from personalization.stages.image import Imaging
from personalization.stages.keys import load_keys
from personalization.store.database import Database
from personalization.store.jobs import claim, current_stage, set_aside
from personalization.store.sealing import Vault
from pki.errors import LintRefused, SubjectRefused, ValidityRefused

BATCH_JOBS = 50
"""Small enough that a crash costs little and the first card is soon ready, large enough that commits do not count."""


log = logging.getLogger("perso")

REFUSALS = (
    LintRefused,
    SubjectRefused,
    ValidityRefused,
    CertificateTooLarge,
    FaceRefused,
    PortraitTooLarge,
    DataErased,
)
"""This document cannot be made as it is: held with a reason, for people."""


def reason_of(refused: Exception) -> str:
    """The reason code of a refusal."""
    codes = {
        LintRefused: "certificate-lint",
        SubjectRefused: "certificate-subject",
        ValidityRefused: "certificate-validity",
        CertificateTooLarge: "certificate-too-large",
        FaceRefused: "face-does-not-fit",
        PortraitTooLarge: "portrait-too-large",
        DataErased: "data-erased",
    }
    return codes[type(refused)]


class Preparation:
    """One worker's loop body; the concrete parts are handed in by the assembly."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        make: Callable[[Sequence[AcceptedJob], datetime], tuple[KeyedJob, ...]],
        certification: Certification,
        imaging: Imaging,
        owner: str,
        clock: Callable[[], datetime],
        batch_jobs: int = BATCH_JOBS,
    ) -> None:
        self._database = database
        self._vault = vault
        self._make = make
        self._certification = certification
        self._imaging = imaging
        self._owner = owner
        self._clock = clock
        self._batch_jobs = batch_jobs

    def run_once(self) -> int:
        """Bring one batch as far as it goes; how many jobs it held."""
        for stage in (Stage.IMAGE, Stage.CERTIFY, Stage.KEYS):
            with self._database.begin() as connection:
                refs = claim(
                    connection,
                    stage=stage,
                    owner=self._owner,
                    limit=self._batch_jobs,
                    now=self._database.now(connection),
                )
            if refs:
                try:
                    self._prepare(stage, refs)
                except HsmUnavailable:
                    self._give_back(refs, JobState.RETRY, "hsm-unavailable")
                    raise
                finally:
                    self._vault.forget()
                return len(refs)
        return 0

    def _prepare(self, stage: Stage, refs: Sequence[JobRef]) -> None:
        try:
            self._advance(stage, self._open(refs))
        except FencedOut:
            pass  # cancelled or taken over in between: the next claim sees what is left
        except REFUSALS as refused:
            # One document cannot be made as it is; the others of the batch go on without it.
            self._one_by_one(refs, JobState.HELD, reason_of(refused))
        except (EngineError, HsmError):
            raise  # the database, the HSM or the accounts: no document's fault
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the other documents
            log.error("job %s or its batch: %s at %s", refs[0].id, type(error).__name__, place_of(error))
            self._one_by_one(refs, JobState.UNCLEAR, "unexpected-error")

    def _one_by_one(self, refs: Sequence[JobRef], state: JobState, reason: str) -> None:
        """Find the one that it is about: it alone is set aside."""
        if len(refs) == 1:
            self._give_back(refs, state, reason)
            return
        for ref in refs:
            with self._database.reading() as connection:
                present = current_stage(connection, ref)
            if present is not None:
                self._prepare(present, (ref,))

    def _advance(self, stage: Stage, jobs: Sequence[AcceptedJob]) -> None:
        if stage is Stage.KEYS:
            keyed = self._make(jobs, self._clock())
        else:
            with self._database.reading() as connection:
                # One snapshot: the keys of a job that was withdrawn meanwhile are gone, which is no reason to halt.
                if any(current_stage(connection, job.ref) is None for job in jobs):
                    raise FencedOut("a job of the batch is no longer held")
                keyed = tuple(KeyedJob(job, load_keys(connection, job.ref.id)) for job in jobs)
        if stage is Stage.IMAGE:
            with self._database.reading() as connection:
                certified = tuple(
                    CertifiedJob(job, load_certificates(connection, self._vault, job.accepted.ref)) for job in keyed
                )
        else:
            certified = self._certification.certify(keyed, self._clock())
        self._imaging.build(certified, self._clock())

    def _open(self, refs: Sequence[JobRef]) -> tuple[AcceptedJob, ...]:
        with self._database.reading() as connection:
            return open_jobs(connection, self._vault, refs)

    def _give_back(self, refs: Sequence[JobRef], state: JobState, reason: str) -> None:
        for ref in refs:
            try:
                with self._database.begin() as connection:
                    now = self._clock()
                    set_aside(connection, ref, state, reason, now=now, after=timedelta(seconds=1))
                    if state is not JobState.RETRY:
                        detail = (("reason", reason),)
                        record_events(
                            connection, Event(f"job.{state}", now, self._owner, ref.record_id, ref.id, detail=detail)
                        )
            except FencedOut:
                continue

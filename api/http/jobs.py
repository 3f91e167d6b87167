"""Jobs: listed, read, held, released and cancelled."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from api.clients import Caller, Role
from api.http.answers import problems
from api.http.callers import CancelsJobs, ReadsJobs, SteersJobs
from api.http.problems import Problem
from api.http.schemas import CursorQuery, Job, JobIdPath, Jobs, ReasonQuery, RecordIdQuery
from api.http.service import Service
from personalization import job_control
from personalization.flow import JobId, JobState, Stage
from personalization.views import CursorInvalid, JobFilter, list_jobs, read_job

MOST_JOBS = 500

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
STEERED = problems("job-unknown", "not-possible", "invalid-parameters", "halted")


@router.get("", operation_id="listJobs", responses=problems("invalid-parameters"))
async def get_jobs(  # noqa: PLR0917 - FastAPI calls it by name
    request: Request,
    caller: ReadsJobs,
    state: JobState | None = None,
    stage: Stage | None = None,
    reason: ReasonQuery = None,
    record_id: RecordIdQuery = None,
    cursor: CursorQuery = None,
    limit: Annotated[int, Query(ge=1, le=MOST_JOBS)] = 100,
) -> Jobs:
    """Jobs in the order of their ids, page by page. A document system sees its own."""
    service: Service = request.app.state.service
    wanted = JobFilter(state=state, stage=stage, reason=reason, record_id=record_id)

    def page() -> Jobs:
        return Jobs.of(list_jobs(service.database, wanted, cursor=cursor, limit=limit, source=caller.source))

    try:
        return await run_in_threadpool(page)
    except CursorInvalid:
        failure = {"pointer": "/query/cursor", "rule": "cursor", "message": "Send a `next` as it was given out."}
        raise Problem("invalid-parameters", more={"errors": [failure]}) from None


@router.get("/{job_id}", operation_id="readJob", responses=problems("job-unknown", "invalid-parameters"))
async def get_job(request: Request, job_id: JobIdPath, caller: ReadsJobs) -> Job:
    """A job as it stands: stage, state, document number, chip serial, certificates, steps."""
    return await run_in_threadpool(_read, request.app.state.service, caller, job_id)


@router.post("/{job_id}/hold", operation_id="holdJob", responses=STEERED)
async def hold(request: Request, job_id: JobIdPath, caller: SteersJobs) -> Job:
    """Keep a job from going on until it is released; not while a station has its card in hand."""
    service: Service = request.app.state.service

    def act() -> None:
        job_control.hold(service.database, job_id, actor=caller.actor, now=service.clock())

    return await run_in_threadpool(_steer, service, caller, job_id, act)


@router.post("/{job_id}/release", operation_id="releaseJob", responses=STEERED)
async def release(request: Request, job_id: JobIdPath, caller: SteersJobs) -> Job:
    """Let a held job go on; one that waited for its card profile gets it, if there is one now."""
    service: Service = request.app.state.service

    def act() -> None:
        now = service.clock()
        job_control.release(
            service.database, job_id, actor=caller.actor, now=now, profile_for=service.profile_for
        )  # fmt: skip

    return await run_in_threadpool(_steer, service, caller, job_id, act)


@router.post("/{job_id}/cancel", operation_id="cancelJob", responses=STEERED)
async def cancel(request: Request, job_id: JobIdPath, caller: CancelsJobs) -> Job:
    """Cancel a job: its pair is revoked, a card that was touched is destroyed.

    Called by its document system, the order is withdrawn for good. Called by an operator, only what is made of it now
    ends, and a higher revision of the record may still come.
    """
    service: Service = request.app.state.service
    withdraw = caller.role is Role.DOCUMENT_SYSTEM

    def act() -> None:
        job_control.cancel(service.database, job_id, actor=caller.actor, now=service.clock(), withdraw=withdraw)

    return await run_in_threadpool(_steer, service, caller, job_id, act)


def _steer(service: Service, caller: Caller, job_id: str, act: Callable[[], None]) -> Job:
    _read(service, caller, job_id)  # another source's job is as unknown as none
    try:
        act()
    except job_control.NotPossible as error:
        raise Problem("not-possible", str(error), more={"reason": error.code}) from None
    return _read(service, caller, job_id)


def _read(service: Service, caller: Caller, job_id: str) -> Job:
    view = read_job(service.database, JobId(job_id), caller.source)
    if view is None:
        raise Problem("job-unknown")
    return Job.of(view)

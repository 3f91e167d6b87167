"""The numbered events, for whoever follows along: each once, in order, without gaps; a call may wait for the next."""

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from api.http.answers import problems
from api.http.callers import ReadsEvents
from api.http.schemas import Event, Events
from api.http.service import Service
from personalization.audit import NumberedEvent, events_after
from personalization.store.database import Database
from personalization.views import own_records

LOOK_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 30
MOST_EVENTS = 1000
BIGGEST_NUMBER = 2**31 - 1
RECORD_OF_JOB = re.compile(r"(.+)-r[0-9]+-a[0-9]+")

router = APIRouter(prefix="/v1", tags=["events"])


@router.get(
    "/events",
    operation_id="readEvents",
    response_model_exclude_none=True,
    responses=problems("invalid-parameters"),
)
async def get_events(
    request: Request,
    caller: ReadsEvents,
    after: Annotated[int, Query(ge=0, le=BIGGEST_NUMBER, description="Only events with a higher number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = 500,
    wait: Annotated[
        int, Query(ge=0, le=LONGEST_WAIT_SECONDS, description="Seconds to wait where there is none yet.")
    ] = 0,
) -> Events:
    """Events in the order of their numbers. Of events that concern other sources a document system gets the number."""
    service: Service = request.app.state.service
    clock = asyncio.get_running_loop().time
    deadline = clock() + wait
    while True:
        events = await run_in_threadpool(read_events, service.database, after, limit, caller.source)
        if events or clock() >= deadline or service.stopping() or await request.is_disconnected():
            return Events(events=events, next=events[-1].seq if events else after)
        await asyncio.sleep(LOOK_SECONDS)


def read_events(database: Database, after: int, limit: int, source: str | None) -> list[Event]:
    """Numbered events over `after`; those that are not the source's own withheld."""
    events = events_after(database, after, limit)
    if source is None or not events:
        return [_event(event) for event in events]
    own = _own(database, source, events)
    return [
        _event(event) if _record_of(event.body) in own else Event(seq=event.seq, kind="withheld") for event in events
    ]


def _own(database: Database, source: str, events: Sequence[NumberedEvent]) -> frozenset[str]:
    named = {record for event in events if (record := _record_of(event.body)) is not None}
    with database.reading() as connection:
        return own_records(connection, source, named)


def _record_of(body: dict[str, Any]) -> str | None:
    if "record_id" in body:
        return str(body["record_id"])
    found = RECORD_OF_JOB.fullmatch(body.get("job_id", ""))
    return found[1] if found else None


def _event(event: NumberedEvent) -> Event:
    return Event.model_validate({**event.body, "seq": event.seq, "hash": event.hash})

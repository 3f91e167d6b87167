"""What goes over the wire, as OpenAPI shows it: ids, states, codes and times; nothing of a holder but in a record."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from personalization.acceptance import Answer
from personalization.flow import JobState, Stage
from personalization.views import JobPage, JobView, RecordView

RECORD_ID_PATTERN = r"^(PADIS|VMIS|MFA)-[0-9]{4}-[0-9]{7}$"
JOB_ID_PATTERN = r"^(PADIS|VMIS|MFA)-[0-9]{4}-[0-9]{7}-r[0-9]{1,10}-a[0-9]{1,4}$"
EXAMPLE_RECORD, EXAMPLE_JOB = "PADIS-2026-0000001", "PADIS-2026-0000001-r1-a1"

RecordIdPath = Annotated[str, Path(pattern=RECORD_ID_PATTERN, examples=[EXAMPLE_RECORD])]
JobIdPath = Annotated[str, Path(pattern=JOB_ID_PATTERN, examples=[EXAMPLE_JOB])]
RecordIdQuery = Annotated[str | None, Query(pattern=RECORD_ID_PATTERN, examples=[EXAMPLE_RECORD])]
ReasonQuery = Annotated[str | None, Query(pattern=r"^[a-z][a-z0-9-]{0,59}$", examples=["no-profile"])]
CursorQuery = Annotated[
    str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,80}$", description="`next` of the page before; an opaque text")
]


class Wire(BaseModel):
    """Closed: what is not declared is not sent."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class RecordFailure(Wire):
    """One failure of a record: where (RFC 6901), by which rule, and a sentence that quotes no value."""

    pointer: str = Field(examples=["/holder/birth_date"])
    rule: str = Field(examples=["dates/calendar"])
    message: str


class Accepted(Wire):
    """The receipt of an accepted record."""

    record_id: str
    revision: int
    outcome: Literal["accepted"] = "accepted"
    job_id: str | None = Field(description="The job that makes the document; null where none has been made.")
    repeated: bool = Field(description="This revision was accepted before; nothing was done again.")

    @classmethod
    def of(cls, answer: Answer) -> "Accepted":
        """From the engine's answer, which must be an acceptance."""
        if answer.record_id is None or answer.revision is None:
            raise ValueError("an accepted record has an id and a revision")
        return cls(record_id=answer.record_id, revision=answer.revision, job_id=answer.job_id, repeated=answer.repeated)


class Problem(BaseModel):
    """RFC 9457. `type` is stable; `errors` and `reason` come with the types that name them in docs/api.md."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(pattern=r"^urn:eid-perso:problem:[a-z-]+$")
    title: str
    status: int
    detail: str | None = None
    reason: str | None = None
    record_id: str | None = None
    revision: int | None = None
    errors: list[RecordFailure] | None = None


class BulkLine(BaseModel):
    """One line of the answer to a bulk, in the order of the lines sent.

    outcome `stopped`: with `problem`, and last: this line and those after it were not taken; push them again.
    """

    model_config = ConfigDict(extra="forbid")

    line: int
    outcome: Literal["accepted", "rejected", "stopped"]
    record_id: str | None = None
    revision: int | None = None
    job_id: str | None = None
    repeated: bool = False
    errors: list[RecordFailure] = []
    problem: Problem | None = None


class Certificate(Wire):
    """A certificate of a job's pair."""

    slot: str
    serial: str = Field(description="Capital hexadecimal digits.")
    state: Literal["intent", "on-hold", "good", "revoked"]
    revocation_reason: str | None


class Step(Wire):
    """A finished stage."""

    stage: Stage
    finished_at: datetime
    milliseconds: int


class Job(Wire):
    """A job as it stands."""

    id: str
    record_id: str
    revision: int
    attempt: int
    profile_id: str | None
    document_number: str | None
    stage: Stage
    state: JobState
    reason: str | None = Field(description="Reason code of its state.")
    priority: Literal["immediate", "remake", "fast", "standard"]
    station: str | None
    chip_serial: str | None
    blank_state: str | None
    certificates: list[Certificate]
    steps: list[Step]
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, view: JobView) -> "Job":
        """From the engine's view."""
        members = {name: getattr(view, name) for name in cls.model_fields if name != "priority"}
        return cls.model_validate({**members, "priority": view.priority.name.lower()})


class Jobs(Wire):
    """A page of jobs; `next` is null at the end."""

    jobs: list[Job]
    next: str | None

    @classmethod
    def of(cls, page: JobPage) -> "Jobs":
        """From the engine's page."""
        return cls(jobs=[Job.of(view) for view in page.jobs], next=page.next)


class Receipt(Wire):
    """What was answered when a revision was delivered."""

    revision: int | None
    outcome: Literal["accepted", "rejected"]
    errors: list[RecordFailure]
    received_at: datetime


class Record(Wire):
    """A record: the revision that is made, its receipts and its jobs."""

    record_id: str
    revision: int | None
    document_type: str | None
    urgency: str | None
    withdrawn_at: datetime | None
    receipts: list[Receipt]
    jobs: list[Job]

    @classmethod
    def of(cls, view: RecordView) -> "Record":
        """From the engine's view."""
        members = {name: getattr(view, name) for name in cls.model_fields if name != "jobs"}
        return cls.model_validate({**members, "jobs": [Job.of(each) for each in view.jobs]})


class Event(Wire):
    """A numbered event. One that concerns another source's records is `withheld`: its number, and nothing else."""

    seq: int
    kind: str = Field(examples=["job.keyed"])
    hash: str | None = None
    at: datetime | None = None
    actor: str | None = None
    record_id: str | None = None
    job_id: str | None = None
    blank: str | None = None
    key: str | None = None
    detail: dict[str, str] | None = None


class Events(Wire):
    """Events in the order of their numbers, without gaps; `next` is the `after` of the next call."""

    events: list[Event]
    next: int


class Token(Wire):
    """RFC 6749 §5.1."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a kind of token, not one
    expires_in: int
    scope: str


class TokenError(Wire):
    """RFC 6749 §5.2."""

    error: Literal["invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"]
    error_description: str | None = None

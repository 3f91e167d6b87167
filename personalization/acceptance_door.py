"""The door of the acceptance process: records pushed to the job API come through a pipe, their answers go back.

The process that speaks HTTP has no HSM; the one behind this door has, and decodes every image. It also numbers events
while nothing is pushed, so that they are served also where no clerk runs.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from multiprocessing.connection import Connection as Pipe

from hsm.errors import HsmUnavailable
from personalization.acceptance import Acceptance, Answer
from personalization.audit import pending_count, sequence_events
from personalization.errors import EngineError, Halt, StoreUnavailable, place_of
from personalization.store.database import Database
from personalization.strict_json import JsonMalformed, loads

IDLE_SECONDS = 0.2
READY = "ready"

log = logging.getLogger("perso")


class AcceptanceAway(EngineError):
    """No process takes records at the moment: try again later."""


class Trouble(StrEnum):
    """Why no record of a push was taken."""

    STORE = "store-unavailable"
    HSM = "hsm-unavailable"
    HALTED = "halted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Push:
    """Records of one source as they came in, each the bytes of one JSON text."""

    source: str
    contents: tuple[bytes, ...]
    at: datetime


Reply = tuple[Answer | None, ...] | Trouble
"""For each record its answer (None: it is not JSON), or why none was taken."""


def answer_push(acceptance: Acceptance, push: Push) -> Reply:
    """Take what was pushed, all in one transaction. Raises nothing but `HsmUnavailable`."""
    parsed: list[object] = []
    well_formed = []
    for content in push.contents:
        try:
            parsed.append(loads(content))
        except JsonMalformed:
            well_formed.append(False)
        else:
            well_formed.append(True)
    try:
        answers = iter(acceptance.push(push.source, parsed, push.at))
    except HsmUnavailable:
        raise
    except StoreUnavailable:
        return Trouble.STORE
    except Halt as halt:
        log.error("halt %s: %s", halt.code, halt)
        return Trouble.HALTED
    except Exception as error:  # noqa: BLE001 - its text may quote a record: name the place, never the values
        log.error("a push failed: %s at %s", type(error).__name__, place_of(error))
        return Trouble.FAILED
    return tuple(next(answers) if good else None for good in well_formed)


def serve_pushes(pipe: Pipe, acceptance: Acceptance, database: Database, stopped: Callable[[], bool]) -> None:
    """Answer pushes until told to stop or the other side is gone. Raises `HsmUnavailable`, once that is told."""
    pipe.send(READY)
    while not stopped():
        if not pipe.poll(IDLE_SECONDS):
            _number_events(database)
            continue
        try:
            push: Push = pipe.recv()
        except EOFError:
            return  # the other side is gone, and with it everybody who could be answered
        try:
            reply = answer_push(acceptance, push)
        except HsmUnavailable:
            pipe.send(Trouble.HSM)
            raise
        pipe.send(reply)
        _number_events(database)


def _number_events(database: Database) -> None:
    try:
        with database.reading() as connection:
            waiting = pending_count(connection)
        while waiting > 0 and (numbered := sequence_events(database)):
            waiting -= numbered
    except StoreUnavailable:
        log.warning("waiting: the database does not answer")

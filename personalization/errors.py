"""The engine's errors. Three failures only: retry, reject, halt; what is unclear belongs to people."""

from pathlib import Path


class EngineError(Exception):
    """Base of this room's errors; messages never hold personal data."""


class StoreUnavailable(EngineError):
    """The database does not answer: try again later."""


class FencedOut(EngineError):
    """Another owner has the job now: drop the work, write nothing."""


class DataErased(EngineError):
    """The record's data key was erased; its sealed bodies cannot be opened any more."""


class Halt(EngineError):
    """The line stops: keys, audit or accounts disagree. `code` is a reason code for people."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class SealBroken(Halt):
    """A sealed body does not open under its data key: somebody changed or moved it."""

    def __init__(self, sentence: str) -> None:
        super().__init__("seal-broken", sentence)


def place_of(error: BaseException) -> str:
    """Files and lines of an error's traceback, for the log; its text may quote data and is left out."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        places.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " > ".join(places)

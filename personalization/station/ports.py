"""What a station is to the engine: a feeder of blanks, a terminal that plays APDU scripts, and a printer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

ScriptId = NewType("ScriptId", str)
"""Names one play; a repeated id returns the journal, never a second play."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command APDU ready to be sent, what it is for (for traces and messages) and the status words that go on."""

    apdu: bytes
    purpose: str
    allowed: frozenset[int] = frozenset({0x9000})


@dataclass(frozen=True, slots=True)
class Script:
    """Commands that are played in one go; `fence` is the job's, so that a stale owner's script can be refused."""

    id: ScriptId
    fence: int
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Response:
    """A response APDU after 61xx and 6Cxx are resolved: data and status word."""

    data: bytes
    status: int


@dataclass(frozen=True, slots=True)
class Played:
    """Every command was answered with an allowed status."""

    responses: tuple[Response, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """Command `index` (from 0) was answered with a status that was not allowed; the later ones were not sent."""

    index: int
    purpose: str
    status: int
    responses: tuple[Response, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """The answer to command `index` never came (card removed, reset or reader gone): the command may have worked."""

    index: int
    purpose: str
    reason: str
    responses: tuple[Response, ...]


Outcome = Played | Stopped | Lost


class Terminal(Protocol):
    """A reader with one card in it, held exclusively by one process."""

    @property
    def reader_name(self) -> str | None:
        """The PC/SC name other programs can use while this terminal is released; None where there is no PC/SC."""

    def other_readers(self) -> tuple[str, ...]:
        """PC/SC names of all other readers here, which a program that uses this one must leave alone.

        Raises `StationUnavailable` where the service does not tell them.
        """

    def power_on(self) -> bytes:
        """Connect exclusively and reset the card; its ATR. Raises `CardAbsent`, `ReaderGone`."""

    def play(self, script: Script) -> Outcome:
        """Send the commands one after the other. Raises `StaleFence` for a fence lower than one already seen."""

    def release(self) -> None:
        """Let the card go (disconnect, unpowered) so that another program may use the reader."""


@dataclass(frozen=True, slots=True)
class FeederState:
    """Where the cards of a station are: counts of hopper and trays, and whether one stands in position."""

    hopper: int
    positioned: bool
    good: int
    rejected: int


class Feeder(Protocol):
    """Moves cards: hopper -> position -> tray. A vendor's machine is driven by a plug-in process of its own."""

    def state(self) -> FeederState:
        """Counts as the machine sees them. Raises `StationUnavailable`."""

    def load(self) -> None:
        """Take the next blank into position, or do nothing if one is there. Raises `HopperEmpty`, `StationJammed`."""

    def eject(self, *, good: bool) -> None:
        """Put the positioned card into the good or the reject tray (nothing happens if none is there)."""


class PrintJobState:
    """IPP job-state values that the engine tells apart (RFC 8011 §5.3.7)."""

    PENDING = 3
    HELD = 4
    PROCESSING = 5
    STOPPED = 6
    CANCELED = 7
    ABORTED = 8
    COMPLETED = 9


@dataclass(frozen=True, slots=True)
class PrintJob:
    """A job as the printer tells it: its id at the printer, our name for it, job-state and reasons."""

    printer_job_id: int
    name: str
    state: int
    reasons: tuple[str, ...]


class Printer(Protocol):
    """A card printer: one document of two CR80 pages a card."""

    def submit(self, name: str, document: bytes) -> PrintJob:
        """Print-Job with this job-name. Raises `PrinterBusy`, `PrinterRefused`, `AnswerLost`, `StationUnavailable`."""

    def find(self, name: str) -> Sequence[PrintJob]:
        """All jobs (completed or not) of this name: the question after a lost answer."""

    def wait(self, job: PrintJob, timeout_seconds: float) -> PrintJob:
        """The job once its state is final (7, 8 or 9), or as it stands when the time is up."""

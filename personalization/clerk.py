"""The clerk: pulls records in, tells the source what became true, numbers events, signs checkpoints. One per centre."""

from collections.abc import Callable
from datetime import datetime, timedelta

from hsm.ports import Signer
from personalization.audit import number_and_sign, sequence_events
from personalization.courier import send_messages
from personalization.intake import Intake
from personalization.sources.port import DocumentSystem, SourceError, SourceUnavailable
from personalization.store.database import Database

CHECKPOINT_EVERY = timedelta(seconds=5)


class Clerk:
    """One worker's loop body; the concrete parts are handed in by the assembly."""

    def __init__(
        self,
        *,
        database: Database,
        intake: Intake,
        source: DocumentSystem,
        source_name: str,
        signer: Signer,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._intake = intake
        self._source = source
        self._source_name = source_name
        self._signer = signer
        self._clock = clock
        self._next_checkpoint = clock() + CHECKPOINT_EVERY

    def run_once(self) -> int:
        """One round; how much was moved (0: nothing to do now). Raises `SourceError`, after all else was done."""
        moved, trouble = 0, None
        try:
            moved += self._intake.pull_cancellations(self._clock())
            moved += self._intake.pull(self._clock())
        except SourceError as error:
            trouble = error  # what is queued here goes on, and the next round asks again
        moved += send_messages(self._database, self._source, self._source_name, self._clock())
        moved += sequence_events(self._database)
        if self._clock() >= self._next_checkpoint:
            self.checkpoint()
        if trouble is not None and not isinstance(trouble, SourceUnavailable):
            raise trouble  # more than being away: to be seen in the log
        return moved

    def checkpoint(self) -> None:
        """Number what is committed and sign the newest number."""
        number_and_sign(self._database, self._signer, self._clock())
        self._next_checkpoint = self._clock() + CHECKPOINT_EVERY

"""Stage `print`: both faces, once. The printer's job list is asked before anything is sent again.

Power cut: the intent names the print job; the printer is asked for that name. Completed: adopted. Still at work:
waited for. Unknown: sent. Given up by the printer: the card may be half printed, so it is spoiled and made again.
Neither finished nor given up after a time: the station waits for a person.
"""

import time
from collections.abc import Callable
from datetime import datetime

from personalization.audit import Event, record_events
from personalization.flow import EncodedCard, PrintedCard, Stage
from personalization.station.errors import AnswerLost, PrinterBusy, PrintGivenUp, StationJammed, StationUnavailable
from personalization.station.ports import Printer, PrintJob, PrintJobState
from personalization.store.database import Database
from personalization.store.jobs import finish_stage, results, store_intent

PRINT_SECONDS = 120.0
BUSY_PAUSE_SECONDS = 0.05


class Printing:
    """Prints at one station."""

    def __init__(self, *, database: Database, printer: Printer, station: str) -> None:
        self._database = database
        self._printer = printer
        self._station = station

    def print(self, card: EncodedCard, clock: Callable[[], datetime]) -> PrintedCard:
        """Print and wait.

        Raises `PrintGivenUp` for a spoiled card, `StationJammed` where a person must look, `PrinterRefused`,
        `StationUnavailable`, `FencedOut`.
        """
        started = time.monotonic()
        ref = card.imaged.ref
        with self._database.begin() as connection:
            name = store_intent(connection, ref, Stage.PRINT, ref.id, clock())
            if Stage.PRINT in results(connection, ref.id, (Stage.PRINT,)):
                return PrintedCard(card, name)
        finished = self._printer.wait(self._submit_once(name, card.imaged.art.document), PRINT_SECONDS)
        if finished.state in (PrintJobState.CANCELED, PrintJobState.ABORTED):
            raise PrintGivenUp(f"print job {name} ended in state {finished.state}: {', '.join(finished.reasons)}")
        if finished.state != PrintJobState.COMPLETED:
            raise StationJammed(f"print job {name} ended in state {finished.state}: {', '.join(finished.reasons)}")
        with self._database.begin() as connection:
            now = clock()
            finish_stage(
                connection,
                ref,
                Stage.PRINT,
                {"printer_job": finished.printer_job_id},
                now=now,
                milliseconds=int((time.monotonic() - started) * 1000),
                to=Stage.INSPECT,
                keep=True,
            )
            record_events(
                connection, Event("card.printed", now, self._station, ref.record_id, ref.id, card.blank.chip_serial)
            )
        return PrintedCard(card, name)

    def _submit_once(self, name: str, document: bytes) -> PrintJob:
        known = self._printer.find(name)
        if known:
            return known[-1]
        deadline = time.monotonic() + PRINT_SECONDS
        while time.monotonic() < deadline:
            try:
                return self._printer.submit(name, document)
            except PrinterBusy:
                time.sleep(BUSY_PAUSE_SECONDS)
            except AnswerLost:
                known = self._printer.find(name)
                if known:
                    return known[-1]
        raise StationUnavailable("the printer stayed busy")

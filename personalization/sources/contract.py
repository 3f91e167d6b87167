"""The contract of a document information system, as numbered steps that judge its HTTP side.

For the people of such a system: what the centre asks of it (`docs/document-systems.md`), run against it. The steps
read; only with a record that the caller names they also send receipts and documents. No sentence quotes a record.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import httpx

from personalization.records import Places
from personalization.sources.contract_feed import FeedChecks
from personalization.sources.contract_receipts import ReceiptChecks
from personalization.sources.contract_wire import Broken, NoAnswer, NotRun, Remarked, Wire

MOST_RECORDS = 200
PATIENCE = timedelta(seconds=10)


class Verdict(StrEnum):
    """What a step decided. A remark breaks no rule of the interface, but its people should know it."""

    PASSED = "passed"
    REMARK = "remark"
    FAILED = "failed"
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step, in the order in which it ran."""

    number: int
    name: str
    verdict: Verdict
    sentence: str


Check = Callable[[], str]
"""The sentence of success; raises `Broken`, `NoAnswer`, `Remarked` or `NotRun`."""


def check_document_system(
    client: httpx.Client,
    *,
    places: Places,
    now: datetime,
    patience: timedelta = PATIENCE,
    most_records: int = MOST_RECORDS,
    record_id: str | None = None,
) -> tuple[Step, ...]:
    """Every step, whatever the others found; never raises on account of the other side.

    `client`: its base URL is the document information system's; `patience`: how long one whole answer may take;
    `most_records`: how many of the oldest records are read and judged; `record_id`: a record that it hands over and for
    which receipts and documents may be sent, None for reading alone.
    """
    wire = Wire(client, patience)
    feed = FeedChecks(wire, places=places, now=now, most_records=most_records)
    receipts = ReceiptChecks(wire, feed, record_id=record_id, now=now)
    steps: list[Step] = []
    for number, (name, check) in enumerate(_checks(wire, feed, receipts), start=1):
        if steps and steps[0].verdict is Verdict.FAILED:
            steps.append(Step(number, name, Verdict.NOT_RUN, "Nothing can be asked of a side that does not answer."))
        else:
            steps.append(_run(number, name, check))
    return tuple(steps)


def all_well(steps: tuple[Step, ...]) -> bool:
    """Whether no step failed; a remark and a step that was not run are no failure."""
    return all(step.verdict is not Verdict.FAILED for step in steps)


def _checks(wire: Wire, feed: FeedChecks, receipts: ReceiptChecks) -> Iterator[tuple[str, Check]]:
    yield "answers", feed.answers
    yield "content type", feed.content_type
    yield "form of a page", feed.form
    yield "limit", feed.limit
    yield "pages to the end", feed.walk
    yield "end of the feed", feed.end
    yield "same cursor, same page", feed.same_page
    yield "small pages, same records", feed.small_pages
    yield "beginning", feed.beginning
    yield "unknown cursor", feed.unknown_cursor
    yield "oldest first", feed.order
    yield "records keep the rules", feed.records
    yield "cancellations", feed.cancellations
    yield "malformed requests", feed.malformed_requests
    yield "receipt", receipts.receipt
    yield "the same receipt again", receipts.receipt_again
    yield "receipt of an unknown record", receipts.unknown_record
    yield "document", receipts.document
    yield "the same document again", receipts.document_again
    yield "document in a later version's state", receipts.later_state
    yield "malformed messages", receipts.malformed_messages
    yield "time to answer", wire.time_to_answer


def _run(number: int, name: str, check: Check) -> Step:
    try:
        return Step(number, name, Verdict.PASSED, check())
    except (Broken, NoAnswer) as reason:
        return Step(number, name, Verdict.FAILED, str(reason))
    except Remarked as reason:
        return Step(number, name, Verdict.REMARK, str(reason))
    except NotRun as reason:
        return Step(number, name, Verdict.NOT_RUN, str(reason))

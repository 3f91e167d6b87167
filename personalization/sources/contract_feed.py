"""The contract's steps that only read: pages of approved records and of cancellations, and odd requests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from personalization.records import Places
from personalization.sources.contract_records import Delivered, check_order, check_rules, digest_of, judged
from personalization.sources.contract_wire import Answer, Broken, NotRun, Wire
from personalization.sources.http import cancellations_of, page_of
from personalization.sources.port import CancellationPage, Page, SourceMalformed

RECORDS, CANCELLATIONS = "/approved-records", "/cancellations"
PAGE_RECORDS = 50
"""What the centre asks for at once (`personalization.intake`)."""
SMALL_PAGE_RECORDS = 3
SMALL_PAGES_COMPARED = 20
MOST_CANCELLATION_PAGES = 50
FOREIGN_CURSOR = "eid-perso-contract-no-such-cursor"
RECORD_ID = re.compile(r"(PADIS|VMIS|MFA)-[0-9]{4}-[0-9]{7}")
MALFORMED_QUERIES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("a limit that is no number", {"limit": "many"}),
    ("a limit of 0", {"limit": "0"}),
    ("a negative limit", {"limit": "-1"}),
    ("an endless limit", {"limit": "9" * 40}),
    ("a cursor with a zero byte", {"limit": "1", "after": "\0"}),
    ("a cursor with quotes and brackets", {"limit": "1", "after": "';<\"{%00}"}),
    ("a cursor of 5,000 characters", {"limit": "1", "after": "9" * 5000}),
)


@dataclass(frozen=True, slots=True)
class WalkedPage:
    """How a page was asked for, and the digests of what came."""

    cursor: str | None
    limit: int
    digests: tuple[bytes, ...]


class FeedChecks:
    """Steps over the two feeds; what the walk to the end delivered is kept for the later ones, without the bodies."""

    def __init__(self, wire: Wire, *, places: Places, now: datetime, most_records: int) -> None:
        self._wire = wire
        self._places = places
        self._now = now
        self._most = most_records
        self._first: Answer | None = None
        self._walked = False
        self._delivered: list[Delivered] = []
        self._pages: list[WalkedPage] = []
        self._end: str | None = None

    def revision_of(self, record_id: str) -> int | None:
        """The highest revision of a record that the walk met; None where it met none."""
        return max((d.revision for d in self._delivered if d.record_id == record_id and d.revision), default=None)

    def answers(self) -> str:
        """GET /approved-records answers with 200."""
        answer = self._wire.get(RECORDS, {"limit": "1"})
        if answer.status != 200:
            raise Broken(f"GET {RECORDS}?limit=1 answered with status {answer.status}.")
        self._first = answer
        return f"GET {RECORDS}?limit=1 answered with status 200."

    def content_type(self) -> str:
        """JSON that says so, in UTF-8 (RFC 8259 §8.1)."""
        first = self._first_answer()
        if first.media_type != "application/json":
            raise Broken("The content type of the page is not application/json.")
        if first.charset not in ("", "utf-8"):
            raise Broken("The content type of the page names another charset than utf-8.")
        return "The page is application/json."

    def form(self) -> str:
        """An object with a list of records and the next cursor."""
        page = _page(self._first_answer(), None)
        if not page.next:
            raise Broken("The page has no `next` cursor; without one the centre would begin anew for ever.")
        places = "and the optional positions" if page.positions is not None else "without the optional positions"
        return f"The page is an object with `records` and `next`, {places}."

    def limit(self) -> str:
        """No page is longer than asked for."""
        for count in (1, 2, 5):
            page = self._page(None, count)
            if len(page.records) > count:
                raise Broken(f"A page of at most {count} records was asked for and {len(page.records)} came.")
        return "Pages of at most 1, 2 and 5 records were as short."

    def walk(self) -> str:
        """From the beginning, by the cursors, to the end or to as many records as are judged."""
        cursor: str | None = None
        asked: set[str | None] = set()
        while len(self._delivered) < self._most:
            if cursor in asked:
                raise Broken("A cursor came a second time with records behind it: the feed goes in a circle.")
            asked.add(cursor)
            limit = min(PAGE_RECORDS, self._most - len(self._delivered))
            page = self._page(cursor, limit)
            found = [judged(record, self._places, now=self._now) for record in page.records]
            self._delivered += found
            self._pages.append(WalkedPage(cursor, limit, tuple(each.digest for each in found)))
            if not page.records:
                self._end = page.next
                break
            if page.next in ("", cursor):
                raise Broken("A page with records gave no new cursor: the next page would be the same one for ever.")
            cursor = page.next
        if not self._delivered:
            raise Broken("The feed is empty, so nothing of it can be judged: put approved records of a test in.")
        self._walked = True
        told = f"{len(self._delivered)} records came in pages of at most {PAGE_RECORDS}"
        return f"{told}, to the end." if self._end is not None else f"{told}; more than these were not asked for."

    def end(self) -> str:
        """At the end the centre asks again and again with the same cursor."""
        self._walk_needed()
        if self._end is None:
            raise NotRun("The end of the feed was not reached; ask for more records.")
        known = {each.digest for each in self._delivered}
        for _ in range(2):
            page = self._page(self._end or None, PAGE_RECORDS)
            if any(digest_of(record) in known for record in page.records):
                raise Broken("Asked again with the cursor of the end, the feed delivers old records anew.")
            if page.records:
                return "New records came at the end while it was asked; old ones did not come again."
            if page.next not in (self._end, ""):
                self._end = page.next
        return "At the end an empty page comes, and a cursor to ask with again."

    def same_page(self) -> str:
        """A cursor that was asked with once gives the same page again: the centre may have been killed in between."""
        self._walk_needed()
        again = self._pages if len(self._pages) <= 6 else [*self._pages[:3], *self._pages[-3:]]
        for walked in again:
            found = tuple(digest_of(record) for record in self._page(walked.cursor, walked.limit).records)
            if found[: len(walked.digests)] != walked.digests:
                raise Broken("Asked again with the same cursor, the page held other records or another order.")
        return "Cursors were asked with again, and the same records came."

    def small_pages(self) -> str:
        """Other page sizes deliver the same records in the same order: none is lost where two pages meet."""
        self._walk_needed()
        expected = [each.digest for each in self._delivered[: SMALL_PAGE_RECORDS * SMALL_PAGES_COMPARED]]
        found: list[bytes] = []
        cursor: str | None = None
        for _ in range(2 * SMALL_PAGES_COMPARED):
            page = self._page(cursor, SMALL_PAGE_RECORDS)
            found += [digest_of(record) for record in page.records]
            if not page.records or len(found) >= len(expected):
                break
            cursor = page.next
        if found[: len(expected)] != expected:
            missing = len(set(expected) - set(found))
            raise Broken(
                f"Pages of {SMALL_PAGE_RECORDS} deliver something else than pages of {PAGE_RECORDS}: "
                f"{missing} of {len(expected)} records are missing or the order differs."
            )
        return f"{len(expected)} records came the same in pages of {SMALL_PAGE_RECORDS}."

    def beginning(self) -> str:
        """An empty cursor and none at all mean the beginning."""
        without = _page(self._wire.get(RECORDS, {"limit": "2"}), None)
        empty = _page(self._wire.get(RECORDS, {"limit": "2", "after": ""}), None)
        if [digest_of(record) for record in without.records] != [digest_of(record) for record in empty.records]:
            raise Broken("An empty `after` gives another page than none.")
        return "No `after` and an empty one give the same first page."

    def unknown_cursor(self) -> str:
        """A cursor that the source does not know is refused, or means the beginning; never silence."""
        answer = self._wire.get(RECORDS, {"limit": "1", "after": FOREIGN_CURSOR})
        _not_5xx(answer, "A cursor that it never gave")
        if answer.status >= 400:
            return f"A cursor that it never gave is refused with status {answer.status}."
        if not _page(answer, FOREIGN_CURSOR).records and self._delivered:
            raise Broken("A cursor that it never gave is answered with no records: new records would never be noticed.")
        return "A cursor that it never gave is answered with records."

    def order(self) -> str:
        """As `check_order`."""
        self._walk_needed()
        return check_order(self._delivered)

    def records(self) -> str:
        """As `check_rules`."""
        self._walk_needed()
        return check_rules(self._delivered)

    def cancellations(self) -> str:
        """The other feed: pages to the end, the same cursor the same page, records named as they are."""
        cursor: str | None = None
        names: list[str] = []
        for _ in range(MOST_CANCELLATION_PAGES):
            page = self._cancelled(cursor)
            if self._cancelled(cursor).cancellations[: len(page.cancellations)] != page.cancellations:
                raise Broken("Asked again with the same cursor, the page of cancellations was another one.")
            names += [each.record_id for each in page.cancellations]
            if not page.cancellations:
                break
            if page.next in ("", cursor):
                raise Broken("A page with cancellations gave no new cursor: it would come again for ever.")
            cursor = page.next
        unread = sum(not RECORD_ID.fullmatch(name) for name in names)
        if unread:
            raise Broken(
                f"{unread} of {len(names)} cancellations name no record id of the schema; they have no effect."
            )
        return f"{len(names)} cancellations came in pages, each with a record id."

    def malformed_requests(self) -> str:
        """Nonsense is answered, and not as a fault of the source's own: that would be asked again and again."""
        for what, query in MALFORMED_QUERIES:
            _not_5xx(self._wire.get(RECORDS, query), what.capitalize())
        missing = self._wire.get("/approved-records/no-such-page")
        if not 400 <= missing.status < 500:
            raise Broken(f"An address that does not exist is answered with status {missing.status}.")
        return f"{len(MALFORMED_QUERIES) + 1} malformed requests were answered without a status of 500 or more."

    def _first_answer(self) -> Answer:
        if self._first is None:
            raise NotRun("There was no first page.")
        return self._first

    def _walk_needed(self) -> None:
        if not self._walked:
            raise NotRun("The pages could not be walked through.")

    def _page(self, cursor: str | None, limit: int) -> Page:
        query = {"limit": str(limit)} | ({"after": cursor} if cursor else {})
        return _page(self._wire.get(RECORDS, query), cursor)

    def _cancelled(self, cursor: str | None) -> CancellationPage:
        answer = self._wire.get(CANCELLATIONS, {"after": cursor} if cursor else {})
        _answered_200(answer)
        try:
            return cancellations_of(answer.body, cursor)
        except SourceMalformed as malformed:
            raise Broken(f"GET {CANCELLATIONS}: {malformed}.") from None


def _page(answer: Answer, cursor: str | None) -> Page:
    _answered_200(answer)
    try:
        return page_of(answer.body, cursor)
    except SourceMalformed as malformed:
        raise Broken(f"GET {RECORDS}: {malformed}.") from None


def _answered_200(answer: Answer) -> None:
    if answer.status != 200:
        raise Broken(f"A page was answered with status {answer.status}.")


def _not_5xx(answer: Answer, what: str) -> None:
    if answer.status >= 500:
        raise Broken(f"{what} is answered with status {answer.status}: a fault of the source, not of the request.")

"""A document information system over HTTP: four calls, JSON both ways, one connection that is kept open.

`positions` (the number of each record at the source) beside `records` is optional.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self
from urllib.parse import quote

import httpx

from personalization.approved_record import Failure
from personalization.sources.port import (
    Cancellation,
    CancellationPage,
    Outcome,
    Page,
    SourceMalformed,
    SourceRefused,
    SourceUnavailable,
)
from personalization.strict_json import JsonMalformed, loads, refuse_oddities

MAXIMUM_ANSWER_BYTES = 64 * 1024 * 1024
MAXIMUM_CURSOR_CHARACTERS = 200
RETRY_LATER = frozenset({408, 425, 429})
"""Besides 5xx: the source asks to come again (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4)."""


class HttpDocumentSystem:
    """The client's side. Redirects are not followed and proxies of the environment not used."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout: timedelta = timedelta(seconds=30),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._client = httpx.Client(
            base_url=base_url,
            timeout=timeout.total_seconds(),
            transport=transport,
            trust_env=False,
            headers={"accept": "application/json"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def approved_records(self, after: str | None, limit: int) -> Page:
        """GET /approved-records. Raises the errors of `DocumentSystem`."""
        return page_of(self._get("/approved-records", {"limit": str(limit)}, after), after)

    def cancellations(self, after: str | None) -> CancellationPage:
        """GET /cancellations. Raises the errors of `DocumentSystem`."""
        return cancellations_of(self._get("/cancellations", {}, after), after)

    def send_receipt(self, record_id: str, revision: int | None, outcome: Outcome, errors: Sequence[Failure]) -> None:
        """POST /approved-records/{record_id}/receipt. Raises the errors of `DocumentSystem`."""
        body = {
            "revision": revision,
            "outcome": outcome,
            "errors": [{"pointer": e.pointer, "rule": e.rule, "message": e.message} for e in errors],
        }
        self._post(receipt_path(record_id), body)

    def send_document(self, body: Mapping[str, object]) -> None:
        """POST /documents. Raises the errors of `DocumentSystem`."""
        self._post("/documents", dict(body))

    def _get(self, path: str, query: dict[str, str], after: str | None) -> bytes:
        if after:
            query["after"] = after
        return self._exchange(lambda: self._client.build_request("GET", path, params=query))

    def _post(self, path: str, body: object) -> None:
        content = json.dumps(body, allow_nan=False).encode("ascii")
        headers = {"content-type": "application/json"}
        self._exchange(lambda: self._client.build_request("POST", path, content=content, headers=headers))

    def _exchange(self, build: Callable[[], httpx.Request]) -> bytes:
        """Send, judge the status, read the body up to its limit. httpx's errors hold the URL: none is chained."""
        try:
            response = self._client.send(build(), stream=True, follow_redirects=False)
            try:
                _judge(response.status_code)
                return _read(response)
            finally:
                response.close()
        except httpx.DecodingError:
            raise SourceMalformed("the answer's content coding is damaged") from None
        except (httpx.TransportError, httpx.StreamError):
            raise SourceUnavailable("the source does not answer") from None
        except (httpx.InvalidURL, UnicodeError):
            raise SourceRefused("the request cannot be written as a URL") from None


def page_of(answer: bytes, after: str | None) -> Page:
    """The page that an answer to GET /approved-records holds. Raises `SourceMalformed`."""
    body = _body_of(answer)
    records = _list(body, "records")
    positions = body.get("positions")
    if positions is None:
        return Page(tuple(records), None, _next(body, after))
    if not isinstance(positions, list) or len(positions) != len(records) or not all(map(_is_position, positions)):
        raise SourceMalformed("the positions are not one whole number per record")
    return Page(tuple(records), tuple(positions), _next(body, after))


def cancellations_of(answer: bytes, after: str | None) -> CancellationPage:
    """The same for GET /cancellations: a list of objects with the `record_id`, or of the ids themselves."""
    body = _body_of(answer)
    found = []
    for item in _list(body, "cancellations"):
        record_id = item.get("record_id") if isinstance(item, dict) else item
        if not isinstance(record_id, str):
            raise SourceMalformed("a cancellation does not name its record")
        found.append(Cancellation(record_id))
    return CancellationPage(tuple(found), _next(body, after))


def receipt_path(record_id: str) -> str:
    """Where the receipts of a record go; its id is the source's text and may hold anything."""
    return f"/approved-records/{_segment(record_id)}/receipt"


def _body_of(answer: bytes) -> dict[str, object]:
    try:
        body = loads(answer)
        refuse_oddities(body)
    except JsonMalformed as malformed:
        raise SourceMalformed("the answer is not JSON") from malformed
    if not isinstance(body, dict):
        raise SourceMalformed("the answer is not a JSON object")
    return body


def _judge(status: int) -> None:
    if status >= 500 or status in RETRY_LATER:
        raise SourceUnavailable(f"the source answered with status {status}")
    if not 200 <= status < 300:
        raise SourceRefused(f"the source answered with status {status}")


def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAXIMUM_ANSWER_BYTES:
            raise SourceMalformed(f"the answer is longer than {MAXIMUM_ANSWER_BYTES} bytes")
    return bytes(body)


def _segment(text: str) -> str:
    """One path segment, whatever the text holds (RFC 3986 §3.3)."""
    # Dots are unreserved, but "." and ".." would be taken for steps in the path. A lone surrogate has no UTF-8.
    return quote(text, safe="", errors="replace").replace(".", "%2E") or "%20"


def _list(body: dict[str, object], name: str) -> list[object]:
    found = body.get(name)
    if not isinstance(found, list):
        raise SourceMalformed(f"the answer has no list of {name}")
    return found


def _next(body: dict[str, object], after: str | None) -> str:
    """The cursor to ask with next; where the source gives none, the one that was asked with."""
    cursor = body.get("next")
    if cursor is None:
        return after or ""
    if not isinstance(cursor, str) or len(cursor) > MAXIMUM_CURSOR_CHARACTERS:
        raise SourceMalformed(f"the cursor is not a text of at most {MAXIMUM_CURSOR_CHARACTERS} characters")
    return cursor


def _is_position(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63

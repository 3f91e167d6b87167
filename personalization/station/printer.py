"""A card printer over IPP (RFC 8011) on HTTP: one document of two CR80 pages a card, never printed twice by itself."""

import time
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import httpx

from personalization.station.errors import AnswerLost, PrinterBusy, PrinterRefused, StationUnavailable
from personalization.station.ipp import (
    Attribute,
    Group,
    GroupTag,
    IppError,
    Message,
    Operation,
    Status,
    Tag,
    attribute,
    encode,
)
from personalization.station.ipp_decode import decode
from personalization.station.ports import PrintJob, PrintJobState

CARD_MEDIA = "iso_id-1_53.98x85.6mm"
"""CR80 / ID-1 in the names of PWG 5101.1."""

_IPP_PORT = 631
_USER = "eid-perso"
_JOB_FIELDS = ("job-id", "job-name", "job-state", "job-state-reasons")
_LATER = frozenset({Status.SERVICE_UNAVAILABLE, Status.DEVICE_ERROR, Status.TEMPORARY_ERROR})
_FINAL = frozenset({PrintJobState.CANCELED, PrintJobState.ABORTED, PrintJobState.COMPLETED})


class IppPrinter:
    """Implements `Printer`. `uri`: `ipp://host[:port]/path`, or `ipps` for TLS.

    `answer_wait`: how long the printer may take for one answer; `poll`: how often `wait` asks.
    """

    def __init__(
        self,
        uri: str,
        *,
        answer_wait: timedelta = timedelta(seconds=30),
        poll: timedelta = timedelta(milliseconds=50),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._uri = uri
        self._url = _http_url(uri)
        self._poll = poll
        self._requests = 0
        # A connection for each request: a kept one that the printer has just closed looks like a lost answer.
        limits = httpx.Limits(max_keepalive_connections=0)
        timeout = answer_wait.total_seconds()
        self._http = httpx.Client(limits=limits, timeout=timeout, trust_env=False, transport=transport)

    def close(self) -> None:
        """Let the HTTP client go."""
        self._http.close()

    def submit(self, name: str, document: bytes) -> PrintJob:
        """Print-Job (RFC 8011 §4.2.1) of a PDF, printed on both sides of one card.

        Raises `StationUnavailable` when nothing was sent or the printer said that it cannot work now, `PrinterBusy`,
        `PrinterRefused`, and `AnswerLost` when the document may have been taken: then `find` tells.
        """
        operation = (
            attribute("job-name", Tag.NAME, name),
            attribute("ipp-attribute-fidelity", Tag.BOOLEAN, True),
            attribute("document-format", Tag.MIME_MEDIA_TYPE, "application/pdf"),
        )
        job = (attribute("media", Tag.KEYWORD, CARD_MEDIA), attribute("sides", Tag.KEYWORD, "two-sided-long-edge"))
        answer = self._exchange(self._request(Operation.PRINT_JOB, operation, job, document))
        _accepted(answer)
        try:
            return _job(answer.group(GroupTag.JOB), name)
        except IppError as error:
            raise AnswerLost("the printer took the document but did not tell its job") from error

    def find(self, name: str) -> Sequence[PrintJob]:
        """Get-Jobs (RFC 8011 §4.2.6), those not completed first: a job that ends in between is then seen twice, not
        never. The later state counts. Raises `StationUnavailable`, `PrinterRefused`.
        """
        found: dict[int, PrintJob] = {}
        for which in ("not-completed", "completed"):
            operation = (attribute("which-jobs", Tag.KEYWORD, which), _requested())
            answer = self._ask(self._request(Operation.GET_JOBS, operation))
            for group in answer.groups:
                if group.tag == GroupTag.JOB and group.first("job-name") == name:
                    job = _told(group, name)
                    found[job.printer_job_id] = job
        return tuple(found.values())

    def wait(self, job: PrintJob, timeout_seconds: float) -> PrintJob:
        """Get-Job-Attributes (RFC 8011 §4.3.4) until the state is final or the time is up. Raises as `find`."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            operation = (attribute("job-id", Tag.INTEGER, job.printer_job_id), _requested())
            answer = self._ask(self._request(Operation.GET_JOB_ATTRIBUTES, operation))
            seen = _told(answer.group(GroupTag.JOB), job.name)
            if seen.state in _FINAL or time.monotonic() >= deadline:
                return seen
            time.sleep(self._poll.total_seconds())

    def describe(self, *names: str) -> Group:
        """Get-Printer-Attributes (RFC 8011 §4.2.5): what the printer tells of these. Raises as `find`."""
        operation = (attribute("requested-attributes", Tag.KEYWORD, *names),)
        return self._ask(self._request(Operation.GET_PRINTER_ATTRIBUTES, operation)).group(GroupTag.PRINTER)

    def _request(
        self, code: Operation, operation: Sequence[Attribute], job: Sequence[Attribute] = (), document: bytes = b""
    ) -> Message:
        self._requests += 1
        # RFC 8011 §4.1.4: charset and language first, then the target; job-id stands right after printer-uri.
        job_id = tuple(each for each in operation if each.name == "job-id")
        rest = tuple(each for each in operation if each.name != "job-id")
        head = (
            attribute("attributes-charset", Tag.CHARSET, "utf-8"),
            attribute("attributes-natural-language", Tag.NATURAL_LANGUAGE, "en"),
            attribute("printer-uri", Tag.URI, self._uri),
            *job_id,
            attribute("requesting-user-name", Tag.NAME, _USER),
        )
        groups = [Group(GroupTag.OPERATION, (*head, *rest))]
        if job:
            groups.append(Group(GroupTag.JOB, tuple(job)))
        return Message(code, self._requests, tuple(groups), document)

    def _ask(self, request: Message) -> Message:
        """A question that changes nothing: a lost answer is no more than a printer that is away."""
        try:
            answer = self._exchange(request)
        except AnswerLost:
            raise StationUnavailable("the printer does not answer") from None
        try:
            _accepted(answer)
        except PrinterBusy as busy:  # with other jobs: no answer on this one yet
            raise StationUnavailable(str(busy)) from None
        return answer

    def _exchange(self, request: Message) -> Message:
        try:
            response = self._http.post(self._url, content=encode(request), headers={"Content-Type": "application/ipp"})
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise StationUnavailable("the printer cannot be reached") from None
        except httpx.HTTPError:
            raise AnswerLost("the printer's answer did not come") from None
        if 400 <= response.status_code < 500:
            raise PrinterRefused(f"the printer refused the request with HTTP {response.status_code}")
        try:
            answer = decode(response.content)
        except IppError:
            raise AnswerLost(f"the printer answered HTTP {response.status_code} without an IPP message") from None
        if response.status_code != httpx.codes.OK or answer.request_id != request.request_id:
            raise AnswerLost("the printer answered something else than what was asked")
        return answer


def _requested() -> Attribute:
    return attribute("requested-attributes", Tag.KEYWORD, *_JOB_FIELDS)


def _accepted(answer: Message) -> None:
    """Raises what the status code says (RFC 8011 appendix B); codes up to 00FF are success."""
    if answer.code <= 0x00FF:
        return
    if answer.code in (Status.BUSY, Status.NOT_ACCEPTING_JOBS):
        raise PrinterBusy(f"the printer answered {answer.code:04X}")
    if answer.code in _LATER:
        raise StationUnavailable(f"the printer answered {answer.code:04X}")
    raise PrinterRefused(f"the printer answered {answer.code:04X}")


def _told(group: Group, name: str) -> PrintJob:
    try:
        return _job(group, name)
    except IppError:
        raise StationUnavailable("the printer did not tell id and state of the job") from None


def _job(group: Group, name: str) -> PrintJob:
    job_id, state = group.first("job-id"), group.first("job-state")
    if not isinstance(job_id, int) or not isinstance(state, int):
        raise IppError("id or state of a job is missing")
    return PrintJob(job_id, name, state, group.texts("job-state-reasons"))


def _http_url(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme not in ("ipp", "ipps") or not parts.hostname:
        raise ValueError("a printer is named by an ipp or ipps URI")
    scheme = "https" if parts.scheme == "ipps" else "http"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{host}:{parts.port or _IPP_PORT}{parts.path or '/'}"

"""A card printer that speaks IPP/2.0 (RFC 8010, RFC 8011) over HTTP on a free loopback port.

    python -m simulators.printer --directory DIR [--seconds-per-card 0.02]

Prints {"uri": "ipp://127.0.0.1:PORT/ipp/print"} when it listens. Takes PDF and PWG raster for one card of ID-1 size,
one job at a time. What it keeps in DIR is told in `simulators.press`.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from simulators.ipp_wire import Attribute, Group, IppSyntaxError, Message, Tag, Value, decode, encode
from simulators.lifetime import end_with_parent
from simulators.press import COMPLETED, Job, Press, PressBusyError
from simulators.printer_attributes import DESCRIPTION, FORMATS, JOB_TEMPLATE, attribute, unsupported

PATH = "/ipp/print"
LARGEST_BODY_BYTES = 64 * 1024 * 1024

OK, OK_IGNORED = 0x0000, 0x0001  # status codes: RFC 8011 §B.1
BAD_REQUEST, NOT_POSSIBLE, NOT_FOUND = 0x0400, 0x0404, 0x0406
FORMAT_UNSUPPORTED, VALUES_UNSUPPORTED, CHARSET_UNSUPPORTED = 0x040A, 0x040B, 0x040D
COMPRESSION_UNSUPPORTED, FORMAT_ERROR = 0x040F, 0x0411
OPERATION_UNSUPPORTED, VERSION_UNSUPPORTED, BUSY = 0x0501, 0x0503, 0x0507

_LANGUAGE = (
    attribute("attributes-charset", Tag.CHARSET, "utf-8"),
    attribute("attributes-natural-language", Tag.LANGUAGE, "en"),
)


class RefusedError(Exception):
    """The answer is an error: status code, a sentence for status-message, and the attributes that are not supported."""

    def __init__(self, status: int, sentence: str, refused: Iterable[Attribute] = ()) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.refused = status, sentence, tuple(refused)


class IppPrinter:
    """Answers IPP requests for one press; knows nothing of HTTP."""

    def __init__(self, press: Press, uri: str) -> None:
        self._press = press
        self._uri = uri
        self._operations = {
            0x0002: self._print_job,
            0x0004: self._validate_job,
            0x0008: self._cancel_job,
            0x0009: self._get_job_attributes,
            0x000A: self._get_jobs,
            0x000B: self._get_printer_attributes,
        }

    def answer(self, data: bytes) -> bytes:
        """The response to a request, whatever the request was. Raises `IppSyntaxError` when it is none at all."""
        request = decode(data)
        try:
            self._check_envelope(request)
            status, groups = self._operations[request.code](request)
            operation = Group(Tag.OPERATION, _LANGUAGE)
        except RefusedError as refused:
            status, groups = refused.status, _unsupported_group(refused.refused)
            operation = Group(Tag.OPERATION, (*_LANGUAGE, attribute("status-message", Tag.TEXT, refused.sentence)))
        version = request.version if request.version in ((1, 0), (1, 1), (2, 0)) else (2, 0)
        return encode(Message(status, request.request_id, (operation, *groups), version=version))

    def _check_envelope(self, request: Message) -> None:
        if request.version[0] not in (1, 2):
            raise RefusedError(VERSION_UNSUPPORTED, "This printer speaks IPP/2.0 and IPP/1.1.")
        if request.request_id == 0 or not request.groups or request.groups[0].tag != Tag.OPERATION:
            raise RefusedError(BAD_REQUEST, "A request has an id over 0 and begins with operation attributes.")
        names = [given.name for given in request.groups[0].attributes]
        if names[:2] != ["attributes-charset", "attributes-natural-language"]:  # RFC 8011 §4.1.4
            raise RefusedError(BAD_REQUEST, "Charset and natural language are the first two operation attributes.")
        if len(set(names)) != len(names):
            raise RefusedError(BAD_REQUEST, "An operation attribute stands twice.")
        if str(_operation(request, "attributes-charset")).lower() not in ("utf-8", "us-ascii"):
            raise RefusedError(CHARSET_UNSUPPORTED, "The charset is utf-8 or us-ascii.")
        if request.code not in self._operations:
            raise RefusedError(OPERATION_UNSUPPORTED, "This printer has no such operation.")
        target = _operation(request, "printer-uri") or _operation(request, "job-uri")
        if target is None:
            raise RefusedError(BAD_REQUEST, "A request names its target with printer-uri or job-uri.")
        path = urlsplit(str(target)).path
        if path != PATH and not path.startswith(PATH + "/"):
            raise RefusedError(NOT_FOUND, "There is no such printer.")

    def _print_job(self, request: Message) -> tuple[int, tuple[Group, ...]]:
        ignored, document_format = _check_job(request)
        if not request.data.startswith(FORMATS[document_format]):
            raise RefusedError(FORMAT_ERROR, "The document is not of the format that was named.")
        name, user = _operation(request, "job-name"), _operation(request, "requesting-user-name")
        try:
            job = self._press.submit(str(name or ""), str(user or "anonymous"), document_format, request.data)
        except PressBusyError:
            raise RefusedError(BUSY, "Another card is being printed.") from None
        wanted = {"job-uri", "job-id", "job-state", "job-state-reasons"}
        status = OK_IGNORED if ignored else OK
        return status, (*_unsupported_group(ignored), self._job_group(job, wanted))

    def _validate_job(self, request: Message) -> tuple[int, tuple[Group, ...]]:
        ignored, _ = _check_job(request)
        return (OK_IGNORED if ignored else OK), _unsupported_group(ignored)

    def _cancel_job(self, request: Message) -> tuple[int, tuple[Group, ...]]:
        if not self._press.cancel(self._find_job(request).id):
            raise RefusedError(NOT_POSSIBLE, "The job is finished.")
        return OK, ()

    def _get_job_attributes(self, request: Message) -> tuple[int, tuple[Group, ...]]:
        return OK, (self._job_group(self._find_job(request), _requested(request, {"all"})),)

    def _get_jobs(self, request: Message) -> tuple[int, tuple[Group, ...]]:
        which = _operation(request, "which-jobs") or "not-completed"
        if which not in ("completed", "not-completed", "all"):
            refused = attribute("which-jobs", Tag.KEYWORD, str(which))
            raise RefusedError(VALUES_UNSUPPORTED, "This printer has no such list of jobs.", (refused,))
        # RFC 8011 §4.2.6: completed jobs newest first; there is never more than one that is not completed
        jobs = [job for job in reversed(self._press.jobs()) if which == "all" or job.final == (which == "completed")]
        if _operation(request, "my-jobs") is True:
            jobs = [job for job in jobs if job.user == _operation(request, "requesting-user-name")]
        limit = _operation(request, "limit")
        wanted = _requested(request, {"job-uri", "job-id"})
        return OK, tuple(self._job_group(job, wanted) for job in jobs[: limit if isinstance(limit, int) else None])

    def _get_printer_attributes(self, request: Message) -> tuple[int, tuple[Group, ...]]:
        active = self._press.active
        changing = (
            attribute("printer-uri-supported", Tag.URI, self._uri),
            attribute("printer-more-info", Tag.URI, self._uri.replace("ipp:", "http:", 1)),
            attribute("printer-state", Tag.ENUM, 3 if active is None else 4),
            attribute("printer-state-reasons", Tag.KEYWORD, "media-jam-error" if self._press.jammed else "none"),
            attribute("printer-up-time", Tag.INTEGER, int(time.time())),
            attribute("queued-job-count", Tag.INTEGER, 0 if active is None else 1),
        )
        wanted = _requested(request, {"all"})
        groups = {"printer-description": (*DESCRIPTION, *changing), "job-template": JOB_TEMPLATE}
        told = tuple(
            described
            for group, described_group in groups.items()
            for described in described_group
            if wanted & {"all", group, described.name}
        )
        return OK, (Group(Tag.PRINTER, told),)

    def _find_job(self, request: Message) -> Job:
        number = _operation(request, "job-id")
        if number is None:
            last = urlsplit(str(_operation(request, "job-uri") or "")).path.rpartition("/")[2]
            number = int(last) if last.isascii() and last.isdigit() else None
        job = self._press.job(number) if isinstance(number, int) else None
        if job is None:
            raise RefusedError(NOT_FOUND, "There is no such job.")
        return job

    def _job_group(self, job: Job, wanted: set[str]) -> Group:
        done = attribute("time-at-completed", Tag.INTEGER, job.completed) if job.completed else None
        told = (
            attribute("job-uri", Tag.URI, f"{self._uri}/{job.id}"),
            attribute("job-id", Tag.INTEGER, job.id),
            attribute("job-printer-uri", Tag.URI, self._uri),
            attribute("job-name", Tag.NAME, job.name),
            attribute("job-originating-user-name", Tag.NAME, job.user),
            attribute("job-state", Tag.ENUM, job.state),
            attribute("job-state-reasons", Tag.KEYWORD, *job.reasons),
            attribute("job-k-octets", Tag.INTEGER, -(-job.size_bytes // 1024)),
            attribute("job-media-sheets-completed", Tag.INTEGER, 1 if job.state == COMPLETED else 0),
            attribute("job-printer-up-time", Tag.INTEGER, int(time.time())),
            attribute("document-format-supplied", Tag.MIME_TYPE, job.document_format),
            attribute("time-at-creation", Tag.INTEGER, job.created),
            attribute("time-at-processing", Tag.INTEGER, job.created),
            done or Attribute("time-at-completed", (Value(Tag.NO_VALUE, None),)),
        )
        return Group(Tag.JOB, tuple(a for a in told if wanted & {"all", "job-description", a.name}))


def _operation(request: Message, name: str) -> object:
    """First value of an operation attribute, or None."""
    found = request.group(Tag.OPERATION).get(name)
    return None if found is None else found.first


def _requested(request: Message, default: set[str]) -> set[str]:
    found = request.group(Tag.OPERATION).get("requested-attributes")
    return default if found is None else {str(value.content) for value in found.values}


def _unsupported_group(attributes: tuple[Attribute, ...]) -> tuple[Group, ...]:
    return (Group(Tag.UNSUPPORTED_GROUP, attributes),) if attributes else ()


def _check_job(request: Message) -> tuple[tuple[Attribute, ...], str]:
    """What of the job's wishes will be ignored, and the document format. Raises `RefusedError` (RFC 8011 §4.2.1)."""
    compression = _operation(request, "compression")
    if compression not in (None, "none"):
        refused = attribute("compression", Tag.KEYWORD, str(compression))
        raise RefusedError(COMPRESSION_UNSUPPORTED, "Documents come uncompressed.", (refused,))
    document_format = str(_operation(request, "document-format") or "application/pdf")
    if document_format not in FORMATS:
        refused = attribute("document-format", Tag.MIME_TYPE, document_format)
        raise RefusedError(FORMAT_UNSUPPORTED, "The document is PDF or PWG raster.", (refused,))
    wishes = request.group(Tag.JOB).attributes
    ignored = tuple(found for found in map(unsupported, wishes) if found is not None)
    # No other card can be loaded, so a wrong medium is refused even without ipp-attribute-fidelity
    wrong_medium = any(found.name in ("media", "media-col") for found in ignored)
    if wrong_medium or (ignored and _operation(request, "ipp-attribute-fidelity") is True):
        names = ", ".join(found.name for found in ignored)
        raise RefusedError(VALUES_UNSUPPORTED, f"Not supported: {names}.", ignored)
    return ignored, document_format


class _BodyError(Exception):
    """The request has no body that can be read: HTTP status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    """IPP over HTTP (RFC 8010 §4): POST of application/ipp, body with a length or in chunks."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one segment
    timeout = 300
    server: "_Server"

    def do_POST(self) -> None:
        try:
            answer = self.server.printer.answer(self._body())
        except (_BodyError, IppSyntaxError, ValueError) as error:
            self.close_connection = True
            self.send_error(error.status if isinstance(error, _BodyError) else 400, str(error))
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/ipp")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def handle_expect_100(self) -> bool:
        """Say 100 Continue at once: the client waits for it, and our output is buffered."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _body(self) -> bytes:
        if self.headers.get_content_type() != "application/ipp":
            raise _BodyError(415, "The body is application/ipp")
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise _BodyError(411, "A length is needed")
        return self._exactly(int(length), 0)

    def _chunks(self) -> bytes:
        """A chunked body (RFC 9112 §7.1)."""
        body = bytearray()
        while size := int(self.rfile.readline(1024).split(b";")[0], 16):
            body += self._exactly(size, len(body))
            self.rfile.readline(8)
        while self.rfile.readline(1024).strip():
            pass  # trailer fields
        return bytes(body)

    def _exactly(self, size: int, already: int) -> bytes:
        if size < 0 or already + size > LARGEST_BODY_BYTES:
            raise _BodyError(413, "The document is too large")
        data = self.rfile.read(size)
        if len(data) != size:
            raise _BodyError(400, "The body ends too early")
        return data

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a request line in a log helps nobody here."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    printer: IppPrinter


def main() -> None:
    """Start the printer and print where it is."""
    parser = argparse.ArgumentParser(prog="python -m simulators.printer", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--directory", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seconds-per-card", type=float, default=0.02, metavar="SECONDS")
    options = parser.parse_args()
    server = _Server(("127.0.0.1", 0), _Handler)
    uri = f"ipp://127.0.0.1:{server.server_port}{PATH}"
    press = Press(options.directory, options.seconds_per_card)
    server.printer = IppPrinter(press, uri)
    end_with_parent(server.shutdown)
    sys.stdout.write(json.dumps({"uri": uri}) + "\n")
    sys.stdout.flush()
    server.serve_forever(poll_interval=0.05)
    press.finish()


if __name__ == "__main__":
    main()

"""A document information system (like PADIS) that hands over approved records, over HTTP on a free loopback port.

    python -m simulators.document_system --records DIR --directory STATE

Every file of DIR named *.json is a record, but for hidden ones. Prints {"url": "http://127.0.0.1:PORT"} when it
listens.

    GET  /approved-records?after=<cursor>&limit=n   {"records": [...], "positions": [n, ...], "next": "<cursor>"}
    POST /approved-records/{record_id}/receipt      {"revision", "outcome": "accepted"|"rejected", "errors": [...]}
    POST /documents                                 what was made: {"record_id", ...}
    GET  /cancellations?after=<cursor>              {"cancellations": [{"record_id", "revision", "reason"}], "next"}
of the simulator alone:
    POST /cancellations                             {"record_id", "revision", "reason"}
    GET  /files                                     {"files": [{"position": n, "file": name}]}

A cursor is the position of the last record taken, "0" or nothing at the beginning. What is posted is kept as lines in
STATE (receipts.jsonl, documents.jsonl, cancellations.jsonl), the same thing once; see `simulators.record_shelf` for the
order of the records. Errors are problem documents (RFC 9457).
"""

import argparse
import json
import sys
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from simulators.lifetime import end_with_parent
from simulators.record_shelf import RecordShelf, read_lines

DEFAULT_LIMIT, HIGHEST_LIMIT = 100, 1000
LARGEST_BODY_BYTES = 4 * 1024 * 1024
OUTCOMES = ("accepted", "rejected")


class ProblemError(Exception):
    """A request that is refused: HTTP status and a sentence for the problem document."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Ledger:
    """Things that were posted, one a line on disk, each once; any thread may add."""

    def __init__(self, path: Path) -> None:
        self._entries: list[Mapping[str, Any]] = read_lines(path)
        self._known = {_canonical(entry) for entry in self._entries}
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self._lock = threading.Lock()

    def add(self, entry: Mapping[str, Any]) -> bool:
        """Keep this entry; False when the same is there already."""
        line = _canonical(entry)
        with self._lock:
            if line in self._known:
                return False
            self._file.write(line + "\n")
            self._known.add(line)
            self._entries.append(entry)
            return True

    def after(self, position: int, limit: int) -> list[Mapping[str, Any]]:
        """At most `limit` entries behind the first `position`."""
        with self._lock:
            return self._entries[position : position + limit]


def _canonical(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True)


class DocumentSystem:
    """Answers requests; knows nothing of sockets."""

    def __init__(self, records: Path, state: Path) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self._shelf = RecordShelf(records, state)
        self._receipts = Ledger(state / "receipts.jsonl")
        self._documents = Ledger(state / "documents.jsonl")
        self._cancellations = Ledger(state / "cancellations.jsonl")

    def get(self, target: str) -> str:
        """The JSON text that answers a GET. Raises `ProblemError`."""
        url = urlsplit(target)
        query = parse_qs(url.query)
        match url.path:
            case "/approved-records":
                after, limit = _number(query, "after", 0), _number(query, "limit", DEFAULT_LIMIT)
                positions, texts = self._shelf.page(after, max(1, min(limit, HIGHEST_LIMIT)))
                following = str(positions[-1] if positions else after)
                rest = json.dumps({"positions": positions, "next": following})
                # The records are spliced in as their files hold them
                return f'{{"records": [{", ".join(texts)}], {rest[1:]}'
            case "/cancellations":
                after, limit = _number(query, "after", 0), _number(query, "limit", DEFAULT_LIMIT)
                entries = self._cancellations.after(after, max(1, min(limit, HIGHEST_LIMIT)))
                return json.dumps({"cancellations": entries, "next": str(after + len(entries))})
            case "/files":
                files = [{"position": place.position, "file": place.file} for place in self._shelf.present()]
                return json.dumps({"files": files})
        raise ProblemError(HTTPStatus.NOT_FOUND, "There is nothing at this address.")

    def post(self, target: str, body: bytes) -> bool:
        """Keep what was posted; False when it was there already. Raises `ProblemError`."""
        match urlsplit(target).path.split("/"):
            case ["", "approved-records", quoted, "receipt"] if quoted:
                receipt = _object(body)
                if receipt.get("outcome") not in OUTCOMES or not isinstance(receipt.get("errors", []), list):
                    raise ProblemError(HTTPStatus.BAD_REQUEST, "A receipt has an outcome and a list of errors.")
                return self._receipts.add({**receipt, "record_id": unquote(quoted)})
            case ["", "documents"]:
                document = _object(body)
                if not isinstance(document.get("record_id"), str):
                    raise ProblemError(HTTPStatus.BAD_REQUEST, "A document names its record_id.")
                return self._documents.add(document)
            case ["", "cancellations"]:
                return self._cancellations.add(_cancellation(_object(body)))
        raise ProblemError(HTTPStatus.NOT_FOUND, "There is nothing at this address.")


def _number(query: Mapping[str, list[str]], name: str, default: int) -> int:
    text = query.get(name, [""])[-1]
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"{name} is a number.")
    return int(text)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The body is not JSON.") from None
    if not isinstance(value, dict):
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The body is not a JSON object.")
    return value


def _cancellation(given: Mapping[str, Any]) -> Mapping[str, Any]:
    match given:
        case {"record_id": str(), "revision": int(), "reason": str()} if len(given) == 3:
            return given
    raise ProblemError(HTTPStatus.BAD_REQUEST, "A cancellation is record_id, revision and reason.")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one segment
    timeout = 300
    server: "_Server"

    def do_GET(self) -> None:
        try:
            self._answer(HTTPStatus.OK, self.server.system.get(self.path))
        except (ProblemError, ValueError) as error:
            self._problem(error)

    def do_POST(self) -> None:
        try:
            new = self.server.system.post(self.path, self._body())
            self._answer(HTTPStatus.CREATED if new else HTTPStatus.OK, json.dumps({"new": new}))
        except (ProblemError, ValueError) as error:
            self._problem(error)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        self.close_connection = True  # until the body is read, what follows cannot be a request
        if not (length.isascii() and length.isdigit()):
            raise ProblemError(HTTPStatus.LENGTH_REQUIRED, "A body comes with its length.")
        if int(length) > LARGEST_BODY_BYTES:
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
        body = self.rfile.read(int(length))
        self.close_connection = self.headers.get("Connection", "").lower() == "close"
        return body

    def _problem(self, error: ProblemError | ValueError) -> None:
        if not isinstance(error, ProblemError):  # a URL that urllib cannot parse
            error = ProblemError(HTTPStatus.BAD_REQUEST, "The address cannot be read.")
        status, detail = error.status, str(error)
        problem = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
        self._answer(status, json.dumps(problem), "application/problem+json")

    def _answer(self, status: HTTPStatus, text: str, media_type: str = "application/json") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: request lines name records."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    system: DocumentSystem


def main() -> None:
    """Start the document system and print where it is."""
    parser = argparse.ArgumentParser(prog="python -m simulators.document_system", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--records", type=Path, required=True, metavar="DIR")
    parser.add_argument("--directory", type=Path, required=True, metavar="STATE")
    options = parser.parse_args()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.system = DocumentSystem(options.records, options.directory)
    end_with_parent(server.shutdown)
    sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}) + "\n")
    sys.stdout.flush()
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()

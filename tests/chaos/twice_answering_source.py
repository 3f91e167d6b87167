"""A document information system that answers twice, late, not at all or with nonsense, and still tells the truth."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit


class TwiceAnsweringSource:
    """Records and cancellations in the order in which they were added; what was posted, counted.

    `trouble`: how often, of a hundred requests, something goes wrong.
    """

    def __init__(self, random: Random) -> None:
        self.records: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.documents: Counter[tuple[str, str]] = Counter()
        self.receipts: Counter[tuple[str, int, str]] = Counter()
        self.trouble = 0
        self._random = random
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def page(self, after: int, limit: int) -> dict[str, Any]:
        """The records behind `after`; now and then once more some that were handed over before."""
        with self._lock:
            if self._is_in_the_mood():
                after = max(0, after - self._random.randint(1, 3))
            end = min(after + limit, len(self.records))
            return {"records": self.records[after:end], "next": str(end)}

    def cancellations(self, after: int) -> dict[str, Any]:
        with self._lock:
            if self._is_in_the_mood():
                after = max(0, after - 1)
            return {
                "cancellations": [{"record_id": each, "revision": 1, "reason": "x"} for each in self.cancelled[after:]],
                "next": str(len(self.cancelled)),
            }

    def posted(self, path: str, body: dict[str, Any]) -> None:
        with self._lock:
            if path == "/documents":
                self.documents[body["document_number"], body["state"]] += 1
            else:
                self.receipts[path.split("/")[2], body["revision"], body["outcome"]] += 1

    def mood(self) -> str:
        """What happens to a request: `fine`, `refuse` (503), `nonsense`, or `lost` (done; the answer never comes)."""
        with self._lock:
            return self._random.choice(("refuse", "nonsense", "lost")) if self._is_in_the_mood() else "fine"

    def _is_in_the_mood(self) -> bool:
        return self._random.randrange(100) < self.trouble


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that was killed in the middle of a request is what happens here all the time."""


def _handler(source: TwiceAnsweringSource) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            mood = source.mood()
            if mood == "refuse":
                return self._answer(503, b"{}")
            if mood == "nonsense":
                return self._answer(200, b"<html>we are being repaired</html>")
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            after = int(query.get("after", ["0"])[0] or 0)
            if parts.path == "/cancellations":
                body = source.cancellations(after)
            else:
                body = source.page(after, int(query.get("limit", ["50"])[0]))
            if mood == "lost":
                return self._vanish()
            return self._answer(200, json.dumps(body).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            mood = source.mood()
            if mood == "refuse":
                return self._answer(503, b"{}")
            source.posted(urlsplit(self.path).path, body)
            if mood == "lost":
                return self._vanish()
            return self._answer(200, b"{}" if mood == "fine" else b"thanks")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _vanish(self) -> None:
            self.close_connection = True
            self.connection.close()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Handler

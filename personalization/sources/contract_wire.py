"""The wire under the contract's steps: whole answers within a time and a size, and what a step can end with."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import httpx

from personalization.sources.http import MAXIMUM_ANSWER_BYTES


class Broken(Exception):
    """The other side breaks the interface; the message is a sentence without data of a record."""


class NoAnswer(Exception):
    """No whole answer came; the message says how."""


class Remarked(Exception):
    """Nothing is broken, but something should be known."""


class NotRun(Exception):
    """The step could not judge; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, media type without its parameters in lower case, charset (empty where none is said), whole body."""

    status: int
    media_type: str
    charset: str
    body: bytes


class Wire:
    """Sends one request after the other; every answer is read whole. Redirects are not followed."""

    def __init__(self, client: httpx.Client, patience: timedelta) -> None:
        self._client = client
        self._patience = patience
        self._answers = 0
        self._slowest_seconds = 0.0

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """Raises `NoAnswer`."""
        return self._exchange("GET", path, query or {}, None)

    def post(self, path: str, content: bytes) -> Answer:
        """Raises `NoAnswer`."""
        return self._exchange("POST", path, {}, content)

    def time_to_answer(self) -> str:
        """A step: how long the slowest of all answers took. Raises `Remarked` where it came near the limit."""
        told = (
            f"The slowest of {self._answers} answers took {self._slowest_seconds:.2f} s; "
            f"{self._patience.total_seconds():g} s are allowed."
        )
        if self._slowest_seconds > self._patience.total_seconds() / 2:
            raise Remarked(told)
        return told

    def _exchange(self, method: str, path: str, query: Mapping[str, str], content: bytes | None) -> Answer:
        started = time.monotonic()
        headers = {} if content is None else {"content-type": "application/json"}
        try:
            request = self._client.build_request(
                method,
                path,
                params=dict(query),
                content=content,
                headers=headers,
                timeout=self._patience.total_seconds(),
            )
            response = self._client.send(request, stream=True, follow_redirects=False)
            try:
                body = self._read(response, started)
            finally:
                response.close()
        except httpx.TimeoutException:
            raise self._too_late() from None
        except httpx.DecodingError:
            raise NoAnswer("The content coding of the answer is damaged.") from None
        except httpx.ConnectError:
            raise NoAnswer("No connection can be made.") from None
        except (httpx.TransportError, httpx.StreamError):
            raise NoAnswer("The connection broke off before a whole answer.") from None
        except (httpx.InvalidURL, UnicodeError):
            raise NoAnswer("The address, or a cursor in it, cannot be written as a URL.") from None
        self._answers += 1
        self._slowest_seconds = max(self._slowest_seconds, time.monotonic() - started)
        kind, _, parameters = response.headers.get("content-type", "").partition(";")
        return Answer(response.status_code, kind.strip().lower(), _charset(parameters), body)

    def _read(self, response: httpx.Response, started: float) -> bytes:
        # httpx bounds the wait for each piece; an answer that drips must end as well.
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAXIMUM_ANSWER_BYTES:
                raise NoAnswer(f"The answer is longer than {MAXIMUM_ANSWER_BYTES} bytes.")
            if time.monotonic() - started > self._patience.total_seconds():
                raise self._too_late()
        return bytes(body)

    def _too_late(self) -> NoAnswer:
        return NoAnswer(f"There was no whole answer within {self._patience.total_seconds():g} s.")


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""

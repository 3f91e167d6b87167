"""Document information systems behind a transport: a sound one in memory, and ones that are wrong in one place each."""

import json
from typing import Any

import httpx

from tests.personalization.record_vectors import changed, chipless

KNOWN = "PADIS-2026-0000102"
RECORDS = tuple(
    changed(chipless(), {"/record_id": f"PADIS-2026-{100 + n:07d}", "/approved/at": f"2026-11-{10 + n}T08:00:00Z"})
    for n in range(8)
)


class Sound:
    """Keeps the interface; what a request asks is in `path` and `query` while it is answered."""

    def __init__(self) -> None:
        self.records: list[Any] = list(RECORDS)
        self.cancelled: list[Any] = [{"record_id": KNOWN, "revision": 1, "reason": "a test"}]
        self.posted: list[tuple[str, Any]] = []
        self.methods: set[str] = set()
        self.path = ""
        self.query: dict[str, str] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.path, self.query = request.url.path, dict(request.url.params)
        self.methods.add(request.method)
        return self.post(request.read()) if request.method == "POST" else self.get()

    def get(self) -> httpx.Response:
        after, limit = self.query.get("after") or "0", self.query.get("limit", "100")
        if not (after.isdecimal() and limit.isdecimal() and len(after) < 10 and len(limit) < 10):
            return self.refuse(400)
        position = int(after)
        match self.path:
            case "/approved-records":
                found = self.records[position : position + int(limit)]
                return httpx.Response(200, json={"records": found, "next": str(position + len(found))})
            case "/cancellations":
                return httpx.Response(
                    200, json={"cancellations": self.cancelled[position:], "next": str(len(self.cancelled))}
                )
        return self.refuse(404)

    def post(self, content: bytes) -> httpx.Response:
        try:
            body = json.loads(content)
        except ValueError:
            return self.refuse(400)
        if not isinstance(body, dict) or body.get("outcome", "accepted") not in ("accepted", "rejected"):
            return self.refuse(422)
        named = self.path.split("/")[2] if self.path.endswith("/receipt") else body.get("record_id")
        if not any(record["record_id"] == named for record in self.records):
            return self.refuse(404 if named else 422)
        self.posted.append((self.path, body))
        return httpx.Response(204)

    def refuse(self, status: int) -> httpx.Response:
        return httpx.Response(status, json={"title": "refused"})


class SkipsAtPageEnds(Sound):
    """Counts the cursor from behind the record after the page."""

    def get(self) -> httpx.Response:
        answer = super().get()
        if self.path == "/approved-records" and answer.status_code == 200:
            body = json.loads(answer.content)
            if len(body["records"]) == int(self.query["limit"]):
                return httpx.Response(200, json=body | {"next": str(int(body["next"]) + 1)})
        return answer


class ForgetsItsCursor(Sound):
    def get(self) -> httpx.Response:
        if self.path == "/approved-records":
            self.query.pop("after", None)
        return super().get()


class DeliversOnce(Sound):
    """Takes for received what it delivered in a long page."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Any] = []

    def get(self) -> httpx.Response:
        answer = super().get()
        if self.path != "/approved-records" or answer.status_code != 200:
            return answer
        body = json.loads(answer.content)
        body["records"] = [record for record in body["records"] if record not in self.taken]
        if int(self.query["limit"]) > 5:
            self.taken += body["records"]
        return httpx.Response(200, json=body)


class FaultOnUnknownCursor(Sound):
    def get(self) -> httpx.Response:
        return httpx.Response(500) if "no-such-cursor" in self.query.get("after", "") else super().get()


class SilentOnUnknownCursor(Sound):
    def get(self) -> httpx.Response:
        if "no-such-cursor" in self.query.get("after", ""):
            return httpx.Response(200, json={"records": [], "next": "no-such-cursor"})
        return super().get()


class NewestFirst(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.records.reverse()


class LowerRevisionLater(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.records.insert(0, changed(self.records[3], {"/revision": 2, "/approved/at": "2026-11-02T08:00:00Z"}))


class AnotherOrderEachTime(Sound):
    def get(self) -> httpx.Response:
        self.records.reverse()
        return super().get()


class SaysItIsHtml(Sound):
    def get(self) -> httpx.Response:
        answer = super().get()
        return httpx.Response(answer.status_code, content=answer.content, headers={"content-type": "text/html"})


class AnswersALoginPage(Sound):
    def get(self) -> httpx.Response:
        return httpx.Response(200, html="<html><form>Log in</form></html>")


class HasALimitOfItsOwn(Sound):
    def get(self) -> httpx.Response:
        if self.query.get("limit", "").isdecimal():
            self.query["limit"] = "6"
        return super().get()


class BeginsAnewAtTheEnd(Sound):
    """Once."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = 0

    def get(self) -> httpx.Response:
        if self.path == "/approved-records" and self.query.get("after") == str(len(self.records)):
            self.ended += 1
            if self.ended == 2:
                self.query["after"] = "0"
        return super().get()


class NoCursor(Sound):
    def get(self) -> httpx.Response:
        answer = super().get()
        if self.path == "/approved-records" and answer.status_code == 200:
            return httpx.Response(200, json={"records": json.loads(answer.content)["records"]})
        return answer


class RefusesAnEmptyCursor(Sound):
    def get(self) -> httpx.Response:
        return self.refuse(422) if self.query.get("after") == "" else super().get()


class FaultOnNonsense(Sound):
    def get(self) -> httpx.Response:
        return httpx.Response(500) if self.query.get("limit") == "many" else super().get()


class FindsEveryAddress(Sound):
    def get(self) -> httpx.Response:
        answer = super().get()
        return httpx.Response(200, html="<html>") if answer.status_code == 404 else answer


class NoCancellations(Sound):
    def get(self) -> httpx.Response:
        return self.refuse(404) if self.path == "/cancellations" else super().get()


class CancellationsInACircle(Sound):
    def get(self) -> httpx.Response:
        if self.path == "/cancellations":
            return httpx.Response(200, json={"cancellations": self.cancelled, "next": self.query.get("after", "1")})
        return super().get()


class CancelsByDecision(Sound):
    """Names the decision where the record is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = ["D-17/2026"]


class TellsNewsOnce(Sound):
    """A second receipt, or a second document, is a conflict to it."""

    def post(self, content: bytes) -> httpx.Response:
        told = len(self.posted)
        answer = super().post(content)
        return self.refuse(409) if self.posted[told:] and self.posted[-1] in self.posted[:-1] else answer


class KnowsAllStates(Sound):
    def post(self, content: bytes) -> httpx.Response:
        answer = super().post(content)
        known = self.path != "/documents" or b'"certified"' in content
        return answer if known or not answer.is_success else self.refuse(422)


class FaultOnUnknownRecord(Sound):
    def refuse(self, status: int) -> httpx.Response:
        return httpx.Response(500 if status == 404 and self.path.endswith("/receipt") else status)


class TakesReceiptsForAnybody(Sound):
    def refuse(self, status: int) -> httpx.Response:
        return httpx.Response(200 if status == 404 and self.path.endswith("/receipt") else status)


class TakesAnything(Sound):
    def post(self, content: bytes) -> httpx.Response:
        answer = super().post(content)
        return httpx.Response(200) if answer.status_code in (400, 422) else answer


class NoReceipts(Sound):
    def post(self, content: bytes) -> httpx.Response:
        return self.refuse(404) if self.path.endswith("/receipt") else super().post(content)


class BrokenOff(Sound):
    """Hangs, or breaks off, at one cursor."""

    def get(self) -> httpx.Response:
        if "no-such-cursor" in self.query.get("after", ""):
            raise httpx.ReadTimeout("late")
        return super().get()

"""The contract's steps that send: receipts and documents, for one record that the caller names, and for nobody's."""

import json
from datetime import datetime

from personalization.sources.contract_feed import FeedChecks
from personalization.sources.contract_wire import Answer, Broken, NotRun, Remarked, Wire
from personalization.sources.http import receipt_path

UNKNOWN_RECORD_ID = "PADIS-1900-0000000"
ODD_RECORD_ID = "../č %/?#"
"""A refused record may name itself so, and its receipt goes there all the same."""
DOCUMENT_NUMBER = "ZZ0000000"
"""No range of the centre's has it."""
LATER_STATE = "state-of-a-later-version"


class ReceiptChecks:
    """Steps that leave something at the other side; all are `NotRun` where no record is named."""

    def __init__(self, wire: Wire, feed: FeedChecks, *, record_id: str | None, now: datetime) -> None:
        self._wire = wire
        self._feed = feed
        self._record_id = record_id
        self._now = now

    def receipt(self) -> str:
        """The receipt of a record that was handed over is taken."""
        _taken(self._send_receipt(), "The receipt of a record that it handed over")
        return "The receipt of a record that it handed over is taken."

    def receipt_again(self) -> str:
        """Receipts come at least once."""
        _taken(self._send_receipt(), "The same receipt, sent again,")
        return "The same receipt, sent again, is taken."

    def unknown_record(self) -> str:
        """A receipt for a record that was never handed over is refused, and whatever its id, without a fault."""
        self._writing()
        body = _json({"revision": 1, "outcome": "rejected", "errors": []})
        answers = {self._wire.post(receipt_path(name), body).status for name in (UNKNOWN_RECORD_ID, ODD_RECORD_ID)}
        if max(answers) >= 500:
            raise Broken(f"A receipt for a record that it never handed over is answered with status {max(answers)}.")
        if min(answers) < 300:
            raise Remarked("A receipt for a record that it never handed over is taken; 404 would show a mix-up.")
        return f"A receipt for a record that it never handed over is refused with status {max(answers)}."

    def document(self) -> str:
        """News of a document are taken."""
        _taken(self._send_document("certified"), "A document")
        return "A document in the state certified is taken."

    def document_again(self) -> str:
        """News come at least once."""
        _taken(self._send_document("certified"), "The same document, sent again,")
        return "The same document, sent again, is taken."

    def later_state(self) -> str:
        """States and members are added with time; a source passes over what it does not know."""
        _taken(self._send_document(LATER_STATE, {"member_of_a_later_version": 1}), "A state that it does not know")
        return "A document with a state and a member that it does not know is taken."

    def malformed_messages(self) -> str:
        """Nonsense is refused with 4xx: with 5xx it would be sent again for ever."""
        record_id, revision = self._writing()
        wrong = {
            "A receipt that is no JSON": (receipt_path(record_id), b"{"),
            "A receipt that is no object": (receipt_path(record_id), b"[]"),
            "A receipt of an unknown outcome": (
                receipt_path(record_id),
                _json({"revision": revision, "outcome": "perhaps", "errors": []}),
            ),
            "A document that is no JSON": ("/documents", b"{"),
            "A document that names no record": ("/documents", b"{}"),
        }
        for what, (path, content) in wrong.items():
            answer = self._wire.post(path, content)
            if not 400 <= answer.status < 500:
                raise Broken(f"{what} is answered with status {answer.status} instead of 4xx.")
        return f"{len(wrong)} malformed messages are refused with 4xx."

    def _writing(self) -> tuple[str, int]:
        if self._record_id is None:
            raise NotRun("Nothing was to be sent: name a record of a test to send receipts and documents for.")
        revision = self._feed.revision_of(self._record_id)
        if revision is None:
            raise Broken("The named record is not among those that were handed over.")
        return self._record_id, revision

    def _send_receipt(self) -> Answer:
        record_id, revision = self._writing()
        body = {"revision": revision, "outcome": "accepted", "errors": []}
        return self._wire.post(receipt_path(record_id), _json(body))

    def _send_document(self, state: str, more: dict[str, object] | None = None) -> Answer:
        record_id, revision = self._writing()
        body = {
            "record_id": record_id,
            "revision": revision,
            "document_number": DOCUMENT_NUMBER,
            "state": state,
            "at": self._now.isoformat(),
            "certificates": [],
            **(more or {}),
        }
        return self._wire.post("/documents", _json(body))


def _taken(answer: Answer, what: str) -> None:
    if not 200 <= answer.status < 300:
        raise Broken(f"{what} is answered with status {answer.status} instead of 2xx.")


def _json(body: object) -> bytes:
    return json.dumps(body, sort_keys=True).encode("ascii")

"""The audit log as a file of JSON lines, for whoever proves it without this centre's database or HSM.

    {"format": "eid-perso audit export 1"}
    {"body": "{...}", "hash": "…", "previous_hash": "…", "seq": 1}
    {"checkpoint": 1, "hash": "…", "key": "audit", "signature": "base64 of DER"}
    {"checkpoint": 1, "last": 1}

An event's body is the text that was hashed (itself JSON). Its checkpoint stands right behind it. When a checkpoint was
signed is left out: no signature covers it. The last line says what the file holds, so that a copy that broke off
shows; it is signed by nobody, so whoever cuts the file on purpose can write it anew: an anchor finds that.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import IO, Any

from personalization.audit_verification import AuditBroken, Checkpoint, Entry, Fault, LoggedEvent
from personalization.strict_json import JsonMalformed, RepeatedNames, loads

FORMAT = "eid-perso audit export 1"
LONGEST_LINE_BYTES = 1024 * 1024
_EVENT = {"seq", "body", "previous_hash", "hash"}
_CHECKPOINT = {"checkpoint", "hash", "key", "signature"}
_END = {"last", "checkpoint"}


def lines_of(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The file, line by line."""
    yield _line({"format": FORMAT})
    last = signed = 0
    for entry in entries:
        if isinstance(entry, LoggedEvent):
            last = entry.seq
            yield _line(
                {"seq": entry.seq, "body": entry.body, "previous_hash": entry.previous_hash, "hash": entry.hash}
            )
        else:
            signed = entry.seq
            signature = base64.b64encode(entry.signature).decode()
            yield _line({"checkpoint": entry.seq, "hash": entry.hash, "key": entry.key_label, "signature": signature})
    yield _line({"last": last, "checkpoint": signed})


def entries_of(file: IO[bytes]) -> Iterator[Entry]:
    """What the file holds, proven by nothing yet. Raises `AuditBroken` where it is no such file or is cut."""
    return _Reading(file).entries()


def refuse_unsigned(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same entries; raises `AuditBroken` at the end where events stand behind the last checkpoint."""
    last = signed = 0
    for entry in entries:
        yield entry
        last, signed = (entry.seq, signed) if isinstance(entry, LoggedEvent) else (last, entry.seq)
    if last > signed:
        sentence = (
            f"events {signed + 1} to {last} stand behind the last checkpoint: no signature says that they are ours"
        )
        raise AuditBroken(signed + 1, Fault.UNSIGNED, sentence)


def _line(members: dict[str, object]) -> bytes:
    return json.dumps(members, sort_keys=True, ensure_ascii=True).encode() + b"\n"


class _Reading:
    """One file being read: the line it stands at, and the last numbers it has seen."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._line = 0
        self._last = 0
        self._signed = 0

    def entries(self) -> Iterator[Entry]:
        """See `entries_of`."""
        if self._next() != {"format": FORMAT}:
            raise self._broken(Fault.MALFORMED, f"the first line is not that of an {FORMAT!r}")
        while (members := self._next()) is not None:
            if members.keys() == _END:
                self._check_end(members)
                return
            yield self._entry(members)
        sentence = f"the file stops after event {self._last} without its end: it was cut, or its export was broken off"
        raise self._broken(Fault.CUT, sentence)

    def _entry(self, members: dict[str, Any]) -> Entry:
        if members.keys() == _EVENT:
            self._last = self._number(members["seq"])
            return LoggedEvent(self._last, *(self._text(members[name]) for name in ("body", "previous_hash", "hash")))
        if members.keys() == _CHECKPOINT:
            self._signed = self._number(members["checkpoint"])
            digest, label = self._text(members["hash"]), self._text(members["key"])
            return Checkpoint(self._signed, digest, label, self._octets(members["signature"]))
        raise self._malformed()

    def _check_end(self, members: dict[str, Any]) -> None:
        if members != {"last": self._last, "checkpoint": self._signed}:
            sentence = f"the file's log ends at {self._last}, its last line says otherwise: lines were cut or added"
            raise self._broken(Fault.CUT, sentence)
        if self._file.read(1):
            raise self._broken(Fault.MALFORMED, f"something stands behind the end of the file's log at {self._last}")

    def _next(self) -> dict[str, Any] | None:
        line = self._file.readline(LONGEST_LINE_BYTES + 1)
        if not line:
            return None
        self._line += 1
        if len(line) <= LONGEST_LINE_BYTES and not line.endswith(b"\n"):
            raise self._broken(Fault.CUT, f"the file breaks off within line {self._line}, after event {self._last}")
        try:
            members = loads(line)
        except JsonMalformed:
            raise self._malformed() from None
        if not isinstance(members, dict) or isinstance(members, RepeatedNames):
            raise self._malformed()
        return members

    def _number(self, value: object) -> int:
        if type(value) is not int or value < 1:
            raise self._malformed()
        return value

    def _text(self, value: object) -> str:
        if not isinstance(value, str):
            raise self._malformed()
        return value

    def _octets(self, value: object) -> bytes:
        try:
            return base64.b64decode(self._text(value), validate=True)
        except ValueError:  # binascii.Error is one
            raise self._malformed() from None

    def _malformed(self) -> AuditBroken:
        return self._broken(Fault.MALFORMED, f"line {self._line} of the file is no line of an audit export")

    def _broken(self, fault: Fault, sentence: str) -> AuditBroken:
        return AuditBroken(self._last + 1, fault, sentence)

"""What proves the audit log, wherever it is kept: numbers, hash chain, signed checkpoints, written-down anchors.

Pure: it is given entries one after the other and trusts nothing in them. A database and an exported file are proven by
the same code.

What each of them shows, and what it does not:
1. Numbers and chain show that nothing was changed, moved or taken out of the middle. Whoever can write the log can
   compute a whole new chain.
2. Checkpoints show that the events up to the last one are those that the HSM signed. Events after it are chained
   alone: anybody may have added them. A log that is cut right behind an earlier checkpoint is a whole log, but shorter.
3. An anchor (number and hash that were written down elsewhere) shows that the log still holds what it held then:
   neither cut nor written anew, not even by whoever holds the audit key.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from hsm.ports import PublicKey
from personalization.errors import EngineError
from pki.ecdsa import verify
from pki.errors import SignatureInvalid

GENESIS = "0" * 64
CHECKPOINT_CONTEXT = b"eid-perso audit checkpoint 1\n"
NO_ANCHORS: Mapping[int, str] = MappingProxyType({})
_ANCHOR = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


class Fault(StrEnum):
    """The kind of a break."""

    CUT = "cut"
    MISSING = "missing"
    OUT_OF_ORDER = "out-of-order"
    CHANGED = "changed"
    CHECKPOINT = "checkpoint"
    SIGNATURE = "signature"
    UNSIGNED = "unsigned"
    ANCHOR = "anchor"
    MALFORMED = "malformed"


class AuditBroken(EngineError):
    """The log does not hold: `number` is the first that cannot be believed, `fault` the kind."""

    def __init__(self, number: int, fault: Fault, sentence: str) -> None:
        super().__init__(sentence)
        self.number = number
        self.fault = fault


class AnchorMalformed(EngineError):
    """A text is no anchor."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event as it is kept: `body` is the very text that was hashed, hashes are lower-case hex."""

    seq: int
    body: str
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The HSM's signature (DER) over the number and hash of one event."""

    seq: int
    hash: str
    key_label: str
    signature: bytes


Entry = LoggedEvent | Checkpoint
"""A log is events by number, each followed by its checkpoint where it has one."""


@dataclass(frozen=True, slots=True)
class Proven:
    """What a whole log is: its last number and hash, and the last number under a checkpoint (0 where there is none)."""

    last: int
    last_hash: str
    signed: int

    @property
    def unsigned(self) -> int:
        """Events after the last checkpoint: chained, not signed yet."""
        return self.last - self.signed

    @property
    def anchor(self) -> str | None:
        """What to write down elsewhere today; None for an empty log."""
        return f"{self.last}:{self.last_hash}" if self.last else None


def chain_hash(previous_hash: str, seq: int, body: str) -> str:
    """SHA-256 over the previous hash, the number and the body, in hex."""
    return hashlib.sha256(f"{previous_hash}\n{seq}\n{body}".encode()).hexdigest()


def checkpoint_digest(seq: int, event_hash: str) -> bytes:
    """What a checkpoint signs: SHA-256 over context, number and hash."""
    return hashlib.sha256(CHECKPOINT_CONTEXT + f"{seq}\n{event_hash}\n".encode()).digest()


def read_anchors(texts: Iterable[str]) -> Mapping[int, str]:
    """`NUMBER:HASH` of each; number -> hash. Raises `AnchorMalformed`."""
    anchors: dict[int, str] = {}
    for text in texts:
        found = _ANCHOR.fullmatch(text.strip().lower())
        if found is None:
            raise AnchorMalformed("an anchor is written NUMBER:HASH, the hash as 64 hexadecimal digits")
        number, digest = int(found[1]), found[2]
        if anchors.setdefault(number, digest) != digest:
            raise AnchorMalformed(f"two anchors of number {number} differ")
    return anchors


def verify_log(entries: Iterable[Entry], public: PublicKey | None, anchors: Mapping[int, str] = NO_ANCHORS) -> Proven:
    """Prove a log from its first entry on. Without `public` its checkpoints' signatures are left unproven.

    Raises `AuditBroken` at the first number that does not hold.
    """
    last, last_hash, signed = 0, GENESIS, 0
    for entry in entries:
        if isinstance(entry, LoggedEvent):
            _check_event(entry, last, last_hash)
            last, last_hash = entry.seq, entry.hash
            if anchors.get(last, last_hash) != last_hash:
                sentence = f"event {last} is not the one whose hash was written down: the log was written anew"
                raise AuditBroken(last, Fault.ANCHOR, sentence)
        else:
            _check_checkpoint(entry, last, last_hash, signed, public)
            signed = entry.seq
    beyond = [number for number in anchors if number > last]
    if beyond:
        sentence = f"the log ends at {last}, but the hash of event {max(beyond)} was written down: it was cut"
        raise AuditBroken(last + 1, Fault.CUT, sentence)
    return Proven(last, last_hash, signed)


def _check_event(event: LoggedEvent, last: int, last_hash: str) -> None:
    # 1. The number follows.
    expected = last + 1
    if event.seq <= last:
        raise AuditBroken(expected, Fault.OUT_OF_ORDER, f"event {event.seq} follows {last}: out of order or twice")
    if event.seq != expected:
        raise AuditBroken(expected, Fault.MISSING, f"event {expected} is missing: {event.seq} follows {last}")
    # 2. It names the one before it, and its hash is over that, its number and its body.
    if event.previous_hash != last_hash or event.hash != _hash_of(event):
        raise AuditBroken(expected, Fault.CHANGED, f"event {expected} does not follow from the one before it")


def _hash_of(event: LoggedEvent) -> str | None:
    try:
        return chain_hash(event.previous_hash, event.seq, event.body)
    except UnicodeEncodeError:  # half a surrogate pair, which no body of ours holds
        return None


def _check_checkpoint(point: Checkpoint, last: int, last_hash: str, signed: int, public: PublicKey | None) -> None:
    # 3. It stands right behind its event, once, and over that event's hash.
    if point.seq <= signed:
        raise AuditBroken(point.seq, Fault.OUT_OF_ORDER, f"checkpoint {point.seq} is there twice or out of order")
    if point.seq != last or point.hash != last_hash:
        sentence = f"event {point.seq} is not the one that checkpoint {point.seq} was signed over"
        raise AuditBroken(min(point.seq, last + 1), Fault.CHECKPOINT, sentence)
    # 4. The audit key signed it.
    if public is None:
        return
    try:
        verify(public, checkpoint_digest(point.seq, point.hash), point.signature)
    except SignatureInvalid:
        sentence = f"the signature of checkpoint {point.seq} does not verify"
        raise AuditBroken(point.seq, Fault.SIGNATURE, sentence) from None

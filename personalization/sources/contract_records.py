"""What the contract keeps of a delivered record, and the steps over all of them: their order and the rules."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from personalization.records import CheckedRecord, Places, check_record
from personalization.rules.calendar_days import parse_instant
from personalization.sources.contract_wire import Broken


@dataclass(frozen=True, slots=True)
class Delivered:
    """One record as it came: a digest of all of it, who it says it is, when approved, and the rules it breaks."""

    digest: bytes
    record_id: str | None
    revision: int | None
    approved_at: datetime | None
    broken_rules: tuple[str, ...]


def judged(record: object, places: Places, *, now: datetime) -> Delivered:
    """A delivered record, checked as the centre checks it; the record itself is not kept."""
    checked = check_record(record, places, now=now)
    if isinstance(checked, CheckedRecord):
        return Delivered(digest_of(record), checked.record_id, checked.revision, checked.approved.at, ())
    members = record if isinstance(record, dict) else {}
    record_id, revision = members.get("record_id"), members.get("revision")
    return Delivered(
        digest_of(record),
        record_id if isinstance(record_id, str) else None,
        revision if isinstance(revision, int) and not isinstance(revision, bool) else None,
        _approved_at(record),
        tuple(sorted({failure.rule for failure in checked})),
    )


def digest_of(record: object) -> bytes:
    """SHA-256 of a record in one written form, whatever was delivered (lone surrogates and NaN too)."""
    try:
        written = json.dumps(record, sort_keys=True)
    except RecursionError:
        written = "nested too deeply"  # its rule says so; two such records are not told apart
    return hashlib.sha256(written.encode("ascii")).digest()


def check_order(delivered: Sequence[Delivered]) -> str:
    """Oldest first, and no revision after a higher one of the same record. Raises `Broken`."""
    highest: dict[str, int] = {}
    latest: datetime | None = None
    for each in delivered:
        if each.record_id is not None and each.revision is not None:
            before = highest.get(each.record_id)
            if before is not None and each.revision < before:
                raise Broken("A revision came after a higher one of the same record; it is refused (superseded).")
            highest[each.record_id] = each.revision
            if before is not None:
                continue  # delivered again, or corrected: its approval may be as old as before
        if each.approved_at is not None:
            if latest is not None and each.approved_at < latest:
                raise Broken("A record came after one that was approved later: pages are oldest first.")
            latest = each.approved_at
    return f"{len(delivered)} records came in the order of their approval."


def check_rules(delivered: Sequence[Delivered]) -> str:
    """Every record is of the schema and breaks no rule. Raises `Broken` with the count of each rule."""
    bad = [each.broken_rules for each in delivered if each.broken_rules]
    if bad:
        counts = Counter(rule for rules in bad for rule in rules)
        listed = ", ".join(f"{rule} {count}" for rule, count in sorted(counts.items()))
        raise Broken(f"{len(bad)} of {len(delivered)} records break rules: {listed}.")
    return f"{len(delivered)} of {len(delivered)} records keep the schema and every rule."


def _approved_at(record: object) -> datetime | None:
    try:
        return parse_instant(record["approved"]["at"]).at  # type: ignore[index]
    except (KeyError, TypeError, IndexError, ValueError):
        return None

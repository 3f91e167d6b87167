"""Whatever a source delivers, the check says what is wrong, where, and never what it read."""

import copy
import json
import math
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personalization.records import CheckedRecord, Failure, check_record, record_from_bytes, record_to_bytes
from personalization.rules.schema import member_names
from personalization.strict_json import loads
from tests.personalization.record_vectors import CHILD, CITIZEN, NOW, PLACES, SAMPLES, changed, chipless

WITHOUT_PICTURES = changed(
    CITIZEN, {"/images/portrait/data": "", "/images/signature": None, "/images/fingerprints": []}
)
"""Quick to judge; the pictures have their own tests."""
ACCEPTED_CHIP, ACCEPTED_CHIPLESS = CITIZEN, chipless()
SECRET, NUMBER = "Zqx7Wv", 918_273_645
"""In every text and number that a change brings in."""
BASES: tuple[Any, ...] = (WITHOUT_PICTURES, changed(CHILD, {"/images/portrait/data": "????"}))
ODD: st.SearchStrategy[object] = st.sampled_from(
    [
        None, True, False, 0, -1, 2**31, 2**63, 10**400, 1.0, -0.0, 1e308, math.nan, math.inf,
        "", " ", "0", "\0", "\ud800", "0000-00-00", "2023-02-29", "9999-12-31", "2026-11-12T24:00:00Z",
        "0001-01-01T00:00:00+23:59", "320000-00000", "310278-00000", "٣٢٠٠٠٠-٠٠٠٠٠", "LVA", "RIGA-4", "a@b",
        "Ä" * 200, "\u202e", "A\u0301", [], {}, [[]], [{}], {"": {}}, b"octets",
        {"data": "", "sha256": "", "media_type": "image/jpeg"},
    ]
)  # fmt: skip
MARKED = st.text(max_size=12).map(lambda text: f"{text}{SECRET}")
JSON = st.recursive(
    ODD | MARKED | st.integers() | st.floats() | st.just(NUMBER),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MARKED, inner, max_size=3),
    max_leaves=5,
)
QUICK = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def places_of(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value inside."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield (*path, name)
        yield from places_of(member, (*path, name))


@st.composite
def mutated_records(draw: st.DrawFn) -> Any:
    """A sample with one to five changes: values replaced, swapped, taken away, repeated, members added or renamed."""
    record = copy.deepcopy(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(1, 5))):
        places = list(places_of(record))
        if not places:
            break
        *path, last = draw(st.sampled_from(places))
        holder: Any = record
        for token in path:
            holder = holder[token]
        match draw(st.integers(0, 5)):
            case 0 | 1:
                holder[last] = draw(JSON)
            case 2:
                del holder[last]
            case 3 if isinstance(holder, dict):
                holder[draw(MARKED | st.sampled_from(sorted(member_names())))] = holder[last]
            case 4 if isinstance(holder[last], str):
                at = draw(st.integers(0, len(holder[last])))
                holder[last] = holder[last][:at] + draw(MARKED) + holder[last][at + 1 :]
            case _:
                *other, name = draw(st.sampled_from(places))
                taken: Any = record
                for token in other:
                    taken = taken[token] if _has(taken, token) else None
                holder[last] = copy.deepcopy(taken[name]) if _has(taken, name) else None
    return record


def _has(value: Any, token: str | int) -> bool:
    if isinstance(value, dict):
        return token in value
    return isinstance(value, list) and isinstance(token, int) and token < len(value)


def resolves(document: Any, pointer: str) -> bool:
    """Whether RFC 6901 finds something there."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        elif isinstance(document, dict) and name in document:
            document = document[name]
        else:
            return False
    return True


def check_failures(record: Any, failures: tuple[Failure, ...]) -> None:
    """Each is a sentence of our own about a place that is there, or about a member that is not."""
    assert failures
    for failure in failures:
        assert re.fullmatch(r"[A-Z].*\.", failure.message), failure.rule
        assert resolves(record, failure.pointer), failure.rule
        assert all(token.isdecimal() or token in member_names() for token in failure.pointer.split("/")[1:])
        for word in OWN_WORDS:
            assert word not in failure.message, failure.rule


OWN_WORDS = frozenset(
    {SECRET, str(NUMBER)}
    | {text for base in BASES for text in base["holder"].values() if isinstance(text, str) and len(text) > 3}
    | {text for base in BASES for text in base["certificates"]["contact"].values()}
    | {base["approved"][name] for base in BASES for name in ("officer", "decision_id")}
) - {"LVA"}


@QUICK
@given(mutated_records())
def test_a_changed_record_is_checked_or_told_its_failures(record: Any) -> None:
    before = copy.deepcopy(record)
    result = check_record(record, PLACES, now=NOW)
    assert repr(record) == repr(before), "the check changes nothing"
    if isinstance(result, CheckedRecord):
        assert record_from_bytes(record_to_bytes(result)) == result
    else:
        check_failures(record, result)
        assert result == check_record(record, PLACES, now=NOW)


@QUICK
@given(JSON)
def test_any_json_is_told_its_failures(value: Any) -> None:
    result = check_record(value, PLACES, now=NOW)
    assert isinstance(result, tuple)
    check_failures(value, result)


@QUICK
@given(mutated_records())
def test_a_changed_record_off_the_wire_is_read_the_same(record: Any) -> None:
    try:
        wire = json.dumps(record).encode()
    except (TypeError, ValueError):  # of no type that JSON has, or a number too long for the wire
        return
    result = check_record(loads(wire), PLACES, now=NOW)
    if isinstance(result, tuple):
        check_failures(record, result)
    else:
        assert result == check_record(record, PLACES, now=NOW)


NAME = st.text(st.sampled_from("AāBčDēGģĪķĻŅŠūŽ -'’,.éü"), min_size=1, max_size=30)
CODES = st.integers(0, 10**9 - 1).map(lambda number: f"32{number // 10**5:04d}-{number % 10**5:05d}")
HOLDERS = st.fixed_dictionaries(
    {
        "/holder/surname": NAME,
        "/holder/given_names": NAME,
        "/holder/personal_code": st.none() | CODES,
        "/holder/height_cm": st.none() | st.integers(40, 260),
        "/holder/sex": st.sampled_from("FMX"),
    }
)


@settings(max_examples=80)
@given(HOLDERS, st.booleans())
def test_records_that_are_accepted_come_back_from_storage(holder: dict[str, object], chip: bool) -> None:
    wanted = {"/certificates/wanted": chip and holder["/holder/personal_code"] is not None}
    record = changed(ACCEPTED_CHIP if chip else ACCEPTED_CHIPLESS, holder | wanted)
    result = check_record(record, PLACES, now=NOW)
    if isinstance(result, CheckedRecord):
        stored = record_to_bytes(result)
        assert record_from_bytes(stored) == result
        assert record_to_bytes(record_from_bytes(stored)) == stored
    else:
        check_failures(record, result)


def test_the_strategies_meet_both_answers() -> None:
    """Else the properties above would hold of nothing."""
    for base in (ACCEPTED_CHIP, ACCEPTED_CHIPLESS):
        assert isinstance(check_record(base, PLACES, now=NOW), CheckedRecord)
    for base in BASES:
        assert isinstance(check_record(base, PLACES, now=NOW), tuple)


def test_every_sample_survives_storage_when_its_members_stand_in_another_order() -> None:
    for path in SAMPLES[:6]:
        record = json.loads(path.read_text("utf-8"))
        turned = {name: record[name] for name in reversed(record)}
        first, second = (check_record(one, PLACES, now=NOW) for one in (record, turned))
        assert isinstance(first, CheckedRecord)
        assert isinstance(second, CheckedRecord)
        assert record_to_bytes(first) == record_to_bytes(second)

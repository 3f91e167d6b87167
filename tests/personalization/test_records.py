"""The check of a whole record: what is accepted, all failures at once, nothing quoted, nothing that makes it raise."""

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personalization.records import CheckedRecord, Failure, check_record, record_from_bytes, record_to_bytes
from personalization.strict_json import JsonMalformed, loads, refuse_oddities
from tests.personalization.record_vectors import (
    CITIZEN,
    NOW,
    PLACES,
    REMOVED,
    SAMPLES,
    changed,
    failures,
    failures_with,
)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_is_accepted_and_comes_back_from_storage(path: Any) -> None:
    record = check_record(json.loads(path.read_text("utf-8")), PLACES, now=NOW)
    assert isinstance(record, CheckedRecord), record
    assert record.record_id == path.stem
    assert record_from_bytes(record_to_bytes(record)) == record
    assert record_to_bytes(record_from_bytes(record_to_bytes(record))) == record_to_bytes(record)


def test_there_are_24_samples() -> None:
    assert len(SAMPLES) == 24


def test_the_checked_form_is_typed_and_shows_no_personal_data() -> None:
    record = check_record(CITIZEN, PLACES, now=NOW)
    assert isinstance(record, CheckedRecord)
    assert record.document.issue_date.isoformat() == "2026-11-23"
    assert record.approved.day.isoformat() == "2026-11-12"
    assert (record.images.portrait.width_px, record.images.portrait.height_px) == (413, 531)
    assert [finger.position for finger in record.images.fingerprints] == [2, 7]
    assert repr(record) == "CheckedRecord(record_id='PADIS-2026-0000002', revision=1)"


def test_all_failures_of_a_record_come_at_once() -> None:
    found = failures_with(
        {
            "/holder/sex": "Q",
            "/holder/personal_code": "040978-11028",
            "/holder/surname": "Kalnin\u0327a",
            "/holder/nationality": "DEU",
            "/delivery/code": "RIGA-9",
            "/approved/second_officer": "OFFICER-110",
            "/images/fingerprints/1/image/sha256": "0" * 64,
            "/images/portrait/data": "????",
            "/document/expiry_date": "2026-11-23",
        }
    )
    assert found == {
        ("/holder/sex", "schema/enum"),
        ("/holder/personal_code", "personal-code-check-digit"),
        ("/holder/surname", "text-nfc"),
        ("/holder/nationality", "nationality"),
        ("/delivery/code", "delivery-place"),
        ("/approved/second_officer", "four-eyes"),
        ("/images/fingerprints/1/image/sha256", "image-digest"),
        ("/images/portrait/data", "image-base64"),
        ("/document/expiry_date", "expiry-after-issue"),
    }


def test_a_schema_failure_does_not_hide_broken_rules_beside_it() -> None:
    found = failures_with({"/holder/height_cm": "tall", "/holder/given_names": REMOVED, "/holder/nationality": "QQQ"})
    assert found == {
        ("/holder/height_cm", "schema/type"),
        ("/holder", "schema/required"),
        ("/holder/nationality", "nationality"),
    }


def test_failures_are_sentences_and_quote_no_value() -> None:
    secret = "SECRETVALUE"
    record: Any = {}
    for member, value in CITIZEN.items():
        record[member] = dict.fromkeys(value, secret) if isinstance(value, dict) else secret
    record["holder"][secret] = secret
    result = check_record(record, PLACES, now=NOW)
    assert isinstance(result, tuple)
    assert len(result) > 20
    for failure in result:
        assert failure.message.endswith(".")
        assert failure.message[0].isupper()
        assert secret not in failure.message
        assert secret not in failure.pointer
        assert failure.rule


def test_failures_are_bounded() -> None:
    fingers = [{"position": "x", "image": {}} for _ in range(200)]
    result = check_record({"images": {"fingerprints": fingers}}, PLACES, now=NOW)
    assert isinstance(result, tuple)
    assert len(result) == 100
    assert Failure("", "failures-many", "There are more than 100 failures; these are the first.") in result


def _nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("/holder/surname", "\ud800", ("/holder/surname", "json/text")),
        ("/holder/height_cm", math.nan, ("/holder/height_cm", "json/number")),
        ("/revision", math.inf, ("/revision", "json/number")),
        ("/holder/surname", b"bytes", ("/holder/surname", "json/type")),
        ("/holder", {1: 2}, ("/holder", "json/name")),
        ("/holder", {"\udfff": 2}, ("/holder", "json/name")),
        ("/revision", 10**400, ("/revision", "revision-range")),
        ("/revision", 2**31, ("/revision", "revision-range")),
        ("/revision", True, ("/revision", "schema/type")),
        ("/revision", 0, ("/revision", "schema/minimum")),
        ("/images/fingerprints", [[]] * 20_000, ("", "json/size")),
    ],
)
def test_what_is_no_json_is_refused_at_its_place(place: str, value: object, expected: tuple[str, str]) -> None:
    assert expected in failures_with({place: value})


@pytest.mark.parametrize("text", ["", "{", "Kalniņa", "\ud800", '{"record_id": "PADIS-2026-0000001"}', "[" * 100_000])
def test_a_record_that_is_text_was_not_json_at_its_source(text: str) -> None:
    (failure,) = check_record(text, PLACES, now=NOW)  # type: ignore[misc]
    assert (failure.pointer, failure.rule) == ("", "json/form")
    assert failure.message == (
        "The record is not a JSON object: what was delivered is text that does not parse as JSON, is too large or is "
        "nested too deeply."
    )


@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], [{}]])
def test_other_values_that_are_no_object_are_of_the_wrong_type(value: object) -> None:
    assert failures(value) == {("", "schema/type")}


def test_nesting_without_end_is_refused() -> None:
    found = failures_with({"/holder/surname": _nested(100_000)})
    assert any(rule == "json/depth" and pointer.startswith("/holder/surname/0") for pointer, rule in found)


def test_a_whole_number_written_with_a_point_is_an_integer() -> None:
    record = check_record(changed(CITIZEN, {"/revision": 2.0, "/holder/height_cm": 170.0}), PLACES, now=NOW)
    assert isinstance(record, CheckedRecord)
    assert type(record.revision) is int
    assert record.holder.height_cm == 170


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
POINTERS = [
    *(f"/{group}" for group in CITIZEN),
    *(f"/{group}/{name}" for group, members in CITIZEN.items() if isinstance(members, dict) for name in members),
    *(f"/images/portrait/{name}" for name in ("media_type", "sha256", "data")),
    "/images/fingerprints/0",
    "/images/fingerprints/1/position",
    "/images/fingerprints/1/image/data",
    "/certificates/contact/email",
]


@given(JSON)
def test_no_value_makes_the_check_raise(value: object) -> None:
    assert isinstance(check_record(value, PLACES, now=NOW), tuple)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(st.sampled_from(POINTERS), min_size=1, max_size=3), JSON)
def test_no_value_in_a_record_makes_the_check_raise(pointers: set[str], value: object) -> None:
    # the deepest first, so that a place is still there when its turn comes
    changes = dict.fromkeys(sorted(pointers, key=len, reverse=True), value)
    check_record(changed(CITIZEN, changes), PLACES, now=NOW)


@settings(max_examples=150, deadline=None)
@given(
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True),
    st.from_regex(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-6][0-9](\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})", fullmatch=True
    ),
)
def test_no_date_makes_the_check_raise(day: str, instant: str) -> None:
    without_pictures = changed(CITIZEN, {"/images": {}})
    for place in ("/holder/birth_date", "/document/issue_date", "/document/expiry_date"):
        assert failures(changed(without_pictures, {place: day, "/approved/at": instant}))


def test_a_naive_now_is_a_fault_of_the_program() -> None:
    with pytest.raises(ValueError, match="aware"):
        check_record(CITIZEN, PLACES, now=NOW.replace(tzinfo=None))


def test_the_name_of_an_unknown_member_stands_in_no_pointer() -> None:
    for value in (math.nan, "\ud800", {"a": [math.inf]}, json.loads("[" * 20 + "]" * 20)):
        assert failures_with({"/holder/Kalniņš-Unknown": value}) == {("/holder", "schema/additionalProperties")}


def test_json_that_hides_something_is_read_so_that_the_check_refuses_it() -> None:
    text = json.dumps(CITIZEN).replace('"surname":', '"surname": "Other", "surname":', 1)
    assert ("/holder", "json/repeated-name") in failures(loads(text.encode()))
    assert failures(loads(json.dumps(changed(CITIZEN, {"/revision": math.nan})).encode())) == {
        ("/revision", "json/number")
    }
    digits = loads(b'{"revision": 1' + b"0" * 5000 + b"}")
    assert ("/revision", "json/number") in failures(digits)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": 1} x', b"[" * 100_000])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(JsonMalformed):
        loads(body)


@pytest.mark.parametrize("body", [b'{"next": "1", "next": "2"}', b'{"next": NaN}'])
def test_oddities_of_an_envelope_are_malformed(body: bytes) -> None:
    with pytest.raises(JsonMalformed):
        refuse_oddities(loads(body))

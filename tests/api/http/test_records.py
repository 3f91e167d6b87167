"""Records over HTTP: accepted once, refused with every failure, in bulk line by line, and never answered by a 5xx."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.http import bodies
from personalization.acceptance_door import AcceptanceAway
from personalization.errors import Halt, StoreUnavailable
from tests.api.http.in_process import JSON, NDJSON, Api, DirectAcceptance, problem
from tests.personalization.engine.made_up import sample

CHILD, CITIZEN = "PADIS-2026-0000003", "PADIS-2026-0000002"


def push(api: Api, record: object, caller: str = "padis") -> Any:
    return api.as_(caller).post("/v1/records", content=json.dumps(record), headers=JSON)


def bulk(api: Api, *lines: object) -> list[dict[str, Any]]:
    """The answers to a bulk; bytes are sent as they are."""
    content = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    answer = api.as_("padis").post("/v1/records", content=content, headers=NDJSON)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def broken(name: str = CHILD, **changes: object) -> dict[str, Any]:
    """A record with two failures."""
    record = sample(name, **changes)
    record["delivery"] = {"kind": "branch", "code": "NOWHERE"}
    record["approved"]["second_officer"] = record["approved"]["officer"]
    return record


# --- one ----------------------------------------------------------------------------------------------------------
def test_a_record_is_accepted_once_however_often_it_comes(api: Api) -> None:
    first = push(api, sample())
    told = {
        "record_id": CHILD,
        "revision": 1,
        "outcome": "accepted",
        "job_id": f"{CHILD}-r1-a1",
        "repeated": False,
    }
    assert (first.status_code, first.json()) == (201, told)
    assert first.headers["location"] == f"/v1/records/{CHILD}"
    again = push(api, sample())
    assert (again.status_code, again.json()) == (200, told | {"repeated": True})


def test_a_rejected_record_names_all_failures_at_once_and_no_value(api: Api) -> None:
    answer = push(api, broken())
    body = problem(answer, "record-rejected")
    assert (body["record_id"], body["revision"]) == (CHILD, 1)
    assert {error["pointer"] for error in body["errors"]} == {"/delivery/code", "/approved/second_officer"}
    assert "NOWHERE" not in answer.text


def test_a_correction_is_a_job_of_its_own_and_the_old_one_ends(api: Api) -> None:
    push(api, sample())
    assert push(api, sample(revision=2)).json()["job_id"] == f"{CHILD}-r2-a1"
    late = problem(push(api, sample(revision=1)), "record-rejected")
    assert [error["rule"] for error in late["errors"]] == ["superseded"]
    record = api.as_("padis").get(f"/v1/records/{CHILD}").json()
    assert record["revision"] == 2
    assert [(job["id"], job["state"], job["reason"]) for job in record["jobs"]] == [
        (f"{CHILD}-r1-a1", "cancelled", "replaced-by-revision"),
        (f"{CHILD}-r2-a1", "ready", None),
    ]
    assert [(each["revision"], each["outcome"]) for each in record["receipts"]] == [
        (1, "accepted"), (2, "accepted"), (1, "rejected"),
    ]  # fmt: skip


def test_what_is_read_of_a_record_holds_nothing_of_its_holder(api: Api) -> None:
    push(api, sample(CITIZEN))
    answer = api.as_("auditor").get(f"/v1/records/{CITIZEN}")
    assert answer.status_code == 200
    holder = sample(CITIZEN)["holder"]
    for value in (holder["surname"], holder["given_names"], holder["personal_code"], holder["birth_date"]):
        assert value not in answer.text


def test_another_source_sees_nothing_of_it_and_cannot_take_it_over(api: Api) -> None:
    push(api, sample())
    problem(api.as_("vmis").get(f"/v1/records/{CHILD}"), "record-unknown")
    problem(push(api, sample(revision=2), "vmis"), "record-rejected")
    problem(api.as_("vmis").get(f"/v1/records/{CHILD}"), "record-unknown")
    assert [each["revision"] for each in api.as_("padis").get(f"/v1/records/{CHILD}").json()["receipts"]] == [1]
    assert len(api.as_("auditor").get(f"/v1/records/{CHILD}").json()["receipts"]) == 2


def test_a_record_that_was_only_ever_rejected_is_read_by_who_sent_it(api: Api) -> None:
    push(api, broken())
    record = api.as_("padis").get(f"/v1/records/{CHILD}").json()
    assert (record["revision"], record["jobs"], len(record["receipts"][0]["errors"])) == (None, [], 2)
    problem(api.as_("vmis").get(f"/v1/records/{CHILD}"), "record-unknown")


# --- what is no record --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b'{"record_id": "190422-26041"', b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000],
    ids=["nothing", "cut off", "not UTF-8", "cut off with a value", "deep, cut off", "deep"],
)
def test_what_is_not_json_is_a_problem(api: Api, content: bytes) -> None:
    answer = api.as_("padis").post("/v1/records", content=content, headers=JSON)
    problem(answer, "malformed-json")
    assert "190422" not in answer.text


@pytest.mark.parametrize(
    "content",
    [b"[]", b"7", b'"text"', b"null", b"{}", b'{"record_id": "a", "record_id": "b"}', b'{"revision": NaN}',
     b'{"revision": 1e999}', b'{"revision": ' + b"9" * 5000 + b"}", b'{"a": ' + b"[" * 800 + b"]" * 800 + b"}",
     b'{"\\ud800": "\\ud800", "record_id": "\\u0000"}'],
    ids=["list", "number", "string", "null", "empty", "twice", "NaN", "infinity", "digits", "deep", "surrogates"],
)  # fmt: skip
def test_what_is_json_and_no_record_is_rejected_as_one(api: Api, content: bytes) -> None:
    answer = api.as_("padis").post("/v1/records", content=content, headers=JSON)
    assert problem(answer, "record-rejected")["errors"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "multipart/form-data; boundary=x"},
    ],
)
def test_other_bodies_are_not_taken(api: Api, headers: dict[str, str]) -> None:
    problem(api.as_("padis").post("/v1/records", content=b"{}", headers=headers), "unsupported-media-type")


def test_a_body_has_a_limit_announced_or_not(api: Api) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 2**20

    as_padis = api.as_("padis")
    problem(as_padis.post("/v1/records", content=endless(), headers=JSON), "too-large")
    announced = {**JSON, "content-length": str(bodies.RECORD_BYTES + 1)}
    problem(as_padis.post("/v1/records", content=endless(), headers=announced), "too-large")
    announced = {**NDJSON, "content-length": str(bodies.BULK_BYTES + 1)}
    problem(as_padis.post("/v1/records", content=endless(), headers=announced), "too-large")


def test_a_body_has_its_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    async def dripping() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b" "
            await asyncio.sleep(0.1)

    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(bodies, "CHUNK_SECONDS", 0.05)
    for kind in (JSON, NDJSON):
        problem(api.as_("padis").post("/v1/records", content=dripping(), headers=kind), "too-slow")


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (AcceptanceAway("away"), "acceptance-away"),
        (StoreUnavailable("locked"), "store-unavailable"),
        (Halt("numbers-exhausted", "the ranges are used up"), "halted"),
    ],
)
@pytest.mark.parametrize("kind", [JSON, NDJSON], ids=["one", "bulk"])
def test_while_records_cannot_be_taken_the_caller_is_told_when_to_come_again(
    api: Api, acceptance: DirectAcceptance, trouble: Exception, code: str, kind: dict[str, str]
) -> None:
    acceptance.trouble = [trouble]
    content = json.dumps(sample())
    problem(api.as_("padis").post("/v1/records", content=content, headers=kind), code)
    assert api.as_("padis").post("/v1/records", content=content, headers=kind).status_code in (200, 201)


# --- in bulk ------------------------------------------------------------------------------------------------------
def test_a_bulk_is_answered_line_by_line_in_order(api: Api) -> None:
    answers = bulk(api, sample(), b"{bad", broken(CITIZEN), b"", [1], sample(), sample(revision=2))
    assert [(each["line"], each["outcome"], each.get("repeated")) for each in answers] == [
        (1, "accepted", False),
        (2, "rejected", None),
        (3, "rejected", False),
        (5, "rejected", False),
        (6, "accepted", True),
        (7, "accepted", False),
    ]
    assert answers[0]["job_id"] == f"{CHILD}-r1-a1"
    assert [error["rule"] for error in answers[1]["errors"]] == ["json/form"]
    assert (answers[2]["record_id"], len(answers[2]["errors"])) == (CITIZEN, 2)


@pytest.mark.parametrize("content", [b"", b"\n\n", b" \r\n\t"])
def test_an_empty_bulk_is_an_empty_answer(api: Api, content: bytes) -> None:
    answer = api.as_("padis").post("/v1/records", content=content, headers=NDJSON)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_bulk_is_taken_in_batches(api: Api, acceptance: DirectAcceptance) -> None:
    answers = bulk(api, *([{}] * 120))
    assert [each["line"] for each in answers] == list(range(1, 121))
    assert acceptance.batches == [50, 50, 20]


def test_a_bulk_that_stops_midway_says_from_which_line(api: Api, acceptance: DirectAcceptance) -> None:
    acceptance.trouble = [None, AcceptanceAway("away")]
    answers = bulk(api, *([{}] * 70), sample())
    assert [each["line"] for each in answers] == list(range(1, 52))
    last = answers[-1]
    assert (last["outcome"], last["problem"]["type"]) == ("stopped", "urn:eid-perso:problem:acceptance-away")
    assert api.as_("padis").get(f"/v1/records/{CHILD}").status_code == 404


def test_a_line_that_is_too_long_is_rejected_and_the_others_are_taken(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "RECORD_BYTES", 100_000)
    answers = bulk(api, b'{"a": "' + b"x" * 200_000 + b'"}', sample(), b" " * 200_000)
    assert [(each["line"], each["outcome"]) for each in answers] == [(1, "rejected"), (2, "accepted"), (3, "rejected")]
    assert [error["rule"] for error in answers[0]["errors"]] == ["too-large"]


def test_a_bulk_has_a_limit_of_bytes_and_of_lines(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lines() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"[]\n"

    monkeypatch.setattr(bodies, "BULK_LINES", 100)
    for _ in range(2):
        answer = api.as_("padis").post("/v1/records", content=lines(), headers=NDJSON)
        last = json.loads(answer.text.splitlines()[-1])
        assert (last["line"], last["outcome"]) == (101, "stopped")
        assert last["problem"]["type"] == "urn:eid-perso:problem:too-large"
        monkeypatch.setattr(bodies, "BULK_LINES", 1000)
        monkeypatch.setattr(bodies, "BULK_BYTES", 302)

"""Events over HTTP: numbered, without gaps, each once; a call waits for the next."""

import json
import threading
import time

import pytest

from api.http import events as events_module
from personalization.store.database import Database
from tests.api.http.in_process import JSON, Api
from tests.personalization.engine.made_up import kinds_of_events, put_jobs, sample, take


@pytest.fixture
def told(api: Api) -> Api:
    """Two sources have handed over one record each; everything is numbered."""
    api.as_("padis").post("/v1/records", content=json.dumps(sample()), headers=JSON)
    api.as_("vmis").post("/v1/records", content=json.dumps(sample("VMIS-2026-0000018")), headers=JSON)
    api.number_events()
    return api


def test_events_come_in_order_without_gaps_and_each_once(told: Api) -> None:
    seen, after = [], 0
    while True:
        page = told.as_("auditor").get(f"/v1/events?after={after}&limit=2").json()
        if not page["events"]:
            break
        seen += page["events"]
        after = page["next"]
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert [event["kind"] for event in seen][-3:] == ["record.accepted", "record.accepted", "job.held"]
    assert {event["kind"] for event in seen} == {"client.added", "record.accepted", "job.held"}
    assert all({"hash", "at", "actor"} <= event.keys() for event in seen)
    assert page["next"] == after


def test_what_is_not_numbered_is_not_served(told: Api, database: Database) -> None:
    last = told.as_("auditor").get("/v1/events").json()["next"]
    told.as_("operator").post("/v1/jobs/PADIS-2026-0000003-r1-a1/hold")
    assert told.as_("auditor").get(f"/v1/events?after={last}").json() == {"events": [], "next": last}
    assert kinds_of_events(database)[-1] == "job.held"
    assert len(told.as_("auditor").get(f"/v1/events?after={last}").json()["events"]) == 1


def test_a_document_system_reads_its_own_and_the_numbers_of_others(told: Api) -> None:
    events = told.as_("padis").get("/v1/events").json()["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    own = [event for event in events if event["kind"] != "withheld"]
    assert [(event["kind"], event["record_id"]) for event in own] == [("record.accepted", "PADIS-2026-0000003")]
    assert all(event.keys() == {"seq", "kind"} for event in events if event["kind"] == "withheld")


def test_events_that_name_a_job_alone_find_their_source(told: Api) -> None:
    told.as_("padis").post("/v1/jobs/PADIS-2026-0000003-r1-a1/cancel")
    told.number_events()
    own = [e for e in told.as_("padis").get("/v1/events").json()["events"] if e["kind"] != "withheld"]
    assert "job.cancelled" in {event["kind"] for event in own}
    assert all(event["job_id"].startswith("PADIS") for event in own)


def test_a_call_waits_for_the_next_event(told: Api, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "LOOK_SECONDS", 0.05)
    last = told.as_("auditor").get("/v1/events").json()["next"]

    def happen() -> None:
        time.sleep(0.3)
        told.as_("operator").post("/v1/jobs/PADIS-2026-0000003-r1-a1/hold")
        told.number_events()

    background = threading.Thread(target=happen)
    begun = time.monotonic()
    background.start()
    page = told.as_("auditor").get(f"/v1/events?after={last}&wait=20").json()
    waited = time.monotonic() - begun
    background.join()
    assert [event["kind"] for event in page["events"]] == ["job.held"]
    assert 0.3 <= waited < 10


def test_where_nothing_happens_the_wait_ends(told: Api) -> None:
    last = told.as_("auditor").get("/v1/events").json()["next"]
    begun = time.monotonic()
    assert told.as_("auditor").get(f"/v1/events?after={last}&wait=1").json() == {"events": [], "next": last}
    assert time.monotonic() - begun >= 1


def test_no_event_holds_anything_of_a_holder(told: Api, database: Database) -> None:
    put_jobs(database, 1)
    take(database)
    text = told.as_("auditor").get("/v1/events").text
    holder = sample()["holder"]
    for value in (holder["surname"], holder["given_names"], holder["personal_code"]):
        assert value not in text

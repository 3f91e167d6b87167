"""Jobs over HTTP: listed page by page, read, held, released, cancelled; each caller what is its own."""

import json
from typing import Any

import pytest

from personalization.centre import stock
from personalization.flow import Stage
from personalization.store.database import Database
from tests.api.http.in_process import JSON, Api, problem
from tests.personalization.engine.made_up import (
    blank_in_position,
    finish,
    job_id,
    kinds_of_events,
    prepare_all,
    put_jobs,
    put_pair,
    receive_blanks,
    sample,
    take_at,
)

CHILD = "PADIS-2026-0000003-r1-a1"


@pytest.fixture
def pushed(api: Api) -> str:
    """A job whose record padis has handed over."""
    answer = api.as_("padis").post("/v1/records", content=json.dumps(sample()), headers=JSON)
    return str(answer.json()["job_id"])


def listed(api: Api, query: str = "", caller: str = "operator") -> list[str]:
    return [job["id"] for job in api.as_(caller).get(f"/v1/jobs?{query}").json()["jobs"]]


def steer(api: Api, action: str, caller: str = "operator", job: str = CHILD) -> Any:
    return api.as_(caller).post(f"/v1/jobs/{job}/{action}")


# --- read ---------------------------------------------------------------------------------------------------------
def test_a_job_shows_where_it_stands(api: Api, database: Database) -> None:
    put_jobs(database, 1)
    prepare_all(database)
    with database.begin() as connection:
        put_pair(connection, 1)
    receive_blanks(database, "station-1", 1)
    ref = take_at(database, "station-1")
    with database.begin() as connection:
        stock.bind(connection, blank_in_position(1), job_id(1), "station-1", api.clock())
    finish(database, ref, Stage.ENCODE, Stage.PRINT, keep=True)
    job = api.as_("auditor").get(f"/v1/jobs/{job_id(1)}").json()
    assert (job["stage"], job["state"], job["priority"], job["station"]) == (
        "print",
        "claimed",
        "standard",
        "station-1",
    )
    assert (job["chip_serial"], job["blank_state"]) == ("00000000000000000001", "bound")
    assert [(each["slot"], each["state"]) for each in job["certificates"]] == [("auth", "on-hold"), ("sign", "on-hold")]
    assert [(step["stage"], step["milliseconds"]) for step in job["steps"]] == [
        ("keys", 7), ("certify", 7), ("image", 7), ("encode", 7),
    ]  # fmt: skip


def test_jobs_are_listed_page_by_page(api: Api, database: Database) -> None:
    ids = list(put_jobs(database, *range(1, 8)))
    seen, query = [], "limit=3"
    while True:
        page = api.as_("operator").get(f"/v1/jobs?{query}").json()
        seen.append([job["id"] for job in page["jobs"]])
        if page["next"] is None:
            break
        query = f"limit=3&cursor={page['next']}"
    assert seen == [ids[:3], ids[3:6], ids[6:]]


def test_jobs_are_filtered(api: Api, database: Database) -> None:
    put_jobs(database, 1, 2, 3)
    prepare_all(database)
    put_jobs(database, 4)
    steer(api, "hold", job=job_id(4))
    assert listed(api, "stage=encode") == [job_id(n) for n in (1, 2, 3)]
    assert listed(api, "state=held") == listed(api, "reason=held-by-operator") == [job_id(4)]
    assert listed(api, "record_id=PADIS-2026-0000002") == [job_id(2)]
    assert listed(api, "state=held&stage=encode") == []


def test_a_document_system_sees_its_own(api: Api, database: Database, pushed: str) -> None:
    put_jobs(database, 1)
    assert listed(api, caller="padis") == [pushed]
    assert listed(api, caller="vmis") == []
    assert listed(api, caller="auditor") == [job_id(1), pushed]
    assert api.as_("padis").get(f"/v1/jobs/{pushed}").status_code == 200
    problem(api.as_("vmis").get(f"/v1/jobs/{pushed}"), "job-unknown")
    problem(api.as_("padis").get(f"/v1/jobs/{job_id(1)}"), "job-unknown")


# --- steer --------------------------------------------------------------------------------------------------------
def test_a_job_is_held_and_released(api: Api, database: Database, pushed: str) -> None:
    assert (steer(api, "hold").json()["state"], steer(api, "hold").json()["reason"]) == ("held", "held-by-operator")
    assert steer(api, "release").json()["state"] == "ready"
    assert problem(steer(api, "release"), "not-possible")["reason"] == "not-held"
    assert kinds_of_events(database)[-2:] == ["job.held", "job.released"]


def test_a_card_in_a_station_is_not_held(api: Api, database: Database) -> None:
    put_jobs(database, 1)
    prepare_all(database)
    take_at(database, "station-1")
    assert problem(steer(api, "hold", job=job_id(1)), "not-possible")["reason"] == "card-in-hand"


def test_an_operators_cancellation_leaves_room_for_a_correction(api: Api, pushed: str) -> None:
    assert steer(api, "cancel").json()["state"] == "cancelled"
    assert steer(api, "cancel").status_code == 200, "again changes nothing"
    answer = api.as_("padis").post("/v1/records", content=json.dumps(sample(revision=2)), headers=JSON)
    assert answer.status_code == 201


def test_a_document_systems_cancellation_is_for_good(api: Api, pushed: str) -> None:
    assert steer(api, "cancel", "padis").json()["reason"] == "withdrawn-at-source"
    answer = api.as_("padis").post("/v1/records", content=json.dumps(sample(revision=2)), headers=JSON)
    assert [error["rule"] for error in problem(answer, "record-rejected")["errors"]] == ["withdrawn"]
    assert api.as_("padis").get("/v1/records/PADIS-2026-0000003").json()["withdrawn_at"]


def test_nobody_cancels_what_is_anothers(api: Api, pushed: str) -> None:
    problem(steer(api, "cancel", "vmis"), "job-unknown")
    problem(steer(api, "cancel", "auditor"), "forbidden")
    assert api.as_("padis").get(f"/v1/jobs/{pushed}").json()["state"] == "ready"


@pytest.mark.parametrize("action", ["hold", "release", "cancel"])
def test_an_unknown_job_is_a_problem(api: Api, action: str) -> None:
    problem(steer(api, action), "job-unknown")


@pytest.mark.parametrize("action", ["hold", "release"])
def test_what_has_ended_is_neither_held_nor_released(api: Api, pushed: str, action: str) -> None:
    steer(api, "cancel")
    assert problem(steer(api, action), "not-possible")["reason"] == "job-ended"


def test_the_log_of_events_names_who_did_it(api: Api, pushed: str) -> None:
    steer(api, "hold")
    steer(api, "cancel", "padis")
    api.number_events()
    events = api.as_("auditor").get("/v1/events").json()["events"]
    actors = {event["kind"]: event["actor"] for event in events}
    assert (actors["job.held"], actors["job.cancelled"]) == ("client:operator", "client:padis")

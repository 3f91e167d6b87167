"""Accept: a page of records becomes orders, jobs and receipts, all of it or nothing."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, func, select, update

from card_profiles.profile import profile_for
from personalization import acceptance as acceptance_module
from personalization.acceptance import open_job
from personalization.audit import events_after, sequence_events
from personalization.document_numbers import LAST_NUMBER, take_number
from personalization.errors import Halt
from personalization.flow import JobRef, JobState, Priority
from personalization.intake import Intake
from personalization.records import CheckedRecord, Failure
from personalization.sources.port import SourceRefused, SourceUnavailable
from personalization.store.database import Database
from personalization.store.sealing import Vault
from personalization.store.tables import (
    card_key,
    certificate,
    data_key,
    job,
    metadata,
    number_range,
    order,
    received_record,
    source_cursor,
    source_message,
)
from tests.personalization.engine.made_up import (
    NOW,
    SECOND,
    MadeUpSource,
    job_row,
    kinds_of_events,
    make_intake,
    sample,
    take,
)

CITIZEN = "PADIS-2026-0000003"
FIRST, SECOND_REVISION = f"{CITIZEN}-r1-a1", f"{CITIZEN}-r2-a1"


@pytest.fixture
def source() -> MadeUpSource:
    return MadeUpSource()


@pytest.fixture
def intake(database: Database, vault: Vault, source: MadeUpSource) -> Intake:
    return make_intake(database, vault, source)


def rows(database: Database, table: Table) -> Sequence[Any]:
    with database.reading() as connection:
        return connection.execute(select(table).order_by(*table.primary_key)).all()


def receipts(database: Database) -> list[dict[str, Any]]:
    """What the source will be told, oldest first."""
    return [json.loads(row.body) for row in rows(database, source_message) if row.kind == "receipt"]


def outcomes(database: Database) -> list[tuple[str, int | None, str, list[str]]]:
    return [
        (told["record_id"], told["revision"], told["outcome"], [error["rule"] for error in told["errors"]])
        for told in receipts(database)
    ]


def broken(name: str = CITIZEN, **changes: object) -> dict[str, Any]:
    """A record with two failures: places nobody knows, and the officer approving alone."""
    record = sample(name, **changes)
    record["delivery"] = {"kind": "branch", "code": "NOWHERE"}
    record["approved"]["second_officer"] = record["approved"]["officer"]
    return record


# --- accepted -----------------------------------------------------------------------------------------------------
def test_a_record_becomes_an_order_with_a_job_a_number_and_a_receipt(
    intake: Intake, database: Database, source: MadeUpSource, vault: Vault
) -> None:
    source.records = [sample()]
    assert intake.pull(NOW) == 1
    (ordered,) = rows(database, order)
    assert (ordered.record_id, ordered.revision, ordered.document_type) == (CITIZEN, 1, "eid-citizen")
    (ref,) = take(database)
    assert (ref.id, ref.document_number, ref.profile_id) == (FIRST, "SA0000001", "eid-citizen-specimen@1")
    assert outcomes(database) == [(CITIZEN, 1, "accepted", [])]
    assert kinds_of_events(database) == ["record.accepted"]
    with database.reading() as connection:
        accepted = open_job(connection, vault, ref)
    assert isinstance(accepted.record, CheckedRecord)
    assert accepted.record.holder.surname == sample()["holder"]["surname"]


def test_urgency_is_the_jobs_priority(intake: Intake, database: Database, source: MadeUpSource) -> None:
    for urgency in ("standard", "fast", "immediate"):
        record = sample(record_id=f"PADIS-2026-00001{len(source.records):02d}")
        record["order"]["urgency"] = urgency
        source.records.append(record)
    intake.pull(NOW)
    assert [row.priority for row in rows(database, job)] == [Priority.STANDARD, Priority.FAST, Priority.IMMEDIATE]


def test_a_page_after_the_other(intake: Intake, database: Database, source: MadeUpSource) -> None:
    source.records, source.page_records = [sample(), sample("VMIS-2026-0000018"), broken("PADIS-2026-0000022")], 2
    assert [intake.pull(NOW) for _ in range(3)] == [2, 1, 0]
    assert len(rows(database, received_record)) == 3


def test_where_nothing_is_new_nothing_is_written(
    intake: Intake, database: Database, source: MadeUpSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clerk asks twenty times a second: an idle line must not wear out its disk."""
    source.records = [sample()]
    intake.pull(NOW)
    intake.pull_cancellations(NOW)
    monkeypatch.setattr(database, "begin", None)
    assert intake.pull(NOW) == 0
    assert intake.pull_cancellations(NOW) == 0


def test_a_source_that_is_away_leaves_everything_as_it_was(
    intake: Intake, database: Database, source: MadeUpSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise SourceUnavailable

    monkeypatch.setattr(source, "approved_records", away)
    with pytest.raises(SourceUnavailable):
        intake.pull(NOW)
    assert rows(database, source_cursor) == []


def test_a_record_without_a_card_profile_is_held_not_lost(
    intake: Intake, database: Database, source: MadeUpSource
) -> None:
    source.records = [sample("VMIS-2026-0000018")]
    intake.pull(NOW)
    held = job_row(database, "VMIS-2026-0000018-r1-a1")
    assert (held.state, held.reason_code, held.profile_id, held.document_number) == (
        JobState.HELD,
        "no-profile",
        None,
        None,
    )
    assert outcomes(database) == [("VMIS-2026-0000018", 1, "accepted", [])]
    assert kinds_of_events(database) == ["record.accepted", "job.held"]
    assert take(database) == ()


# --- refused ------------------------------------------------------------------------------------------------------
def test_a_refused_record_carries_all_its_failures(intake: Intake, database: Database, source: MadeUpSource) -> None:
    source.records = [broken()]
    intake.pull(NOW)
    (told,) = receipts(database)
    assert told["outcome"] == "rejected"
    assert len(told["errors"]) == 2
    assert all(set(error) == {"pointer", "rule", "message"} for error in told["errors"])
    (received,) = rows(database, received_record)
    assert (received.outcome, json.loads(received.failures)) == ("rejected", told["errors"])
    assert rows(database, order) == rows(database, job) == []
    assert kinds_of_events(database) == ["record.rejected"]


def test_a_refused_record_does_not_stop_its_page(intake: Intake, database: Database, source: MadeUpSource) -> None:
    source.records = ["not an object", broken("PADIS-2026-0000022"), None, sample(), {"record_id": 7}]
    assert intake.pull(NOW) == 5
    assert [row.outcome for row in rows(database, received_record)].count("accepted") == 1
    assert [row.record_id for row in rows(database, order)] == [CITIZEN]


NAMELESS = "190422-26041 Jānis Kalniņš"


def test_a_record_without_a_usable_id_is_answered_and_its_id_kept_nowhere(
    intake: Intake, database: Database, source: MadeUpSource
) -> None:
    """Whatever stands where an identifier should be may be somebody's name."""
    source.records = [sample(record_id=NAMELESS)]
    intake.pull(NOW)
    ((told, revision, outcome, failures),) = source.receipts
    assert (told, revision, outcome) == (NAMELESS, 1, "rejected")
    assert "/record_id" in {failure.pointer for failure in failures}
    assert receipts(database) == []
    (received,) = rows(database, received_record)
    assert (received.record_id, received.revision, received.outcome) == (None, None, "rejected")
    assert_nowhere(database, NAMELESS, "26041")


def test_a_nameless_record_whose_answer_the_source_refuses_does_not_block_the_page(
    intake: Intake, database: Database, source: MadeUpSource
) -> None:
    source.records, source.trouble = [sample(record_id=NAMELESS), sample()], [SourceRefused()]
    assert intake.pull(NOW) == 2
    assert [row.record_id for row in rows(database, order)] == [CITIZEN]


def test_nothing_personal_stands_in_clear_in_any_table(
    intake: Intake, database: Database, source: MadeUpSource, key_store: Database
) -> None:
    source.records = [sample(), broken("PADIS-2026-0000022"), sample("VMIS-2026-0000018")]
    intake.pull(NOW)
    sequence_events(database)
    for record in source.records:
        assert isinstance(record, dict)
        holder = record["holder"]
        assert_nowhere(database, holder["surname"], holder["given_names"], holder["personal_code"])


def assert_nowhere(database: Database, *planted: str) -> None:
    with database.reading() as connection:
        dump = repr([connection.execute(select(table)).all() for table in metadata.sorted_tables])
    for text in planted:
        assert text not in dump
        assert json.dumps(text)[1:-1] not in dump


# --- again, lower, higher -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("page_records", [50, 1], ids=["on one page", "on two pages"])
def test_the_same_record_twice_is_one_order(
    intake: Intake, database: Database, source: MadeUpSource, page_records: int
) -> None:
    source.records, source.page_records = [sample(), sample()], page_records
    while intake.pull(NOW):
        continue
    assert len(rows(database, order)) == len(rows(database, job)) == 1
    assert outcomes(database) == [(CITIZEN, 1, "accepted", [])] * 2


def test_the_same_place_twice_is_taken_once(intake: Intake, database: Database, source: MadeUpSource) -> None:
    """A cursor that was lost brings the whole shelf again; nobody is told anything twice."""
    source.records = [sample(), broken("PADIS-2026-0000022")]
    intake.pull(NOW)
    before = rows(database, received_record), outcomes(database)
    with database.begin() as connection:
        connection.execute(update(source_cursor).values(records_after=None))
    assert intake.pull(NOW) == 2
    assert (rows(database, received_record), outcomes(database)) == before


def test_a_lower_revision_is_superseded(intake: Intake, database: Database, source: MadeUpSource) -> None:
    source.records = [sample(revision=3), sample(revision=2)]
    intake.pull(NOW)
    assert outcomes(database) == [(CITIZEN, 3, "accepted", []), (CITIZEN, 2, "rejected", ["superseded"])]
    assert [row.id for row in rows(database, job)] == [f"{CITIZEN}-r3-a1"]


def test_a_revision_is_superseded_also_by_one_that_was_refused(
    intake: Intake, database: Database, source: MadeUpSource
) -> None:
    """'Lower than one already seen': what was refused has been seen, and a third revision is to be waited for."""
    source.records = [broken(revision=2), sample(revision=1), sample(revision=3)]
    intake.pull(NOW)
    assert [(revision, rules) for _, revision, _, rules in outcomes(database)][1:] == [(1, ["superseded"]), (3, [])]
    assert [row.revision for row in rows(database, order)] == [3]


def test_the_order_under_way_stays_accepted_after_a_refused_correction(
    intake: Intake, database: Database, source: MadeUpSource
) -> None:
    source.records = [sample(revision=1), broken(revision=2), sample(revision=1)]
    intake.pull(NOW)
    assert [told[2] for told in outcomes(database)] == ["accepted", "rejected", "accepted"]
    assert [row.state for row in rows(database, job)] == [JobState.READY]


def test_a_lower_revision_with_failures_carries_them_all(
    intake: Intake, database: Database, source: MadeUpSource
) -> None:
    source.records = [sample(revision=2), broken(revision=1)]
    intake.pull(NOW)
    assert "superseded" in outcomes(database)[1][3]
    assert len(outcomes(database)[1][3]) == 3


def test_a_higher_revision_replaces_the_order(intake: Intake, database: Database, source: MadeUpSource) -> None:
    source.records = [sample()]
    intake.pull(NOW)
    (claimed,) = take(database)
    _put_pair(database, claimed)
    source.records.append(sample(revision=2))
    intake.pull(NOW + SECOND)
    old, new = job_row(database, FIRST), job_row(database, SECOND_REVISION)
    assert (old.state, old.reason_code) == (JobState.CANCELLED, "replaced-by-revision")
    assert (new.state, new.revision, new.attempt) == (JobState.READY, 2, 1)
    assert (old.document_number, new.document_number) == ("SA0000001", "SA0000002")
    assert [row.state for row in rows(database, certificate)] == ["revoked"]
    assert [row.wrapped for row in rows(database, card_key)] == [None]
    assert [row.revision for row in rows(database, order)] == [2]
    assert [ref.id for ref in take(database, "preparing-2", now=NOW + SECOND)] == [SECOND_REVISION]


def _put_pair(database: Database, ref: JobRef) -> None:
    with database.begin() as connection:
        connection.execute(
            card_key.insert().values(
                job_id=ref.id, slot="auth", curve="secp384r1", point=b"\x04", wrapped=b"w", spki_sha256="0"
            )
        )
        connection.execute(
            certificate.insert().values(
                serial="A1",
                job_id=ref.id,
                slot="auth",
                profile_id="auth-citizen@1",
                issuer_label="issuing-ca",
                state="on-hold",
                state_since=NOW,
            )
        )


# --- withdrawn ----------------------------------------------------------------------------------------------------
def test_a_withdrawn_order_is_cancelled(intake: Intake, database: Database, source: MadeUpSource) -> None:
    source.records, source.withdrawn = [sample()], [CITIZEN]
    intake.pull(NOW)
    assert intake.pull_cancellations(NOW + SECOND) == 1
    assert job_row(database, FIRST).reason_code == "withdrawn-at-source"
    assert [row.withdrawn_at for row in rows(database, order)] == [NOW + SECOND]
    assert intake.pull_cancellations(NOW + SECOND) == 0


def test_a_withdrawal_that_comes_before_its_record_is_remembered(
    intake: Intake, database: Database, source: MadeUpSource
) -> None:
    """Records and withdrawals are two lists: a card of a withdrawn order must not be made because one came late."""
    source.withdrawn = [CITIZEN]
    intake.pull_cancellations(NOW)
    source.records = [sample()]
    intake.pull(NOW + SECOND)
    assert outcomes(database) == [(CITIZEN, 1, "rejected", ["withdrawn"])]
    assert rows(database, job) == []


def test_a_withdrawn_order_stays_withdrawn(intake: Intake, database: Database, source: MadeUpSource) -> None:
    """The revision may have been on its way when the order was withdrawn: no card is the safe answer."""
    source.records = [sample()]
    intake.pull(NOW)
    source.withdrawn = [CITIZEN, CITIZEN]
    intake.pull_cancellations(NOW)
    source.records += [sample(revision=2), sample()]
    intake.pull(NOW)
    assert [told[2:] for told in outcomes(database)[1:]] == [("rejected", ["withdrawn"])] * 2
    assert [row.state for row in rows(database, job)] == [JobState.CANCELLED]


def test_what_withdraws_no_record_of_ours_is_not_kept(intake: Intake, database: Database, source: MadeUpSource) -> None:
    source.withdrawn = [NAMELESS, "PADIS-2026-9999999"]
    assert intake.pull_cancellations(NOW) == 2
    assert_nowhere(database, NAMELESS)


# --- power cuts ---------------------------------------------------------------------------------------------------
class Killed(BaseException):
    """The process died here."""


@pytest.mark.parametrize("moment", ["enqueue", "queue_message", "record_events"])
def test_a_page_that_was_cut_off_is_pulled_again_without_damage(
    intake: Intake,
    database: Database,
    key_store: Database,
    source: MadeUpSource,
    *,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """The data keys are committed, the page is not: nothing of it is there, and the waiting keys are adopted."""
    source.records = [sample(), sample("VMIS-2026-0000018")]
    calls: list[object] = []
    done = getattr(acceptance_module, moment)

    def cut_at_the_second(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise Killed
        done(*arguments)

    with monkeypatch.context() as cut:
        cut.setattr(acceptance_module, moment, cut_at_the_second)
        with pytest.raises(Killed):
            intake.pull(NOW)
    waiting = rows(key_store, data_key)
    assert len(waiting) == 2
    assert all(rows(database, table) == [] for table in metadata.sorted_tables)
    assert intake.pull(NOW) == 2
    assert rows(key_store, data_key) == waiting
    assert len(outcomes(database)) == 2
    (ref,) = take(database)
    with database.reading() as connection:
        assert open_job(connection, vault, ref).record.record_id == CITIZEN


# --- document numbers ---------------------------------------------------------------------------------------------
def test_a_number_is_never_used_again(intake: Intake, database: Database, source: MadeUpSource) -> None:
    """Not the one of a cancelled order, nor of a replaced revision."""
    source.records = [sample(), sample(record_id="PADIS-2026-0000101")]
    intake.pull(NOW)
    source.withdrawn = ["PADIS-2026-0000101"]
    intake.pull_cancellations(NOW)
    source.records += [sample(revision=2), sample(record_id="PADIS-2026-0000102")]
    intake.pull(NOW)
    numbers = [row.document_number for row in rows(database, job)]
    assert sorted(numbers) == [f"SA{n:07d}" for n in (1, 2, 3, 4)]


def test_each_range_counts_for_itself(intake: Intake, database: Database, source: MadeUpSource) -> None:
    source.records = [sample(), sample("PADIS-2026-0000022"), sample(record_id="PADIS-2026-0000101")]
    intake.pull(NOW)
    assert {row.document_number for row in rows(database, job)} == {"SA0000001", "SN0000001", "SA0000002"}


def test_the_last_number_is_used_and_then_the_line_halts(database: Database) -> None:
    profile = profile_for("eid-citizen", specimen=True)
    assert profile is not None
    with database.begin() as connection:
        connection.execute(number_range.insert().values(prefix="SA", next_number=LAST_NUMBER))
        assert take_number(connection, profile) == "SA9999999"
        for _ in range(2):
            with pytest.raises(Halt, match="used up") as halted:
                take_number(connection, profile)
    assert halted.value.code == "numbers-exhausted"


def test_a_page_that_finds_no_number_is_not_lost(intake: Intake, database: Database, source: MadeUpSource) -> None:
    source.records = [sample()]
    with database.begin() as connection:
        connection.execute(number_range.insert().values(prefix="SA", next_number=LAST_NUMBER + 1))
    with pytest.raises(Halt):
        intake.pull(NOW)
    assert rows(database, received_record) == []
    with database.begin() as connection:
        connection.execute(number_range.delete())
    assert intake.pull(NOW) == 1


# --- the trail ----------------------------------------------------------------------------------------------------
def test_every_delivery_has_an_event_with_its_reasons(intake: Intake, database: Database, source: MadeUpSource) -> None:
    source.records = [sample(revision=2), sample(revision=1)]
    intake.pull(NOW)
    sequence_events(database)
    accepted, rejected = (event.body for event in events_after(database, 0))
    assert accepted == {
        "kind": "record.accepted",
        "at": NOW.isoformat(),
        "actor": "intake",
        "record_id": CITIZEN,
        "job_id": SECOND_REVISION,
    }
    assert rejected["detail"] == {"rules": "superseded"}


def test_the_largest_position_a_source_may_tell_is_stored(
    intake: Intake, database: Database, source: MadeUpSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = MadeUpSource([sample()]).approved_records(None, 50)
    monkeypatch.setattr(source, "approved_records", lambda *_: type(page)(page.records, (2**63 - 1,), "x" * 200))
    intake.pull(NOW)
    assert [row.position for row in rows(database, received_record)] == [2**63 - 1]


def test_two_failures_of_one_rule_are_named_once_in_the_event(
    intake: Intake, database: Database, source: MadeUpSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = (Failure("/a", "format", "A."), Failure("/b", "format", "B."), Failure("/c", "date", "C."))
    monkeypatch.setattr(acceptance_module, "check_record", lambda *_, **__: failures)
    source.records = [sample()]
    intake.pull(NOW + timedelta(days=1))
    sequence_events(database)
    (told,) = events_after(database, 0)
    assert told.body["detail"] == {"rules": "date,format"}
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(order)).scalar_one() == 0

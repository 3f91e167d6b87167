"""A lost answer does not cost a card: its state is read and the same step goes on; a card that cannot is made again."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import select

from personalization.audit import verify_chain
from personalization.centre import stock
from personalization.store.tables import blank, certificate, job, job_step, sealed_body
from tests.chaos import losing_worker
from tests.chaos.test_killed_at_every_commit import Bench, check_one_card

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

LOST = (1, 9, 25, 45, 60, 80, 100)
"""Among the exchanges of a card: first contact, every session, inspection."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path_factory.mktemp("lost"), stack, worker=losing_worker.work)


def test_an_answer_lost_anywhere_costs_no_card(bench: Bench) -> None:
    for exchange in LOST:
        record = bench.add_record()
        assert bench.work(die_at=None, lose={"exchange": exchange, "powers": None}) == 0
        check_one_card(bench, record)
        (bench.state.root / "lost").unlink()


def test_a_card_that_fails_three_times_is_spoiled_and_made_again(bench: Bench) -> None:
    record = bench.add_record()
    assert bench.work(die_at=None, lose={"exchange": 20, "powers": 3}) == 0
    with bench.database.reading() as connection:
        jobs = connection.execute(select(job).where(job.c.record_id == record).order_by(job.c.attempt)).all()
        assert [(row.state, row.reason_code) for row in jobs] == [("failed", "card-lost"), ("done", None)]
        cards = connection.execute(
            select(blank.c.state).join(job, blank.c.job_id == job.c.id).where(job.c.record_id == record)
        )
        assert sorted(cards.scalars()) == ["good", "spoiled"]
        steps = connection.execute(select(job_step.c.stage).where(job_step.c.job_id == jobs[0].id)).scalars().all()
        assert "encode" not in steps
        counts = stock.count(connection)
    assert counts.received == counts.good + counts.spoiled + counts.left
    assert len(list((bench.state.station(1) / "reject").iterdir())) == 1
    verify_chain(bench.database)


def test_a_jammed_print_spoils_the_card_and_it_is_made_again(bench: Bench) -> None:
    record = bench.add_record()
    (bench.state.simulated / "printer-1" / "jam").touch()
    assert bench.work(die_at=None) == 0
    with bench.database.reading() as connection:
        jobs = connection.execute(select(job).where(job.c.record_id == record).order_by(job.c.attempt)).all()
        assert [(row.state, row.reason_code) for row in jobs] == [("failed", "print-given-up"), ("done", None)]
        assert len({row.document_number for row in jobs}) == 2
        pairs = connection.execute(
            select(certificate.c.job_id, certificate.c.state).where(certificate.c.job_id.in_([j.id for j in jobs]))
        ).all()
        counts = stock.count(connection)
    assert {state for job_id, state in pairs if job_id == jobs[0].id} == {"revoked"}
    assert {state for job_id, state in pairs if job_id == jobs[1].id} == {"on-hold"}
    assert counts.received == counts.good + counts.spoiled + counts.left


def test_a_card_that_fails_its_inspection_leaves_verdicts_and_report(bench: Bench) -> None:
    record = bench.add_record()
    assert bench.work(die_at=None, misjudge=True) == 0
    with bench.database.reading() as connection:
        jobs = connection.execute(select(job).where(job.c.record_id == record).order_by(job.c.attempt)).all()
        assert [(row.state, row.reason_code) for row in jobs] == [("failed", "inspection-own"), ("done", None)]
        inspected = select(job_step.c.result).where(job_step.c.job_id == jobs[0].id, job_step.c.stage == "inspect")
        result = json.loads(connection.execute(inspected).scalar_one())
        kept = connection.execute(select(sealed_body.c.kind).where(sealed_body.c.owner_id == jobs[0].id)).scalars()
        assert {"report", "report-page"} <= set(kept)
    assert result["verdicts"]["own"] == "failed"
    assert 0 < result["card_milliseconds"] < 60_000
    verify_chain(bench.database)

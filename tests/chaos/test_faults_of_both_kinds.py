"""Every commit and every call of the HSM fails once, not done or done and reported as failed: one card comes of it.

All of them with `--thorough` (make chaos), else every fourth. The database that does not answer is asked again by the
same worker; after a lost HSM session a new process goes on.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import update

from personalization.store.tables import job
from tests.chaos.test_killed_at_every_commit import IDLE_COMMITS, MOST_COMMITS, Bench, check_one_card

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]
MOST_CALLS = 100
EXIT_ERROR = 1
"""Of a process that `HsmUnavailable` has ended; the line starts a new one (`processes.EXIT_RESTART`)."""


@pytest.fixture(scope="module")
def stride(request: pytest.FixtureRequest) -> int:
    return 1 if request.config.getoption("--thorough") else 4


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path_factory.mktemp("faults"), stack, blanks=2 * (MOST_COMMITS + MOST_CALLS))


def test_every_commit_fails_once(bench: Bench, stride: int) -> None:
    record = bench.add_record()
    assert bench.work(die_at=None) == 0
    check_one_card(bench, record)
    commits = bench.commits()
    assert 10 < commits < MOST_COMMITS
    for number in range(1, commits - IDLE_COMMITS + 1, stride):
        for before in (True, False):
            record = bench.add_record()
            assert bench.work(die_at=number, before=before, deadly=False) == 0, f"commit {number}, before: {before}"
            check_one_card(bench, record)


def test_every_call_of_the_hsm_fails_once(bench: Bench, stride: int) -> None:
    record = bench.add_record()
    assert bench.work(die_at=None) == 0
    check_one_card(bench, record)
    calls = int((bench.state.root / "calls").read_text())
    assert 10 < calls < MOST_CALLS
    for number in range(1, calls + 1, stride):
        for before in (True, False):
            record = bench.add_record()
            ended = bench.work(die_at=None, before=before, fail_call=number)
            assert ended in (0, EXIT_ERROR), f"call {number}, before: {before}"
            if ended:
                with bench.database.begin() as connection:  # a retry is due after a second; nobody waits for it here
                    connection.execute(update(job).where(job.c.state == "retry").values(run_after=job.c.created_at))
                assert bench.work(die_at=None) == 0
            check_one_card(bench, record)

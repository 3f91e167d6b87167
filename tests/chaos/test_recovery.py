"""How soon work goes on after a worker was killed or froze: at once under the same name, after a lease elsewhere."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import select

from personalization.flow import PREPARING, JobState
from personalization.store.jobs import LEASE
from personalization.store.tables import job
from tests.chaos.invariants import check
from tests.chaos.rounds import Rounds, rounds_on
from tests.chaos.shaken_line import LOOK_SECONDS

ROOT = Path(__file__).resolve().parents[2]
RECORDS = 30
SAME_NAME_SECONDS = 2.0
ELSEWHERE_SECONDS = 35.0

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture
def rounds(database: str) -> Iterator[Rounds]:
    with ExitStack() as stack:
        yield stack.enter_context(rounds_on(7, postgres=database == "postgresql", direct=True))


def wait_until(rounds: Rounds, true: Callable[[], bool], seconds: float) -> float:
    """Seconds until it was true; the line is tended meanwhile."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, rounds.line.log_tail()
        rounds.line.tend()
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - started


def claims(rounds: Rounds, owner: str) -> dict[str, int]:
    """Fences of the jobs that a preparing worker holds."""
    with rounds.line.database.reading() as connection:
        return {
            row.id: row.fence
            for row in connection.execute(
                select(job.c.id, job.c.fence).where(
                    job.c.state == JobState.CLAIMED, job.c.owner == owner, job.c.stage.in_(PREPARING)
                )
            )
        }


def frozen_in_a_batch(rounds: Rounds) -> dict[str, int]:
    """Bring records and freeze worker-1 with some of their jobs in hand; what it holds."""
    rounds.line.signal("worker-2", signal.SIGSTOP)
    rounds.bring(RECORDS)
    held: dict[str, int] = {}

    def is_caught() -> bool:
        if claims(rounds, "worker-1"):
            rounds.line.signal("worker-1", signal.SIGSTOP)
            held.update(claims(rounds, "worker-1"))
            if not held:
                rounds.line.signal("worker-1", signal.SIGCONT)
        return bool(held)

    wait_until(rounds, is_caught, 60)
    rounds.line.signal("worker-2", signal.SIGCONT)
    return held


def finish(rounds: Rounds) -> None:
    rounds.line.work([])
    wanted = {record["record_id"] for record in rounds.source.records}
    assert check(rounds.line.database, rounds.line.state, wanted, ()) == []


def bare_start_seconds() -> float:
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import personalization.assembly"], check=True, cwd=ROOT)
    return time.monotonic() - started


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_killed_worker_goes_on_at_once_under_its_name(rounds: Rounds) -> None:
    held = frozen_in_a_batch(rounds)
    rounds.line.signal("worker-1", signal.SIGKILL)
    # The machine that tests run on is slow at times: what a bare start of Python with our modules takes is the measure.
    allowed = max(SAME_NAME_SECONDS, 2 * bare_start_seconds())
    assert wait_until(rounds, lambda: claims(rounds, "worker-1").items().isdisjoint(held.items()), 60) <= allowed
    finish(rounds)


@pytest.mark.parametrize("database", ["postgresql"])
def test_a_frozen_workers_jobs_are_made_elsewhere_when_its_lease_is_over(rounds: Rounds) -> None:
    held = frozen_in_a_batch(rounds)
    seconds = wait_until(rounds, lambda: claims(rounds, "worker-1").items().isdisjoint(held.items()), 60)
    assert LEASE.total_seconds() - 3 < seconds <= ELSEWHERE_SECONDS
    rounds.line.signal("worker-1", signal.SIGCONT)  # and finds that nothing of it is its own any more
    finish(rounds)

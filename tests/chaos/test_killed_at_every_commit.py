"""Killed with -9 right before and right after every commit of a record's way, and started again: it goes on by itself.

No second certificate, no second card for a record, no blank unaccounted, the audit chain whole. All parts are real but
the source (a list) and PC/SC (the chips are reached directly; what happens on the wire is the same).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from api import simulated
from api.line import CEREMONIES
from api.state_directory import StateDirectory
from api.supply import supply
from api.token import ensure_token, hold_ceremony_apart, softhsm_module
from card_profiles.profile import profile_for
from personalization.audit import verify_chain
from personalization.centre import stock
from personalization.store.database import Database, create_key_store, upgrade
from personalization.store.tables import blank, card_key, certificate, event_pending, job, sealed_body
from tests.chaos import killed_worker

SAMPLE = Path(__file__).resolve().parents[2] / "simulators" / "records" / "PADIS-2026-0000002.json"
IDLE_COMMITS = 4
MOST_COMMITS = 45
"""More commits than a record's way has; the test itself finds how many there are."""

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]


class Bench:
    """A line without PC/SC, whose worker can be killed; records come one by one."""

    def __init__(
        self,
        root: Path,
        stack: ExitStack,
        worker: Callable[[Mapping[str, Any]], None] = killed_worker.work,
        *,
        blanks: int = 2 * MOST_COMMITS + 5,
    ) -> None:
        self._worker = worker
        self._processes = get_context("forkserver")
        self._processes.set_forkserver_preload(["tests.chaos.killed_worker"])
        self.state = StateDirectory(root)
        self.state.create()
        ensure_token(self.state)
        directory = self.state.authorities(specimen=False)
        hold_ceremony_apart(
            self.state,
            CEREMONIES / "production-demo.toml",
            directory,
            partial(simulated.key_letter, self.state),
        )
        upgrade(self.state.database_url)
        create_key_store(self.state.key_store_url)
        self.database = Database(self.state.database_url)
        stack.callback(self.database.close)
        self.records: list[Path] = []
        profile = profile_for("eid-citizen", specimen=False)
        assert profile is not None
        supply(self.state, self.database, station=1, count=blanks, atr=profile.chip.atr)
        hall = simulated.start_hall(stack, f"--station={self.state.station(1)}", direct=True)
        _, printer_uri = simulated.start_printer(stack, self.state.simulated / "printer-1")
        chip_socket = hall.slots[0].chip_socket
        self._plan: dict[str, Any] = {
            "root": str(root),
            "database_url": self.state.database_url,
            "key_store_url": self.state.key_store_url,
            "module": str(softhsm_module()),
            "control": str(hall.slots[0].control),
            "chip_socket": str(chip_socket),
            "printer_uri": printer_uri,
        }

    def add_record(self) -> str:
        """A record like the sample, under an id of its own."""
        record = json.loads(SAMPLE.read_text())
        record["record_id"] = f"PADIS-2026-{len(self.records) + 1:07d}"
        file = self.state.root / f"record-{len(self.records) + 1}.json"
        file.write_text(json.dumps(record))
        self.records.append(file)
        return str(record["record_id"])

    def work(self, *, die_at: int | None, before: bool = False, **more: object) -> int:
        """Run the worker until nothing is left, or until it dies; its exit code. `more` goes into its plan."""
        plan = self._plan | {"records": [str(r) for r in self.records], "die_at": die_at, "before": before} | more
        # Forked from a server that has the imports done but no PKCS#11 module: a fresh process in 10 ms.
        process = self._processes.Process(target=self._worker, args=(plan,))
        process.start()
        process.join(120)
        assert process.exitcode is not None
        return process.exitcode

    def commits(self) -> int:
        return int((self.state.root / "commits").read_text())


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path_factory.mktemp("killed"), stack)


def check_one_card(bench: Bench, record_id: str) -> None:
    """One job, one pair, one verified card, one image for this record; accounts and chain whole."""
    with bench.database.reading() as connection:
        jobs = connection.execute(select(job).where(job.c.record_id == record_id)).all()
        assert [(row.state, row.attempt) for row in jobs] == [("done", 1)]
        pair = connection.execute(select(certificate).where(certificate.c.job_id == jobs[0].id)).all()
        assert sorted((row.slot, row.state) for row in pair) == [("auth", "on-hold"), ("sign", "on-hold")]
        keys = connection.execute(select(card_key.c.wrapped).where(card_key.c.job_id == jobs[0].id)).scalars().all()
        assert keys == [None, None], "the wrapped keys are destroyed once the card is verified"
        cards = connection.execute(select(blank.c.state).where(blank.c.job_id == jobs[0].id)).scalars().all()
        assert cards == ["good"]
        images = connection.execute(
            select(func.count()).where(sealed_body.c.owner_id == jobs[0].id, sealed_body.c.kind == "image")
        ).scalar_one()
        assert images == 1
        counts = stock.count(connection)
        assert connection.execute(select(func.count()).select_from(event_pending)).scalar_one() == 0
    assert counts.received == counts.good + counts.spoiled + counts.left
    assert counts.good == len(bench.records)
    assert counts.spoiled == 0
    verify_chain(bench.database)
    station = bench.state.station(1)
    assert len(list((station / "good").iterdir())) == counts.good, "the tray holds what the ledger says"
    assert not list((station / "position").glob("*"))


def test_killed_at_every_commit(bench: Bench) -> None:
    record = bench.add_record()
    assert bench.work(die_at=None) == 0
    check_one_card(bench, record)
    commits = bench.commits()
    assert 10 < commits < MOST_COMMITS
    for number in range(1, commits + 1):
        for before in (True, False):
            record = bench.add_record()
            died = bench.work(die_at=number, before=before)
            # The last commits are those of idle rounds, whose number depends on the clock.
            assert died == -9 or number > commits - IDLE_COMMITS, f"commit {number} was not reached"
            assert bench.work(die_at=None) == 0
            check_one_card(bench, record)


def test_the_printer_printed_every_card_once(bench: Bench) -> None:
    printed = list((bench.state.simulated / "printer-1" / "printed").iterdir())
    assert len(printed) == len(bench.records)


def test_every_verified_card_was_told_to_the_source(bench: Bench) -> None:
    told = [json.loads(line) for line in (bench.state.root / "told.jsonl").read_text().splitlines()]
    verified = {entry["record_id"] for entry in told if entry.get("state") == "verified"}
    assert verified == {json.loads(file.read_text())["record_id"] for file in bench.records}

"""The whole way of one record in one process, which is killed with -9 at a chosen commit.

Everything is the product's own code and assembly; only the source is a list in the plan, and the database driver's
commit is wrapped so that the process can die right before or right after it.
"""

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy.exc import OperationalError

from hsm.errors import HsmUnavailable
from hsm.ports import Hsm
from hsm.settings import TokenSettings
from personalization.approved_record import Failure
from personalization.assembly import Parts, acceptance, now, preparation, station_worker
from personalization.clerk import Clerk
from personalization.errors import StoreUnavailable
from personalization.intake import Intake
from personalization.settings import Settings, StationSettings
from personalization.sources.port import CancellationPage, Outcome, Page
from personalization.store.database import Database
from personalization.store.sealing import Vault


class FaultAtCall:
    """Counts calls of the HSM; the chosen one is reported as failed, `before` it was done or after."""

    def __init__(self, number: int | None, *, before: bool, counted: Path) -> None:
        self._number = number
        self._before = before
        self._counted = counted
        self._count = 0

    def watched(self, hsm: Hsm) -> Hsm:
        """The same HSM, counted."""
        return cast(Hsm, _CountedHsm(hsm, self._call))

    def _call(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self._count += 1
        if self._count == self._number and self._before:
            raise HsmUnavailable("the HSM was not asked")
        answer = call(*arguments, **named)
        if self._count == self._number:
            raise HsmUnavailable("the HSM's answer was lost")
        return answer

    def write_count(self) -> None:
        self._counted.write_text(str(self._count))


class _CountedHsm:
    def __init__(self, hsm: Hsm, call: Callable[..., Any]) -> None:
        self._hsm = hsm
        self._call = call

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._hsm, name)
        return partial(self._call, member) if callable(member) and name != "close" else member


class ListedSource:
    """Serves the records of the plan in order; what it is told is appended to a file, as a source would keep it."""

    def __init__(self, records: Sequence[Path], told: Path) -> None:
        self._records = records
        self._told = told

    def approved_records(self, after: str | None, limit: int) -> Page:
        start = int(after or 0)
        files = self._records[start : start + limit]
        return Page(
            tuple(json.loads(file.read_text()) for file in files),
            tuple(range(start + 1, start + 1 + len(files))),
            str(start + len(files)),
        )

    def send_receipt(self, record_id: str, revision: int | None, outcome: Outcome, errors: Sequence[Failure]) -> None:
        self._tell({"receipt": record_id, "revision": revision, "outcome": outcome, "errors": len(errors)})

    def send_document(self, body: Mapping[str, object]) -> None:
        self._tell(dict(body))

    def cancellations(self, after: str | None) -> CancellationPage:
        return CancellationPage((), after or "0")

    def _tell(self, body: Mapping[str, object]) -> None:
        with self._told.open("a") as file:
            file.write(json.dumps(body) + "\n")


def settings_of(plan: Mapping[str, Any]) -> Settings:
    root = Path(plan["root"])
    return Settings(
        database_url=plan["database_url"],
        key_store_url=plan["key_store_url"],
        token=TokenSettings(Path(plan["module"]), "eid-perso", root / "token.pin", root / "locks" / "token.lock"),
        softhsm_conf=root / "softhsm2.conf",
        authorities=root / "pki" / "production",
        lock_directory=root / "locks",
        log_file=root / "perso.log",
        source_name="padis",
        source_url="",
        specimen=False,
        pcsc_socket=None,
    )


class FaultAtCommit:
    """Counts commits of all databases; at the one that was chosen the process dies, or is told that it failed.

    `before`: it was not done; otherwise it was done all the same.
    """

    def __init__(self, number: int | None, *, before: bool, counted: Path, deadly: bool = True) -> None:
        self._number = number
        self._before = before
        self._counted = counted
        self._deadly = deadly
        self._count = 0

    def watch(self, database: Database) -> None:
        dialect: Any = database.engine.dialect
        commit = dialect.do_commit

        def counted_commit(connection: Any) -> None:
            self._count += 1
            if self._count == self._number and self._before:
                self._fail()
            commit(connection)
            if self._count == self._number:
                self._fail()

        dialect.do_commit = counted_commit

    def _fail(self) -> None:
        if self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OperationalError("COMMIT", None, ConnectionError("the server closed the connection"))

    def write_count(self) -> None:
        self._counted.write_text(str(self._count))


def work(plan: Mapping[str, Any]) -> None:
    """Until nothing is left to do, or until the chosen commit."""
    os.environ["SOFTHSM2_CONF"] = str(Path(plan["root"]) / "softhsm2.conf")
    settings = settings_of(plan)
    station = StationSettings("station-1", Path(plan["control"]), None, Path(plan["chip_socket"]), plan["printer_uri"])
    parts = Parts(settings)
    fault = FaultAtCommit(
        plan["die_at"], before=plan["before"], counted=Path(plan["root"]) / "commits", deadly=plan.get("deadly", True)
    )
    fault.watch(parts.database)
    fault.watch(parts.key_store)
    calls = FaultAtCall(plan.get("fail_call"), before=plan["before"], counted=Path(plan["root"]) / "calls")
    parts.hsm = calls.watched(parts.hsm)
    parts.vault = Vault(parts.key_store, parts.hsm)
    source = ListedSource([Path(name) for name in plan["records"]], Path(plan["root"]) / "told.jsonl")
    intake = Intake(
        database=parts.database,
        vault=parts.vault,
        acceptance=acceptance(parts),
        source=source,
        source_name="padis",
    )
    clerk = Clerk(
        database=parts.database, intake=intake, source=source, source_name="padis", signer=parts.hsm, clock=now
    )
    preparing = preparation(parts, "worker-1")
    making = station_worker(parts, station)
    while _again(lambda: clerk.run_once() or preparing.run_once() or making.run_once()):
        continue
    clerk.checkpoint()
    fault.write_count()
    calls.write_count()
    parts.close()


def _again(round_of_work: Callable[[], object]) -> bool:
    """Whether there may be more to do. As `processes.loop`: a database that is away is asked again."""
    try:
        return bool(round_of_work())
    except StoreUnavailable:
        return True

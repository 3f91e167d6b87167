"""The clock: what is signed and logged by it can never be taken back."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from api.doctor.finding import Finding, failed, not_applicable, ok, warning
from api.doctor.patient import Patient, opened
from personalization.audit import events_after
from personalization.errors import StoreUnavailable
from personalization.store.database import Database
from personalization.store.tables import audit_checkpoint, audit_event

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""This program is not older: a clock before it has lost its battery."""
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
SET_IT = "stop the line and set the clock (chronyd or systemd-timesyncd keeps it); then start again"


def check_clock(patient: Patient) -> Sequence[Finding]:
    """A possible year, not behind what was logged, near the database's clock, and kept by somebody."""
    at = patient.clock()
    if not EARLIEST <= at < LATEST:
        return [failed("clock", f"the clock says {at:%Y-%m-%d %H:%M:%S} UTC, which cannot be", SET_IT)]
    findings = [ok("clock", f"{at:%Y-%m-%d %H:%M:%S} UTC"), _kept(patient)]
    try:
        with opened(patient.database_url) as database:
            findings += [_beside_log(patient, database), _beside_database(patient, database)]
    except StoreUnavailable as error:
        findings.append(not_applicable("clock and log", f"not compared: {error}", "see database"))
    return findings


def _kept(patient: Patient) -> Finding:
    check = "clock synchronized"
    for told in (_chrony(patient), _systemd(patient)):
        if told is not None:
            keeper, kept = told
            if kept:
                return ok(check, f"{keeper} keeps it")
            what_to_do = "a time server may be away: ask it; certificates and events carry this clock's time"
            return warning(check, f"{keeper} says that no time server keeps it", what_to_do)
    what_to_do = "where the machine's host does not keep its time, install chrony"
    return not_applicable(check, "not proven: neither chronyc nor timedatectl tells", what_to_do)


def _chrony(patient: Patient) -> tuple[str, bool] | None:
    answer = patient.answer_of("chronyc", "-n", "tracking")
    if answer is None or answer.code != 0:
        return None
    leap = [line.split(":")[-1].strip() for line in answer.text.splitlines() if line.startswith("Leap status")]
    return "chronyd", leap == ["Normal"]


def _systemd(patient: Patient) -> tuple[str, bool] | None:
    answer = patient.answer_of("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if answer is None or answer.code != 0 or answer.text not in ("yes", "no"):
        return None
    return "systemd", answer.text == "yes"


def _beside_log(patient: Patient, database: Database) -> Finding:
    newest, said = _newest(database), "newest event or checkpoint"
    if newest is None:
        return not_applicable("clock and log", "nothing was logged yet")
    ahead = newest - patient.clock()
    if ahead > timedelta(seconds=patient.limits.clock_warning_seconds):
        sentence = f"the {said} is of {newest:%Y-%m-%d %H:%M:%S} UTC, in the future: this clock is behind, or was ahead"
        return failed("clock and log", sentence, SET_IT)
    return ok("clock and log", f"the {said} is of {newest:%Y-%m-%d %H:%M:%S} UTC")


def _newest(database: Database) -> datetime | None:
    with database.reading() as connection:
        times = list(
            connection.execute(
                select(audit_checkpoint.c.signed_at).order_by(audit_checkpoint.c.seq.desc()).limit(1)
            ).scalars()
        )
        last = connection.execute(select(audit_event.c.seq).order_by(audit_event.c.seq.desc()).limit(1)).scalar()
    if last is not None:
        times += [datetime.fromisoformat(event.body["at"]) for event in events_after(database, last - 1)]
    return max(times, default=None)


def _beside_database(patient: Patient, database: Database) -> Finding:
    check = "clock and database"
    if database.is_sqlite:
        return not_applicable(check, "SQLite has no clock of its own")
    with database.reading() as connection:
        database.now(connection)  # connecting takes its time: the second answer is the one that comes at once
        before = patient.clock()
        theirs = database.now(connection)
        after = patient.clock()
    apart = abs(theirs - before - (after - before) / 2).total_seconds()
    sentence = f"{apart:.1f} s beside the database server's"
    if apart > patient.limits.clock_failure_seconds:
        return failed(check, sentence, "leases and certificates would not agree: " + SET_IT)
    if apart > patient.limits.clock_warning_seconds:
        return warning(check, sentence, "both machines should ask the same time servers")
    return ok(check, sentence)

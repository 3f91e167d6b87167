"""Jobs and blanks: what waits for people, what a dead worker left, and whether every blank is accounted for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import func, select

from api.doctor.finding import Finding, failed, not_applicable, ok, warning
from api.doctor.patient import Patient, opened
from personalization.centre import stock
from personalization.errors import Halt
from personalization.flow import PHYSICAL, JobState
from personalization.store.tables import blank, job

WHAT_TO_DO = {
    "held-by-operator": "whoever held it knows why: release it when that is over (POST /v1/jobs/ID/release)",
    "no-profile": "no card profile is published for this kind of document; when one is, release the jobs",
    "spoiled-too-often": "look at the reports kept with the spoiled cards; withdraw or replace the order at its source",
    "certificate-lint": "its certificates would break a rule: have the record corrected at its source",
    "certificate-subject": "the names cannot stand in a certificate: have the record corrected at its source",
    "certificate-validity": "the document ends before its certificates would begin: have the record corrected",
    "certificate-too-large": "the names make a certificate that readers cut: have the record corrected at its source",
    "face-does-not-fit": "a text does not fit on the card's face: have the record corrected at its source",
    "portrait-too-large": "the portrait does not fit into the chip: have the record sent with a smaller one",
    "data-erased": "the record's data were erased: have it sent anew, as a revision",
    "unexpected-error": "a fault of the program: keep perso.log for its makers; then release or withdraw the order",
}
UNKNOWN_REASON = "look at its events (`perso report events`) and at perso.log, then release or withdraw the order"


def check_jobs(patient: Patient) -> Sequence[Finding]:
    """Held and unclear jobs by reason, and claims whose lease is over."""
    with opened(patient.database_url) as database, database.reading() as connection:
        at = database.now(connection)
        rows = connection.execute(
            select(job.c.state, job.c.reason_code, func.count()).group_by(job.c.state, job.c.reason_code)
        ).all()
        expired = connection.execute(
            select(job.c.owner, job.c.stage, func.count())
            .where(job.c.state == JobState.CLAIMED, job.c.lease_until < at)
            .group_by(job.c.owner, job.c.stage)
        ).all()
    counts: Counter[str] = Counter()
    for state, _, count in rows:
        counts[state] += count
    said = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none yet"
    findings = [ok("jobs", said)]
    for state, reason, count in sorted(rows, key=lambda row: (row[0], row[1] or "")):
        if state in (JobState.HELD, JobState.UNCLEAR):
            what_to_do = WHAT_TO_DO.get(reason or "", UNKNOWN_REASON)
            findings.append(warning(f"jobs {state}", f"{count} {state}: {reason or 'no reason'}", what_to_do))
    return [*findings, *(_expired(owner, stage, count) for owner, stage, count in expired)]


def _expired(owner: str, stage: str, count: int) -> Finding:
    sentence = f"{owner} holds {count} at {stage}, and has not been heard of since its lease ended"
    if stage in PHYSICAL:
        what_to_do = f"a card may stand in {owner}: start the same station again, it goes on with that card"
    else:
        what_to_do = f"see whether {owner} runs; any other worker takes the jobs over"
    return warning("jobs claimed", sentence, what_to_do)


def check_blanks(patient: Patient) -> Sequence[Finding]:
    """received = good + spoiled + left, and the ledger says of each blank what its own row says."""
    look = "the next shift must not begin: count hoppers and trays, compare with `perso report stock` and the events"
    with opened(patient.database_url) as database, database.reading() as connection:
        try:
            counts = stock.count(connection)
        except Halt as halt:
            return [failed("blanks", str(halt), look)]
        states = {
            state: int(count)
            for state, count in connection.execute(select(blank.c.state, func.count()).group_by(blank.c.state)).all()
        }
    said = "{received} received = {good} good + {spoiled} spoiled + {left} left".format(**asdict(counts))
    listed = stock.BlankCounts(
        received=sum(states.values()),
        good=states.get(stock.GOOD, 0),
        spoiled=states.get(stock.SPOILED, 0),
        left=states.get(stock.RECEIVED, 0) + states.get(stock.BOUND, 0),
    )
    if counts.received != counts.good + counts.spoiled + counts.left or counts != listed:
        single = "{received}, {good}, {spoiled}, {left}".format(**asdict(listed))
        return [failed("blanks", f"the ledger says {said}; the single blanks add up to {single}", look)]
    if not counts.received:
        return [not_applicable("blanks", "none was delivered yet")]
    return [ok("blanks", said)]

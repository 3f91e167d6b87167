"""What must be true of a line whenever it has come to rest, whatever was done to it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import Connection, func, select

from api.state_directory import StateDirectory
from personalization.audit import NumberedEvent, events_after, verify_chain, verify_checkpoints
from personalization.audit_verification import AuditBroken
from personalization.centre import stock
from personalization.store.database import Database
from personalization.store.tables import audit_event, blank, card_key, certificate, event_pending, job, posting
from pki.audit_key import evidenced_audit_key


def check(database: Database, state: StateDirectory, wanted: Iterable[str], withdrawn: Iterable[str]) -> list[str]:
    """Sentences on what is wrong; none when all is well. `wanted`, `withdrawn`: record ids."""
    with database.reading() as connection:
        wrong = [
            *_one_card_and_one_pair(connection, set(wanted), set(withdrawn)),
            *_balanced_blanks(connection, state),
            *_accounted_certificates(connection),
        ]
    return [*wrong, *_whole_audit(database, state), *_printed_once(state)]


def check_signed(database: Database, state: StateDirectory) -> list[str]:
    """What is wrong with a line that has ended orderly: its last event is signed for."""
    key = evidenced_audit_key(state.authorities(specimen=False)).public
    last, signed = verify_chain(database), verify_checkpoints(database, key)
    return [] if last == signed else [f"the last event has number {last}, the last checkpoint {signed}"]


def _one_card_and_one_pair(connection: Connection, wanted: set[str], withdrawn: set[str]) -> list[str]:
    wrong = []
    jobs = connection.execute(select(job.c.id, job.c.record_id, job.c.state, job.c.reason_code)).all()
    pairs = Counter(connection.execute(select(certificate.c.job_id).where(certificate.c.state != "revoked")).scalars())
    cards = Counter(connection.execute(select(blank.c.job_id).where(blank.c.state == stock.GOOD)).scalars())
    for record_id in sorted(wanted):
        states = [row.state for row in jobs if row.record_id == record_id]
        done = [row.id for row in jobs if row.record_id == record_id and row.state == "done"]
        if record_id in withdrawn:
            if set(states) - {"failed", "cancelled"}:
                wrong.append(f"{record_id} was withdrawn and has jobs {states}")
            continue
        if len(done) != 1 or set(states) - {"done", "failed", "cancelled"}:
            wrong.append(f"{record_id}: jobs {states}")
            continue
        if pairs[done[0]] != 2 or cards[done[0]] != 1:
            wrong.append(f"{record_id}: {pairs[done[0]]} certificates and {cards[done[0]]} cards that are good")
    ended = {row.id for row in jobs if row.state in ("failed", "cancelled")}
    wrong += [f"{each}: ended, and has certificates that are not revoked" for each in sorted(ended & set(pairs))]
    wrong += [f"{each}: ended, and has a good card" for each in sorted(ended & set(cards))]
    return wrong


def _accounted_certificates(connection: Connection) -> list[str]:
    wrong = []
    intended = connection.execute(select(certificate.c.serial).where(certificate.c.state == "intent")).scalars().all()
    wrong += [f"certificate {serial} was intended and never issued" for serial in intended]
    kept = connection.execute(select(card_key.c.job_id).where(card_key.c.wrapped.is_not(None))).scalars().all()
    wrong += [f"{each}: its wrapped keys were not destroyed" for each in sorted(set(kept))]
    return wrong


def _balanced_blanks(connection: Connection, state: StateDirectory) -> list[str]:
    wrong = []
    counts = stock.count(connection)
    if counts.received != counts.good + counts.spoiled + counts.left:
        wrong.append(f"blanks do not balance: {counts}")
    unbalanced = connection.execute(
        select(posting.c.movement).group_by(posting.c.movement).having(func.sum(posting.c.quantity) != 0)
    ).scalars()
    wrong += [f"movement {movement} has one side alone" for movement in unbalanced]
    if connection.execute(select(func.count()).where(blank.c.state == stock.BOUND)).scalar_one():
        wrong.append("a blank is still bound to a job")
    # A good card that was withdrawn after it was made counts as spoiled; people take it from its tray.
    states = {row.chip_serial: row.state for row in connection.execute(select(blank.c.chip_serial, blank.c.state))}
    for tray, fitting in (("good", {stock.GOOD, stock.SPOILED}), ("reject", {stock.SPOILED})):
        for card in _cards(state, f"station-*/{tray}/*"):
            if states.get(card.name) not in fitting:
                wrong.append(f"card {card.name} lies in the {tray} tray and is {states.get(card.name)}")
    lying = len(_cards(state, "station-*/good/*")) + len(_cards(state, "station-*/reject/*"))
    if lying != counts.good + counts.spoiled:
        wrong.append(f"{lying} cards lie in the trays; {counts.good} are good and {counts.spoiled} spoiled")
    return wrong


def _cards(state: StateDirectory, pattern: str) -> list[Path]:
    return [path for path in state.simulated.glob(pattern) if path.is_dir()]


def _whole_audit(database: Database, state: StateDirectory) -> list[str]:
    try:
        last = verify_chain(database)
        verify_checkpoints(database, evidenced_audit_key(state.authorities(specimen=False)).public)
    except AuditBroken as broken:
        return [str(broken)]
    wrong = []
    with database.reading() as connection:
        pending = connection.execute(select(func.count()).select_from(event_pending)).scalar_one()
        count = connection.execute(select(func.count()).select_from(audit_event)).scalar_one()
    if pending:
        wrong.append(f"{pending} events have no number")
    if count != last:
        wrong.append(f"{count} events, the last has number {last}")
    kinds = Counter(
        (event.body["kind"], event.body["job_id"])
        for event in _all_events(database)
        if event.body["kind"] in ("card.verified", "certificates.issued", "card.encoded", "card.printed")
    )
    wrong += [f"{kind} of {job_id} is told {times} times" for (kind, job_id), times in kinds.items() if times > 1]
    return wrong


def _all_events(database: Database) -> Iterator[NumberedEvent]:
    after = 0
    while events := events_after(database, after):
        yield from events
        after = events[-1].seq


def _printed_once(state: StateDirectory) -> list[str]:
    wrong = []
    for printer in state.simulated.glob("printer-*"):
        completed = Counter[str]()
        seen = {}
        for line in (printer / "jobs.jsonl").read_text().splitlines() if (printer / "jobs.jsonl").exists() else []:
            entry = json.loads(line)
            seen[entry["id"]] = entry
        for entry in seen.values():
            completed[entry["name"]] += entry["state"] == 9
        wrong += [f"{printer.name} printed {name} {times} times" for name, times in completed.items() if times > 1]
    return wrong

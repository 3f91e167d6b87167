"""The audit log: whole, signed, and nothing left lying."""

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from api.doctor.finding import Finding, failed, ok, warning
from api.doctor.patient import Patient, opened
from personalization.audit import pending_count, verify_database
from personalization.audit_verification import AuditBroken
from personalization.store.database import Database
from personalization.store.tables import event_pending
from pki.audit_key import evidenced_audit_key
from pki.errors import PkiError

SIGN_THEM = "the clerk numbers and signs them when the line runs; where it runs, look at perso.log"


def check_audit(patient: Patient) -> Sequence[Finding]:
    """Numbers, chain, signatures of checkpoints; then what still waits for a number."""
    try:
        key = evidenced_audit_key(patient.authorities)
    except PkiError as error:
        return [failed("audit", str(error), "hold the ceremony, or bring its directory back as it was left")]
    with opened(patient.database_url) as database:
        try:
            proven = verify_database(database, key.public)
        except AuditBroken as broken:
            sentence = f"broken at number {broken.number} ({broken.fault.value}): {broken}"
            what_to_do = (
                "stop the line; copy the database; who could write it? `perso audit verify` with the last anchor"
            )
            return [failed("audit", sentence, what_to_do), _pending(patient, database)]
        sentence = f"{proven.last} events hold, signed up to {proven.signed}"
        if proven.unsigned:
            return [
                warning("audit", f"{sentence}; {proven.unsigned} not signed yet", SIGN_THEM),
                _pending(patient, database),
            ]
        return [ok("audit", sentence), _pending(patient, database)]


def _pending(patient: Patient, database: Database) -> Finding:
    check = "audit events waiting"
    with database.reading() as connection:
        count = pending_count(connection)
        oldest = connection.execute(select(event_pending.c.body).order_by(event_pending.c.id).limit(1)).scalar()
    if oldest is None:
        return ok(check, "none")
    seconds = (patient.clock() - datetime.fromisoformat(json.loads(oldest)["at"])).total_seconds()
    sentence = f"{count} without a number, the oldest for {seconds:.0f} s"
    if seconds > patient.limits.unnumbered_seconds:
        return warning(check, sentence, SIGN_THEM)
    return ok(check, sentence)

"""The engine's database and the store of data keys."""

from collections.abc import Sequence

from sqlalchemy import Connection, Select, select

from api.doctor.finding import Finding, failed, ok, warning
from api.doctor.patient import Patient, opened
from personalization.errors import StoreUnavailable
from personalization.flow import JobState
from personalization.store.database import Database
from personalization.store.health import damage_of, schema_of
from personalization.store.tables import data_key, job

RESTORE = "stop the line; bring the newest backup back, and let the audit log be proven by its last anchor"


def check_database(patient: Patient) -> Sequence[Finding]:
    """Reachable, whole, and of the newest version."""
    try:
        with opened(patient.database_url) as database:
            damage = damage_of(database)
            if damage:
                return [failed("database", f"SQLite's quick check finds damage: {damage[0]}", RESTORE)]
            return [_schema(database)]
    except StoreUnavailable as error:
        what_to_do = (
            "start the database server, or name the right --database; a file that is gone comes from the backup"
        )
        return [failed("database", str(error), what_to_do)]


def _schema(database: Database) -> Finding:
    schema = schema_of(database)
    kind = "SQLite" if database.is_sqlite else "PostgreSQL"
    if schema.current == schema.known[0]:
        return ok("database", f"{kind}, tables of version {schema.current}, the newest")
    if schema.current is None:
        return failed("database", f"{kind} without the engine's tables", "`perso run` makes them; or name another one")
    if schema.current in schema.known:
        sentence = f"{kind}, tables of version {schema.current}; the newest is {schema.known[0]}"
        return warning("database", sentence, "back it up; `perso run` brings the tables to the newest version")
    sentence = f"{kind}, tables of version {schema.current}, which this program does not know"
    return failed("database", sentence, "a newer version of this program was here: start that one")


def check_key_store(patient: Patient) -> Sequence[Finding]:
    """Reachable, whole, and it has the data keys of all jobs that still want work."""
    try:
        with opened(patient.state.key_store_url) as store:
            damage = damage_of(store)
            with store.reading() as connection:
                there = _records(connection, select(data_key.c.record_id, data_key.c.revision))
    except StoreUnavailable as error:
        what_to_do = "bring its disk back; the store has no backup by design: without it the records must be sent anew"
        return [failed("key store", str(error), what_to_do)]
    if damage:
        what_to_do = "stop the line and copy the file; records whose keys are lost must be sent anew by their source"
        return [failed("key store", f"SQLite's quick check finds damage: {damage[0]}", what_to_do)]
    active = (JobState.READY, JobState.CLAIMED, JobState.RETRY, JobState.HELD, JobState.UNCLEAR)
    with opened(patient.database_url) as database, database.reading() as connection:
        waiting = _records(connection, select(job.c.record_id, job.c.revision).where(job.c.state.in_(active)))
    lost = waiting - there
    if lost:
        what_to_do = (
            "this store and the database are not of the same line or day; find the right one, or withdraw the orders"
        )
        return [failed("key store", f"{len(lost)} jobs that want work have no data key here", what_to_do)]
    return [ok("key store", f"{len(there)} records' data keys, wrapped in the HSM or erased")]


def _records(connection: Connection, query: Select[str, int]) -> set[tuple[str, int]]:
    return {(row[0], row[1]) for row in connection.execute(query)}

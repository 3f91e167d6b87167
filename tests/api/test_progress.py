"""What a run waits for."""

from datetime import UTC, datetime
from pathlib import Path

from api.progress import SOURCE, look
from personalization.outgoing import queue_message
from personalization.store.database import Database, upgrade

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


def test_a_run_waits_for_what_its_source_is_to_be_told_and_for_nobody_else(tmp_path: Path) -> None:
    """One that only pushes has no address: it reads what it wants to know from the job API."""
    url = f"sqlite:///{tmp_path / 'engine.sqlite'}"
    upgrade(url)
    database = Database(url)
    for source, untold in (("pushing-alone", 0), (SOURCE, 1)):
        with database.begin() as connection:
            queue_message(connection, source, "document", {}, NOW)
        assert look(database).untold == untold
    database.close()

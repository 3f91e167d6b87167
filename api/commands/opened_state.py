"""What commands that look into a finished line have in common: its options and its parts."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Row, select

from api.failure import CommandFailed
from api.state_directory import StateDirectory
from api.token import token_settings
from personalization.settings import Settings
from personalization.store.database import Database
from personalization.store.tables import blank, job


@dataclass(frozen=True, slots=True)
class OpenedState:
    """A state directory with its database."""

    directory: StateDirectory
    database_url: str
    database: Database


def add_state_options(parser: argparse.ArgumentParser) -> None:
    """`--state`, `--database` and `--json`."""
    parser.add_argument("--state", type=Path, default=Path("state"), metavar="DIR", help="state of the line")
    parser.add_argument("--database", metavar="URL", help="SQLAlchemy URL (default: SQLite in the state directory)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


@contextmanager
def opened_state(options: argparse.Namespace) -> Iterator[OpenedState]:
    """The state that the options name. Raises `CommandFailed` where there is none."""
    directory = StateDirectory(options.state.resolve())
    if not directory.root.is_dir() or not directory.softhsm_conf.exists():
        raise CommandFailed(f"--state: {directory.root} holds no line; `perso run` makes one")
    url = options.database or directory.database_url
    database = Database(url)
    try:
        yield OpenedState(directory, url, database)
    finally:
        database.close()


def find_card(opened: OpenedState, chip_serial: str) -> Row[tuple[object, ...]]:
    """Job and blank of a chip serial. Raises `CommandFailed`."""
    with opened.database.reading() as connection:
        row = connection.execute(
            select(job, blank.c.chip_serial, blank.c.state.label("blank_state"), blank.c.stock_point, blank.c.atr)
            .join(blank, blank.c.job_id == job.c.id)
            .where(blank.c.chip_serial == chip_serial.upper())
        ).first()
    if row is None:
        raise CommandFailed(f"no card with chip serial {chip_serial}; `perso card list` shows them")
    return row


def card_directory(opened: OpenedState, chip_serial: str) -> Path:
    """Where the simulated chip of a finished card lies. Raises `CommandFailed`."""
    for tray in ("good", "reject"):
        found = sorted(opened.directory.simulated.glob(f"station-*/{tray}/{chip_serial.upper()}"))
        if found:
            return found[0]
    raise CommandFailed(f"the card {chip_serial} is in no tray of a simulated station")


def settings_of(opened: OpenedState, *, specimen: bool, pcsc_socket: Path | None) -> Settings:
    """Settings for a process that works on a finished card."""
    directory = opened.directory
    return Settings(
        database_url=opened.database_url,
        key_store_url=directory.key_store_url,
        token=token_settings(directory),
        softhsm_conf=directory.softhsm_conf,
        authorities=directory.authorities(specimen=specimen),
        lock_directory=directory.locks,
        log_file=directory.log_file,
        source_name="",
        source_url="",
        specimen=specimen,
        pcsc_socket=pcsc_socket,
    )

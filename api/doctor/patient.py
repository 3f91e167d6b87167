"""What is examined, and by which clock, disk and programs: all of it can be replaced."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from api.state_directory import StateDirectory
from personalization.assembly import now
from personalization.errors import StoreUnavailable
from personalization.store.database import Database

PROGRAM_SECONDS = 10.0
PROGRAM_PATH = f"{os.defpath}:/usr/sbin:/sbin"
"""Debian keeps pcscd in /usr/sbin, which is not on the PATH of an ordinary user."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said: exit code, and standard output and error together."""

    code: int
    text: str


def answer_of(*command: str) -> Answer | None:
    """Run a program; None where it is not installed or does not end within `PROGRAM_SECONDS`."""
    program = shutil.which(command[0], path=PROGRAM_PATH)
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"LC_ALL": "C", "PATH": PROGRAM_PATH},
            check=False,
            timeout=PROGRAM_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Answer(done.returncode, done.stdout.decode("utf-8", "replace").strip())


def free_bytes(directory: Path) -> int:
    """Bytes that an ordinary user may still write there."""
    return shutil.disk_usage(directory).free


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on what is little, late or old."""

    low_disk_bytes: int = 2 * 1024**3
    least_disk_bytes: int = 200 * 1024**2
    certificate_notice_days: int = 60
    key_use_notice_days: int = 14
    clock_warning_seconds: float = 2.0
    clock_failure_seconds: float = 30.0
    unnumbered_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Patient:
    """One line. `readers` and `printers` are those that its stations need; `user` is the one who runs it."""

    state: StateDirectory
    database_url: str
    pcsc_socket: Path | None = None
    readers: tuple[str, ...] = ()
    printers: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], datetime] = now
    free_bytes: Callable[[Path], int] = free_bytes
    answer_of: Callable[..., Answer | None] = answer_of
    user: int = field(default_factory=os.geteuid)

    @property
    def authorities(self) -> Path:
        """Certificates and evidence of the line's ceremony."""
        return self.state.authorities(specimen=self.state.specimen)

    @property
    def environment(self) -> Mapping[str, str]:
        """Of a process that opens the token."""
        return {"SOFTHSM2_CONF": str(self.state.softhsm_conf)}


def file_of(url: str) -> Path | None:
    """The file of an SQLite database; None for a server's. Raises `StoreUnavailable` where the URL is none."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreUnavailable("the database's URL is not one of sqlite:///… or postgresql+pg8000://…") from None
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Path(parsed.database)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """A database that exists: one that is gone is not made anew. Raises `StoreUnavailable`."""
    file = file_of(url)
    if file is not None and not file.is_file():
        raise StoreUnavailable(f"there is no file {file}")
    database = Database(url)
    try:
        yield database
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"it cannot be read ({type(error).__name__}): damaged, or of another version") from None
    finally:
        database.close()

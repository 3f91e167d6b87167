"""A throwaway PostgreSQL cluster on a Unix socket, for the tests alone."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import text

from personalization.errors import StoreUnavailable
from personalization.store.database import Database
from personalization.store.tables import metadata

START_SECONDS = 30.0
# What is lost with the machine is of no interest here, but nothing may be lost with the server alone
# (synchronous_commit stays on); deadlocks are to be found at once.
SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "deadlock_timeout=100ms",
)


class PostgresServer:
    """A cluster of its own in `directory`, where its socket lies too."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs = programs
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve the cluster; returns when it answers."""
        arguments = [f"-c{setting}" for setting in SETTINGS]
        with (self.directory / "log").open("a") as log:
            self._process = subprocess.Popen(
                _unprivileged(
                    [self._programs / "postgres", "-D", self.directory / "data", "-k", self.directory, *arguments]
                ),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        _wait(self, self._process)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it; by default a fast shutdown, which waits for no client. SIGQUIT: an immediate one, like a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()

    def url(self, name: str) -> str:
        socket = quote(str(self.directory / ".s.PGSQL.5432"), safe="")
        return f"postgresql+pg8000://perso@/{name}?unix_sock={socket}"

    def create(self, name: str) -> str:
        """Another database, with nothing in it; its URL."""
        administrator = Database(self.url("postgres"))
        with administrator.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
            connection.execute(text(f"CREATE DATABASE {name}"))
        administrator.close()
        return self.url(name)


def empty(database: Database) -> None:
    """Take all rows out of a database."""
    # DELETE: for a few rows it is far quicker than TRUNCATE, which makes every table's file anew.
    deletes = " ".join(f"{table.delete()};" for table in reversed(metadata.sorted_tables))
    with database.begin() as connection:
        connection.execute(text(f"DO $$ BEGIN {deletes} END $$"))


def find_programs() -> Path | None:
    """The directory of `initdb` and `postgres`; Debian keeps them off the PATH, one directory per version."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


@contextmanager
def running_server(programs: Path) -> Iterator[PostgresServer]:
    """Make a cluster, serve it, and leave nothing of it."""
    directory = Path(tempfile.mkdtemp(prefix="perso-postgres-"))
    try:
        if os.geteuid() == 0:
            user = _user()
            os.chown(directory, user.pw_uid, user.pw_gid)
        data = directory / "data"
        _run([programs / "initdb", "--pgdata", data, "--username=perso", "--auth=trust", "--no-sync", "--no-locale",
              "--encoding=UTF8", "--no-instructions"], directory)  # fmt: skip
        server = PostgresServer(programs, directory)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _user() -> pwd.struct_passwd:
    """The server refuses to run as root."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _unprivileged(command: Sequence[Path | str]) -> list[str]:
    """The command as an ordinary user, stopped (fast shutdown) should the test run be killed."""
    prefix = ["setpriv", "--pdeathsig=INT"]
    if os.geteuid() == 0:
        user = _user()
        prefix += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [*prefix, *map(str, command)]


def _run(command: Sequence[Path | str], directory: Path) -> None:
    subprocess.run(_unprivileged(command), cwd=directory, check=True, capture_output=True, stdin=subprocess.DEVNULL)


def _wait(server: PostgresServer, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        database = Database(server.url("postgres"))
        try:
            with database.reading() as connection:
                connection.execute(text("SELECT 1"))
        except StoreUnavailable:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
        finally:
            database.close()

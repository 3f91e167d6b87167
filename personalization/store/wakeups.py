"""Waking workers that wait: PostgreSQL tells them of every commit that gives work; a poll stands behind it.

SQLite has nobody who could tell: there a worker looks twenty times a second, which costs one read of a small index.
"""

import select
import socket
import time
from contextlib import suppress
from typing import Any

import pg8000.dbapi as pg8000
from sqlalchemy import Connection, text

from personalization.store.database import Database

CHANNEL = "eid_perso"
POLL_SECONDS = 0.5
"""Behind the notifications: for what becomes due by time alone (retries, leases), and for a lost connection."""

SQLITE_POLL_SECONDS = 0.05


def wake(connection: Connection) -> None:
    """Wake all who wait once the caller's transaction is committed."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"NOTIFY {CHANNEL}"))


class Wakeups:
    """One worker's ear; `wait` returns early when there may be work. Never raises: without a database it sleeps."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._socket: socket.socket | None = None
        self._connection: Any = None

    def wait(self, at_most: float = POLL_SECONDS) -> None:
        """Wait until somebody called `wake`, or `at_most` seconds."""
        if self._database.is_sqlite:
            time.sleep(min(at_most, SQLITE_POLL_SECONDS))
            return
        try:
            self._hear(at_most)
        except (OSError, pg8000.Error):
            self.close()
            time.sleep(at_most)

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError, pg8000.Error):
            if self._connection is not None:
                self._connection.close()
        if self._socket is not None:
            self._socket.close()
        self._connection = self._socket = None

    def _hear(self, at_most: float) -> None:
        if self._connection is None or self._socket is None:
            self._listen()
            return  # whatever was committed before the ear was there is found by looking now
        heard, _, _ = select.select([self._socket], [], [], at_most)
        if heard:
            self._connection.cursor().execute("SELECT 1")  # pg8000 takes notifications in beside an answer
            self._connection.notifications.clear()

    def _listen(self) -> None:
        # A connection of our own over a socket of our own: pg8000 has no call that waits for a notification.
        _, arguments = self._database.engine.dialect.create_connect_args(self._database.engine.url)
        path = arguments.pop("unix_sock", None)
        if path is not None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(path)
        else:
            place = (arguments.get("host", "localhost"), int(arguments.get("port", 5432)))
            self._socket = socket.create_connection(place, timeout=10)
            self._socket.settimeout(None)
        self._connection = pg8000.connect(**arguments, sock=self._socket)
        self._connection.autocommit = True
        self._connection.cursor().execute(f"LISTEN {CHANNEL}")

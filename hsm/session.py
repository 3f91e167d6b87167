"""One process, one session, one thread: the way in to a token.

SoftHSM under python-pkcs11 fails, at worst with a segmentation fault, when two threads use it, and fails to start when
two processes open the same token at once. So a process has at most one session, only the thread that opened it may
call, and opening, looking for keys and writing keys happen under a file lock.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import (
    EncryptedDataInvalid,
    EncryptedDataLenRange,
    GeneralError,
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    WrappedKeyInvalid,
    WrappedKeyLenRange,
)

from hsm.errors import HsmUnavailable, KeyNotFound, PinRefused, SessionMisused
from hsm.policy import KeyRole, PolicyMapper
from hsm.ports import KeyLabel
from hsm.settings import TokenSettings

BLOB_REFUSED = (
    EncryptedDataInvalid,
    EncryptedDataLenRange,
    WrappedKeyInvalid,
    WrappedKeyLenRange,
    GeneralError,  # what SoftHSM 2.6.1 answers to a wrong AES key wrap, GCM tag or OAEP padding
)
"""Answers to a damaged blob; the last can also mean a dying token, so `TokenSession.probe` decides."""

_PIN_ERRORS = (PinExpired, PinIncorrect, PinInvalid, PinLenRange, PinLocked)

_only_session = threading.Lock()  # held while this process has a session


class _FileLock:
    """flock(2) on a file, re-entrant within its owner."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        if self._is_held:
            yield
            return
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HsmUnavailable(f"the token's lock file cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._is_held = True
            yield
        finally:
            self._is_held = False
            os.close(descriptor)


class TokenSession:
    """A logged-in session; `driver` is the python-pkcs11 session and stays within this room."""

    def __init__(self, library: Any, driver: Any, lock: _FileLock) -> None:
        self._library = library
        self._driver = driver
        self._lock = lock
        self._keys: dict[tuple[ObjectClass, KeyLabel], Any] = {}
        self._thread = threading.get_ident()
        self._process = os.getpid()
        self._state = "open"

    @classmethod
    def open(cls, settings: TokenSettings, *, writable: bool) -> "TokenSession":
        """Load, open and log in under the file lock; `writable` sessions may make token objects.

        Raises `HsmUnavailable`, `PinRefused`, or `SessionMisused` when this process already has a session.
        """
        if not _only_session.acquire(blocking=False):
            raise SessionMisused("this process already has a session with an HSM")
        try:
            lock = _FileLock(settings.lock_file)
            with lock.held():
                library, driver = _log_in(settings, _read_pin(settings.pin_file), writable=writable)
            return cls(library, driver, lock)
        except BaseException:
            _only_session.release()
            raise

    @contextmanager
    def calls(self) -> Iterator[Any]:
        """Every call to the driver happens in here: checks who calls, and turns the driver's errors into ours.

        An error of the driver ends the session's use: PKCS#11 says little about the state it leaves behind.
        """
        self._check_caller()
        if self._state != "open":
            raise HsmUnavailable(f"the session with the HSM is {self._state}")
        try:
            yield self._driver
        except PKCS11Error as error:
            self._state = "dropped after an error"
            raise HsmUnavailable(f"the HSM refused a call ({type(error).__name__})") from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process opens the token, looks for keys or writes keys meanwhile."""
        with self._lock.held():
            yield

    def find(self, object_class: ObjectClass, label: KeyLabel, role: KeyRole | None = None) -> Any:
        """The one token object of this class and label; remembered, and checked against `role` the first time.

        Raises `KeyNotFound`.
        """
        key = self._keys.get((object_class, label))
        if key is None:
            found = self.search({Attribute.CLASS: object_class, Attribute.LABEL: label})
            if not found:
                self.probe()  # a token that went away answers an empty list too
            if len(found) != 1:
                raise KeyNotFound(f"{len(found)} keys are labelled {label}, one was expected")
            key = found[0]
            if role is not None:
                role.check(key)
            self._keys[object_class, label] = key
        return key

    def search(self, attributes: dict[Attribute, Any]) -> list[Any]:
        """Token objects with these attributes, under the file lock."""
        with self.alone():
            return list(self._driver.get_objects({Attribute.TOKEN: True, **attributes}))

    def probe(self) -> None:
        """Does nothing if the token still answers, else raises the driver's error."""
        self._driver.generate_random(64)
        for key in self._keys.values():
            key[Attribute.CLASS]

    def close(self) -> None:
        """Log out and finalize; harmless when done twice or when the token has gone. Raises `SessionMisused`."""
        self._check_caller()
        if self._state == "closed":
            return
        self._state = "closed"
        self._keys.clear()
        with suppress(PKCS11Error):
            self._driver.close()
        with suppress(PKCS11Error):
            self._library.finalize()
        _only_session.release()

    def _check_caller(self) -> None:
        if os.getpid() != self._process:
            raise SessionMisused("the process was forked after the HSM was opened")
        if threading.get_ident() != self._thread:
            raise SessionMisused("another thread than the one that opened the HSM called it")


def _read_pin(path: Path) -> str:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise HsmUnavailable("the file with the token's PIN cannot be read") from None
    if not lines or not lines[0]:
        raise HsmUnavailable("the file with the token's PIN is empty")
    return lines[0]


def _log_in(settings: TokenSettings, pin: str, *, writable: bool) -> tuple[Any, Any]:
    """The initialized library and the session, or nothing initialized at all."""
    try:
        library = pkcs11.lib(str(settings.module))
    except PKCS11Error as error:
        raise HsmUnavailable(f"the PKCS#11 module does not load ({type(error).__name__})") from None
    try:
        token = library.get_token(token_label=settings.token_label)
        return library, token.open(rw=writable, user_pin=pin, attribute_mapper=PolicyMapper())
    except PKCS11Error as error:
        with suppress(PKCS11Error):
            library.finalize()
        if isinstance(error, _PIN_ERRORS):
            raise PinRefused(f"the token refused the PIN ({type(error).__name__})") from None
        raise HsmUnavailable(f"the token cannot be opened ({type(error).__name__})") from None

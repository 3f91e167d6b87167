"""Throwaway SoftHSM tokens. Every open fixture is closed again: a process has one session at a time."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hsm.ceremony import KeyCeremony, KeyLetter
from hsm.pkcs11 import Pkcs11Hsm, open_ceremony, open_hsm
from hsm.pkcs11_ceremony import Pkcs11Ceremony
from hsm.ports import Curve, KeyLabel, PublicKey
from hsm.settings import TokenSettings
from tests.hsm import chip_maker

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "246813579"


@dataclass(frozen=True, slots=True)
class Token:
    """A token on disk, the environment that finds it, and what its ceremony made."""

    settings: TokenSettings
    configuration: Path
    signing_keys: dict[Curve, PublicKey]


def signing_label(curve: Curve) -> KeyLabel:
    return KeyLabel(f"signing-{curve}")


def make_token(directory: Path) -> Token:
    """An initialized token without keys."""
    (directory / "tokens").mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {directory / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    (directory / "pin").write_text(PIN + "\n")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "test", "--pin", PIN, "--so-pin", "12345678"],
        env={"SOFTHSM2_CONF": str(configuration), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    settings = TokenSettings(MODULE, "test", directory / "pin", directory / "lock")
    return Token(settings, configuration, {})


@contextmanager
def ceremony_on(token: Token) -> Iterator[KeyCeremony]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SOFTHSM2_CONF", str(token.configuration))
        ceremony = open_ceremony(token.settings)
        try:
            yield ceremony
        finally:
            ceremony.close()


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """The token that all tests share read-only: it went through a whole ceremony."""
    made = make_token(tmp_path_factory.mktemp("token"))
    with ceremony_on(made) as ceremony:
        for curve in Curve:
            made.signing_keys[curve] = ceremony.make_signing_key(signing_label(curve), curve)
        ceremony.make_storage_key()
        ceremony.make_record_key()
        exchange = ceremony.make_exchange_key()
        ceremony.import_masters(KeyLetter.from_json(chip_maker.letter_bytes(exchange)))
    return made


@pytest.fixture
def token_environment(token: Token, monkeypatch: pytest.MonkeyPatch) -> Token:
    """The shared token, findable but not opened."""
    monkeypatch.setenv("SOFTHSM2_CONF", str(token.configuration))
    return token


@pytest.fixture
def hsm(token_environment: Token) -> Iterator[Pkcs11Hsm]:
    opened = open_hsm(token_environment.settings)
    assert isinstance(opened, Pkcs11Hsm)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def fresh_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    """A token without keys, for one test."""
    made = make_token(tmp_path)
    monkeypatch.setenv("SOFTHSM2_CONF", str(made.configuration))
    return made


@pytest.fixture
def ceremony(fresh_token: Token) -> Iterator[Pkcs11Ceremony]:
    opened = open_ceremony(fresh_token.settings)
    assert isinstance(opened, Pkcs11Ceremony)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def label_of() -> Callable[[Curve], KeyLabel]:
    """Label of the shared token's signing key on a curve."""
    return signing_label

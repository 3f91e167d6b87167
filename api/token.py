"""The SoftHSM token of a line and its ceremony, each in a process of its own: PKCS#11 never lives in the parent."""

import os
import pty
import secrets
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from api.apart import run_apart
from api.failure import CommandFailed
from api.state_directory import StateDirectory
from hsm.settings import TokenSettings
from pki.ceremony import EVIDENCE_FILE, hold_ceremony, load_plan, masters_taken
from pki.ceremony_journal import write_whole

TOKEN_SECONDS = 30.0
TOKEN_LABEL = "eid-perso"  # noqa: S105 - a label, not a secret
SOFTHSM_MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
)


class TokenMissing(CommandFailed):
    """No PKCS#11 module or no way to make a token here; the sentence says what to install."""


class CeremonyFailed(CommandFailed):
    """The ceremony ended early; the sentence says at what."""


def softhsm_module() -> Path:
    """Where SoftHSM2 is installed. Raises `TokenMissing`."""
    for module in SOFTHSM_MODULES:
        if module.exists():
            return module
    raise TokenMissing("SoftHSM2 is not installed: apt-get install softhsm2 (or run `make setup`)")


def token_settings(state: StateDirectory) -> TokenSettings:
    """How the token of this state is opened."""
    return TokenSettings(softhsm_module(), TOKEN_LABEL, state.pin_file, state.locks / "token.lock")


def ensure_token(state: StateDirectory) -> None:
    """Make the token where there is none. A start that was killed in the middle is simply done again."""
    if shutil.which("softhsm2-util") is None:
        raise TokenMissing("softhsm2-util is not installed: apt-get install softhsm2 (or run `make setup`)")
    state.softhsm_conf.write_text(
        f"directories.tokendir = {state.token_directory.resolve()}\n"
        "objectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
    )
    if not state.pin_file.exists():
        descriptor = os.open(state.pin_file.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(16))
        state.pin_file.with_suffix(".new").rename(state.pin_file)
    if any(state.token_directory.glob("*/token.object")) and (state.root / "token.ready").exists():
        return
    for half_made in state.token_directory.iterdir():
        shutil.rmtree(half_made)  # a token without token.ready was never used
    _make_token(state.softhsm_conf, state.pin_file.read_text().strip())
    (state.root / "token.ready").touch()


def _make_token(softhsm_conf: Path, pin: str) -> None:
    # A command line can be read by every user of the machine, so the PIN is typed; it is asked for on a terminal only.
    keyboard, terminal = pty.openpty()
    try:
        with subprocess.Popen(
            ["softhsm2-util", "--init-token", "--free", "--label", TOKEN_LABEL],
            env={**os.environ, "SOFTHSM2_CONF": str(softhsm_conf)},
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.write(keyboard, f"{pin}\n".encode() * 4)  # the officer's and the user's, each twice
            try:
                _, said = process.communicate(timeout=TOKEN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                said = "it did not end"
    finally:
        os.close(keyboard)
        os.close(terminal)
    if process.returncode != 0:
        raise TokenMissing(f"softhsm2-util could not make a token: {said.strip().splitlines()[-1:]}")


def hold_ceremony_apart(
    state: StateDirectory, plan_file: Path, directory: Path, key_letter: Callable[[bytes], bytes] | None
) -> Path:
    """Hold the ceremony in a spawned process; the path of its evidence. Raises `CeremonyFailed`.

    `key_letter` is called there, so it must be picklable. Where masters are still missing at the end, the exchange
    key is left in `state.exchange_key` for the chip maker.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment, token = {"SOFTHSM2_CONF": str(state.softhsm_conf)}, token_settings(state)
    try:
        run_apart(environment, _hold_ceremony, token, state, plan_file, directory, key_letter)
    except CommandFailed as failure:
        raise CeremonyFailed(str(failure)) from failure
    return directory / EVIDENCE_FILE


def _hold_ceremony(
    token: TokenSettings,
    state: StateDirectory,
    plan_file: Path,
    directory: Path,
    key_letter: Callable[[bytes], bytes] | None,
) -> None:
    from hsm.pkcs11 import open_ceremony

    plan = load_plan(plan_file)
    ceremony = open_ceremony(token)
    try:
        hold_ceremony(plan, ceremony, now=datetime.now(UTC), directory=directory, key_letter=key_letter)
        if not masters_taken(directory):
            write_whole(state.exchange_key, ceremony.exchange_public_key())
    finally:
        ceremony.close()

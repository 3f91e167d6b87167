"""One process, one session, one thread; and what a token that is not there looks like."""

import dataclasses
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsm.errors import HsmError, HsmUnavailable, PinRefused, SessionMisused
from hsm.pkcs11 import Pkcs11Hsm, open_ceremony, open_hsm
from hsm.pkcs11_ceremony import Pkcs11Ceremony
from hsm.ports import CardFunction, ChannelKey, Curve, KeyLabel
from tests.hsm.conftest import PIN, Token

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]


def test_second_session_of_a_process_is_refused(hsm: Pkcs11Hsm, token: Token) -> None:
    for opening in (open_hsm, open_ceremony):
        with pytest.raises(SessionMisused):
            opening(token.settings)
    assert hsm.random_bytes(1)


def test_close_and_open_again(token_environment: Token) -> None:
    for _ in range(3):
        hsm = open_hsm(token_environment.settings)
        hsm.close()
        hsm.close()
        with pytest.raises(HsmUnavailable, match="closed"):
            hsm.random_bytes(1)


def test_another_thread_is_refused(hsm: Pkcs11Hsm, label_of: Callable[[Curve], KeyLabel]) -> None:
    caught: list[HsmError] = []

    def call() -> None:
        for use in (lambda: hsm.sign(label_of(Curve.P256), bytes(32)), hsm.new_data_key, hsm.close):
            try:
                use()
            except HsmError as error:
                caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert [type(error) for error in caught] == [SessionMisused] * 3
    assert hsm.random_bytes(1)


def test_forked_process_is_refused(hsm: Pkcs11Hsm, token: Token) -> None:
    child = os.fork()
    if child == 0:
        refused = 0
        for use in (lambda: hsm.random_bytes(1), hsm.close, lambda: open_hsm(token.settings)):
            try:
                use()
            except SessionMisused:
                refused += 1
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert hsm.random_bytes(1)


def test_wrong_pin_is_not_tried_again(token_environment: Token, tmp_path: Path) -> None:
    wrong = tmp_path / "pin"
    wrong.write_text("not-the-pin")
    with pytest.raises(PinRefused) as refusal:
        open_hsm(dataclasses.replace(token_environment.settings, pin_file=wrong))
    assert "not-the-pin" not in str(refusal.value)
    open_hsm(token_environment.settings).close()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("module", Path("/nonexistent/libpkcs11.so")),
        ("token_label", "another"),
        ("pin_file", Path("/nonexistent/pin")),
        ("lock_file", Path("/nonexistent/lock")),
    ],
)
def test_what_is_not_there_is_unavailable(token_environment: Token, field: str, value: Any) -> None:
    with pytest.raises(HsmUnavailable) as refusal:
        open_hsm(dataclasses.replace(token_environment.settings, **{field: value}))
    assert refusal.value.__cause__ is None
    assert PIN not in str(refusal.value)
    open_hsm(token_environment.settings).close()


def test_empty_pin_file(token_environment: Token, tmp_path: Path) -> None:
    (tmp_path / "pin").touch()
    with pytest.raises(HsmUnavailable, match="empty"):
        open_hsm(dataclasses.replace(token_environment.settings, pin_file=tmp_path / "pin"))


def test_token_that_dies_is_unavailable_and_its_blobs_are_not_called_damaged(
    token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label_of: Callable[[Curve], KeyLabel]
) -> None:
    shutil.copytree(token.configuration.parent / "tokens", tmp_path / "tokens")
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    for use in ("sign", "unwrap", "rewrap", "cmac"):
        hsm = open_hsm(token.settings)
        try:
            hsm.sign(label_of(Curve.P256), bytes(32))
            _, wrapped = hsm.new_data_key()
            card_key = hsm.make_card_keys(Curve.P256, 1)[0].wrapped
            hidden = (tmp_path / "tokens").rename(tmp_path / "gone")
            with pytest.raises(HsmUnavailable) as refusal:
                match use:
                    case "sign":
                        hsm.sign(label_of(Curve.P256), bytes(32))
                    case "unwrap":
                        hsm.unwrap_data_key(wrapped)
                    case "rewrap":
                        hsm.rewrap_for_chip(bytes(10), card_key)
                    case "cmac":
                        hsm.cmac(CardFunction.PIN, ChannelKey.ENC, bytes(10), [b""])
            assert refusal.value.__cause__ is None
            with pytest.raises(HsmUnavailable, match="dropped"):
                hsm.random_bytes(1)
        finally:
            hsm.close()
        hidden.rename(tmp_path / "tokens")


def test_key_made_after_opening_is_found(ceremony: Pkcs11Ceremony, fresh_token: Token, tmp_path: Path) -> None:
    with subprocess.Popen(
        opener(fresh_token, KeyLabel("late")), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        ceremony.make_signing_key(KeyLabel("late"), Curve.P256)
        other.stdin.write("\n")
        other.stdin.close()
        assert other.stdout.readline() == "signed\n"


def opener(token: Token, label: KeyLabel) -> list[str]:
    settings = token.settings
    places = [str(settings.module), settings.token_label, str(settings.pin_file), str(settings.lock_file)]
    return [sys.executable, "-m", "tests.hsm.opener", *places, label]


def test_two_processes_open_at_the_same_moment_ten_times(
    token_environment: Token, label_of: Callable[[Curve], KeyLabel]
) -> None:
    command = opener(token_environment, label_of(Curve.P256))
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    streams = [(process.stdin, process.stdout) for process in processes if process.stdin and process.stdout]
    try:
        assert [answers.readline() for _, answers in streams] == ["ready\n"] * 2
        for _ in range(10):
            for orders, _ in streams:
                orders.write("\n")
                orders.flush()
            assert [answers.readline() for _, answers in streams] == ["signed\n"] * 2
    finally:
        for process, (orders, answers) in zip(processes, streams, strict=True):
            orders.close()
            process.wait(timeout=20)
            answers.close()

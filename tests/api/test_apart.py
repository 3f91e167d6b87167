"""Work apart: results and errors come back typed, and a process that hangs or dies is a sentence."""

import ctypes
import os
import time
from pathlib import Path

import pytest

from api import simulated
from api.apart import run_apart, run_apart_within
from api.cli import main
from api.failure import CommandFailed
from api.simulated import Simulator, SimulatorFailed
from api.state_directory import StateDirectory, StateInUse
from hsm.errors import KeyNotFound
from personalization.processes import PR_SET_DUMPABLE

PR_GET_DUMPABLE = PR_SET_DUMPABLE - 1


def _seen(name: str) -> tuple[str, int]:
    return os.environ[name], ctypes.CDLL(None).prctl(PR_GET_DUMPABLE)


def _raise(error: Exception) -> None:
    raise error


def _die() -> None:
    os._exit(3)


def test_a_result_comes_back_from_an_environment_and_a_memory_of_its_own() -> None:
    assert run_apart({"PERSO_TEST": "there"}, _seen, "PERSO_TEST") == ("there", 0)
    assert "PERSO_TEST" not in os.environ


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyNotFound("no such key"), "no such key"),
        (FileExistsError(17, "File exists", "x"), "File exists: x"),
        (ValueError("a value that nobody may see"), "stopped by ValueError at"),
    ],
)
def test_an_error_comes_back_as_a_sentence(error: Exception, sentence: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        run_apart({}, _raise, error)
    assert sentence in str(failed.value)
    assert "nobody may see" not in str(failed.value)


def test_a_process_that_died_is_a_sentence() -> None:
    with pytest.raises(CommandFailed, match="died"):
        run_apart({}, _die)


def test_a_process_that_hangs_is_given_up() -> None:
    with pytest.raises(CommandFailed, match="no answer within 1 s"):
        run_apart_within(1.0, {}, time.sleep, 60)


def test_a_simulator_that_says_nothing_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "READY_SECONDS", 0.2)
    simulator = Simulator("asyncio")  # a prompt that waits for its input and says nothing on standard output
    try:
        with pytest.raises(SimulatorFailed, match="not ready within"):
            simulator.ready()
    finally:
        simulator.stop()


def test_what_a_locked_state_is_used_for_keeps_its_own_errors(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    state.create()
    with pytest.raises(BlockingIOError), state.locked():
        raise BlockingIOError
    with state.locked(), pytest.raises(StateInUse), state.locked():
        pass


def test_an_error_of_the_operating_system_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    plan = Path(__file__).resolve().parents[2] / "pki" / "ceremonies" / "specimen.toml"
    assert main(["ceremony", str(plan), "--state", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err == f"perso: File exists: {tmp_path / 'file'}\n"

"""docs/simulators.md is run: its examples are scenarios, its commands exist, its OpenSC session works."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from simulators.chip.latency import _KEYS as LATENCY_KEYS
from simulators.scenario import LASTING, Fault, Kind, parse_scenario
from tests.simulators import chip_host as host
from tests.simulators.started import started

PAGE = (Path(__file__).parents[2] / "docs" / "simulators.md").read_text("utf-8")
SESSION_SECONDS = 60


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_there_is_an_example_of_every_fault_and_each_is_a_scenario() -> None:
    examples = [fault for block in blocks("toml") for fault in parse_scenario(block)]
    assert {fault.kind for fault in examples} == set(Kind)
    assert any(fault.times > 1 for fault in examples)
    assert {type(fault.card) for fault in examples} == {int, str}


def test_every_key_and_fault_has_its_row() -> None:
    keys = {"fault" if field.name == "kind" else field.name for field in fields(Fault)} - {"name"}
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted([*keys, *Kind])
    assert {name for name, text in rows if text.endswith("| yes")} == {str(kind) for kind in LASTING}


def test_every_key_of_a_latency_model_has_its_row() -> None:
    for table, keys in LATENCY_KEYS.items():
        (row,) = re.findall(rf"^\| `\[{table}\]` \| (.*?) \|", PAGE, re.MULTILINE)
        assert set(re.findall(r"`([^`]+)`", row)) == keys


def test_every_command_of_the_page_exists() -> None:
    commands = set(re.findall(r"python -m (simulators\.[a-z_]+(?: [a-z][a-z-]+)?)((?: [^`\n]*)?)", PAGE))
    assert {command.split()[0] for command, _ in commands} == {
        f"simulators.{name}" for name in ("chip", "station", "hall", "printer", "document_system")
    }
    for command, arguments in commands:
        said = subprocess.run(
            [sys.executable, "-m", *command.split(), "--help"], capture_output=True, text=True, check=True
        ).stdout
        for option in re.findall(r"--[a-z-]+", arguments):
            assert option in said, f"{command} has no {option}"


@pytest.fixture
def finished_chip() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="chip-"))  # short: a socket's path has 107 bytes at most
    chip = host.blank(directory / "card")
    host.personalize(chip)
    chip.power_off()
    yield directory / "card"
    shutil.rmtree(directory)


@pytest.mark.services
@pytest.mark.skipif(
    not all(map(shutil.which, ("pcscd", "opensc-tool", "pkcs11-tool", "pkcs15-tool", "openssl"))),
    reason="pcscd or OpenSC is not installed",
)
def test_the_session_with_opensc_works_as_it_stands_there(finished_chip: Path) -> None:
    hold, session = blocks("sh")[1:]
    (arguments,) = re.findall(r"simulators\.hall (.*)$", hold.strip())
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory")
    parser.add_argument("--hold")
    assert vars(parser.parse_args(arguments.split())) == {"directory": "/tmp/hall", "hold": '"$CHIP"'}  # noqa: S108
    run = finished_chip.parent / "run"
    with started("hall", "--directory", run, "--hold", finished_chip) as hall:
        done = subprocess.run(
            ["sh", "-eu", "-c", session],
            cwd=finished_chip.parent,
            env=os.environ | {"SOCKET": hall.told["socket"], "HOME": str(finished_chip.parent)},
            capture_output=True,
            text=True,
            timeout=SESSION_SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Private EC Key" in done.stdout
    assert "Signature Verified Successfully" in done.stdout

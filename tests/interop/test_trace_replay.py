"""`perso run --trace` and `perso card replay` as a person at QA types them: real HSM, real pcscd, simulated chips."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simulators.chip.store import Memory
from tests.simulators.started import started

PERSO = Path(sys.executable).with_name("perso")
SAMPLES = Path(__file__).resolve().parents[2] / "simulators" / "records"
RECORD = "PADIS-2026-0000002"
PIN_CELLS = ("pin.", "sequence.02", "failures.02")
"""What the inspection changes after the encoding: one-time PINs over the PIN channel."""

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


def perso(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PERSO), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )


@dataclass(frozen=True)
class TracedRun:
    """The one finished card of a run, and its trace."""

    chip: Path
    trace: Path
    told: dict[str, Any]

    def blank_again(self, directory: Path) -> Path:
        """The chip as it came out of its maker's box: the first line of its memory, which only grows."""
        directory.mkdir(parents=True)
        first = (self.chip / "memory.jsonl").read_bytes().splitlines(keepends=True)[0]
        (directory / "memory.jsonl").write_bytes(first)
        return directory


@pytest.fixture(scope="module")
def traced_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracedRun]:
    directory = tmp_path_factory.mktemp("traced")
    records = directory / "records"
    records.mkdir()
    shutil.copy(SAMPLES / f"{RECORD}.json", records)
    state, traces = directory / "state", directory / "traces"
    done = perso("run", "--records", records, "--state", state, "--trace", traces, "--specimen", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (card,) = told["cards"]
    serial = card["chip_serial"]
    assert [path.name for path in traces.iterdir()] == [f"{serial}.jsonl"]
    (chip,) = (state / "simulated").glob(f"station-*/good/{serial}")
    yield TracedRun(chip, traces / f"{serial}.jsonl", card)


def stored(chip: Path) -> dict[str, bytes]:
    """What the encoding wrote."""
    return {name: value for name, value in Memory(chip).cells.items() if not name.startswith(PIN_CELLS)}


def test_a_run_traces_the_encoding_and_nothing_else(traced_run: TracedRun) -> None:
    assert traced_run.trace.stat().st_mode & 0o777 == 0o600
    assert traced_run.trace.parent.stat().st_mode & 0o777 == 0o700
    lines = [json.loads(line) for line in traced_run.trace.read_text().splitlines()]
    scripts = {line["script"].rsplit("/", 2)[-2] + "/" + line["script"].rsplit("/", 1)[-1] for line in lines[1:]}
    functions = {script.split("/")[0] for script in scripts if not script.endswith("contact")}
    assert functions == {"KEY", "CERT", "PERSO"}
    assert all("inspect" not in line.get("script", "") for line in lines)
    assert not any("header" in line or "lost" in line for line in lines)


def test_production_cards_are_not_traced(tmp_path: Path) -> None:
    done = perso("run", "--records", tmp_path, "--state", tmp_path / "state", "--trace", tmp_path / "traces")
    assert done.returncode == 1
    assert "--specimen" in done.stderr
    assert not (tmp_path / "traces").exists()


def test_the_trace_makes_the_same_card_of_a_copy_of_the_blank(traced_run: TracedRun, tmp_path: Path) -> None:
    copy = traced_run.blank_again(tmp_path / traced_run.chip.name)
    assert stored(copy) != stored(traced_run.chip)
    done = perso("card", "replay", traced_run.trace, "--chip", copy, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told == {"ok": True, "exchanges": told["exchanges"], "difference": None}
    assert stored(copy) == stored(traced_run.chip)


def test_any_pcsc_reader_will_do(traced_run: TracedRun, tmp_path: Path) -> None:
    copy = traced_run.blank_again(tmp_path / traced_run.chip.name)
    run = tmp_path / "hall"
    with started("hall", "--directory", run, "--hold", copy) as hall:
        (place,) = hall.told["stations"]
        if hall.told["socket"] is None:
            pytest.skip("pcscd cannot be had here")
        done = perso(
            "card", "replay", traced_run.trace, "--reader", place["reader"], PCSCLITE_CSOCK_NAME=hall.told["socket"]
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "each answered as in the trace" in done.stdout
    assert stored(copy) == stored(traced_run.chip)


def test_what_cannot_be_replayed_is_said(traced_run: TracedRun, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(traced_run.trace.read_bytes()[:-30])
    copy = traced_run.blank_again(tmp_path / traced_run.chip.name)
    for trace, chip, sentence in (
        (tmp_path / "absent", copy, "is not a file"),
        (traced_run.trace, tmp_path, "holds no simulated chip"),
        (torn, copy, "not a line of a trace"),
    ):
        done = perso("card", "replay", trace, "--chip", chip)
        assert (done.returncode, done.stdout) == (1, "")
        assert sentence in done.stderr
    assert "sequence.03" not in stored(copy)

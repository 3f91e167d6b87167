"""A bounded run of atheris over all readers, from real outputs; what it finds is printed in hexadecimal.

A defect that is found here goes to `found/<target>/<what it is>.hex` and stays there. Longer runs of one reader:
`python -m tests.fuzz.harness ef-sod CORPUS_FOLDER -max_total_time=600`.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
RUNS = 60_000
SECONDS = 8
LONGEST_INPUT_BYTES = 6000
BROKEN = """
import sys
from tests.fuzz import harness

def broken(data):
    if data.startswith(b"`"):
        raise KeyError
    return True

harness.TARGETS["tlv"] = broken
sys.argv = ["fuzz", *sys.argv[1:]]
harness.main()
"""
"""A reader that does not keep its promise: it must be found out."""


def fuzz(folder: Path, *command: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """The run, and "target: hex" of what broke one."""
    corpus, artifacts = folder / "corpus", folder / "artifacts"
    corpus.mkdir()
    artifacts.mkdir()
    for number, target in enumerate(TARGETS):
        for index, seed in enumerate(seeds(target)):
            if len(seed) < LONGEST_INPUT_BYTES:
                (corpus / f"{target}-{index}").write_bytes(bytes([number]) + seed)
    done = subprocess.run(
        [
            sys.executable, *command, "all", str(corpus), f"-runs={RUNS}", f"-max_total_time={SECONDS}", "-seed=1",
            f"-max_len={LONGEST_INPUT_BYTES}", "-timeout=10", f"-artifact_prefix={artifacts}/",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=10 * SECONDS,
    )  # fmt: skip
    names = tuple(TARGETS)
    contents = [path.read_bytes() for path in sorted(artifacts.iterdir())]
    return done, [f"{names[content[0] % len(names)]}: {content[1:].hex()}" for content in contents if content]


@pytest.mark.timeout(200)
def test_no_reader_raises_what_it_does_not_promise(tmp_path: Path) -> None:
    done, broken = fuzz(tmp_path, "-m", "tests.fuzz.harness")
    assert done.returncode == 0, "\n".join([*broken, done.stderr[-3000:]])
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs is not None, done.stderr[-1000:]
    assert int(runs[1]) > 1000


@pytest.mark.timeout(200)
def test_a_reader_that_breaks_its_promise_is_found_out(tmp_path: Path) -> None:
    done, broken = fuzz(tmp_path, "-c", BROKEN)
    assert done.returncode != 0
    assert "KeyError" in done.stderr + done.stdout
    assert [found.startswith("tlv: 60") for found in broken] == [True]

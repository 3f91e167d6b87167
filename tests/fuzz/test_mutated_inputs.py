"""Every reader of ours on inputs that are nearly right, and on all inputs that ever broke one.

`found/` holds an input in hexadecimal for each defect that fuzzing found; its folder is the target's name.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import any_bytes
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

FOUND = sorted((Path(__file__).parent / "found").glob("*/*.hex"))
EXAMPLES = 250


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_are_read(target: str) -> None:
    read = [TARGETS[target](seed) for seed in seeds(target)]
    assert any(read), "else nothing beyond the first refusal would be tried"


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_once_broke_a_reader_is_read(path: Path) -> None:
    TARGETS[path.parent.name](bytes.fromhex(path.read_text("ascii").replace("\n", "")))


@pytest.mark.parametrize("target", TARGETS)
def test_a_reader_raises_what_it_promises_and_nothing_else(target: str) -> None:
    known = seeds(target)

    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.data())
    def read(data: st.DataObject) -> None:
        TARGETS[target](data.draw(any_bytes(known)))

    read()

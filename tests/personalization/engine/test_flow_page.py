"""docs/flow.md and the code's list of stages are the same list."""

import re
from pathlib import Path

import pytest

from personalization.flow import PHYSICAL, PREPARING, STAGES

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "flow.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", PAGE, re.MULTILINE))
headings = [heading for heading in SECTIONS if heading != "What is told"]


def test_the_page_lists_the_stages_in_their_order() -> None:
    assert headings == ["accept", *STAGES]


def test_every_stage_is_either_prepared_or_done_at_a_station() -> None:
    assert (*PREPARING, *PHYSICAL) == STAGES


@pytest.mark.parametrize("heading", headings)
def test_every_stage_tells_what_a_power_cut_leaves(heading: str) -> None:
    assert "*Power cut.*" in SECTIONS[heading]


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", PAGE))))
def test_every_module_the_page_names_is_there(named: str) -> None:
    assert (ROOT / named).is_file() or (ROOT / "personalization" / named).is_file()


def test_the_drawing_shows_the_stages_in_their_order() -> None:
    drawing = PAGE.split("```")[1]
    assert re.findall(r"──([a-z]+)──▶", drawing) == ["accept", *STAGES]

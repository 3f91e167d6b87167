"""docs/api.md says what the code does: problems, reasons, routes and roles, limits. Its shell is run in test_serve."""

import re
from pathlib import Path

from api.http.bodies import BODY_SECONDS, BULK_BYTES, BULK_LINES, CHUNK_SECONDS, RECORD_BYTES
from api.http.callers import MOST_AT_ONCE
from api.http.events import LONGEST_WAIT_SECONDS
from api.http.problems import CATALOGUE
from api.http.records import BATCH_LINES
from api.http.server import HEAD_BYTES
from personalization import job_control
from personalization.acceptance import NO_PROFILE
from tests.api.http.test_routes import REQUIRED, TOKEN

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text("utf-8")


def test_the_page_names_every_problem_and_no_other() -> None:
    named = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", PAGE, re.MULTILINE)
    assert [(code, int(status)) for code, status in named] == [(code, kind.status) for code, kind in CATALOGUE.items()]


def test_the_page_names_every_reason() -> None:
    raised = set(re.findall(r'NotPossible\("([a-z-]+)"', Path(job_control.__file__).read_text("utf-8"))) | {NO_PROFILE}
    (line,) = [line for line in PAGE.splitlines() if line.startswith("| `not-possible`")]
    assert set(re.findall(r"`([a-z-]+)`", line)) - {"not-possible", "reason"} == raised


def test_the_page_names_every_route_with_its_roles() -> None:
    named: dict[tuple[str, str], set[str]] = {}
    for cell, roles in re.findall(r"^\| (`(?:GET|POST) [^|]*) \| ([^|]*) \|", PAGE, re.MULTILINE):
        method, path = re.findall(r"`(GET|POST) ([^`?]*)", cell)[0]
        for each in (path, *(path.rsplit("/", 1)[0] + more for more in re.findall(r"`(/[a-z]+)`", cell))):
            named[method, each] = set(roles.split(", "))
    assert named.pop(("POST", TOKEN)) == {"–"}
    every = {str(role) for roles in REQUIRED.values() for role in roles}
    assert named == {route: {"all"} if roles == every else {str(r) for r in roles} for route, roles in REQUIRED.items()}


def test_the_page_names_the_limits() -> None:
    for said in (
        f"at most {RECORD_BYTES // 2**20} MiB",
        f"at most {BULK_LINES} lines and {BULK_BYTES // 2**20} MiB",
        f"batches of {BATCH_LINES}",
        f"within {BODY_SECONDS:.0f} seconds; in a bulk, something every {CHUNK_SECONDS:.0f}",
        f"at most {MOST_AT_ONCE} requests",
        f"`wait` up to {LONGEST_WAIT_SECONDS} s",
        f"more than {HEAD_BYTES // 2**10} KiB",
    ):
        assert said in PAGE, said

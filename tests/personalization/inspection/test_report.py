"""The report tells everything every judge said, as JSON and as a page that loads nothing."""

import json
import os
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from personalization.inspection.own import OwnReport, inspect_card
from personalization.inspection.reading import CardFiles
from personalization.inspection.report import InspectionReport, report_to_html, report_to_json
from personalization.inspection.steps import JudgeReport, Step, Verdict
from tests.personalization.inspection import finished_card as made
from tests.personalization.inspection.finished_card import Order, SpecimenCentre
from tests.personalization.inspection.wireless import ChipTerminal
from tests.simulators import chip_host as host


@pytest.fixture(scope="module")
def inspected(centre: SpecimenCentre, tmp_path_factory: pytest.TempPathFactory) -> tuple[Order, OwnReport]:
    chip = host.blank(tmp_path_factory.mktemp("report") / "chip")
    order = made.order(centre, chip)
    made.write(chip, order)
    own = inspect_card(
        ChipTerminal(chip), order.expected, pins=made.PINS, random_bytes=os.urandom, script_prefix="job-1/1", fence=1
    )
    return order, own


NOTHING = CardFiles({})


def report(
    *judges: JudgeReport, files: CardFiles = NOTHING, certificates: dict[str, bytes] | None = None
) -> InspectionReport:
    return InspectionReport(
        "job-1", "SA1234567", host.SERIAL.hex().upper(), made.NOW, tuple(judges), files, certificates or {}
    )


def one(verdict: Verdict, sentence: str = "A sentence.") -> JudgeReport:
    steps = (Step(1, "EF.SOD signature", verdict, sentence),)
    return JudgeReport("openssl", steps, duration=timedelta(milliseconds=42))


def test_json_holds_every_step(inspected: tuple[Order, OwnReport]) -> None:
    _, own = inspected
    told = json.loads(report_to_json(report(own.report, one(Verdict.OK))))
    assert told["verdict"] == "ok"
    assert [judge["judge"] for judge in told["judges"]] == ["own", "openssl"]
    assert [step["number"] for step in told["judges"][0]["steps"]] == list(range(1, 12))
    assert told["judges"][1]["milliseconds"] == 42
    assert set(told["judges"][0]["signatures"]) == {"auth", "sign"}


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ((Verdict.OK, Verdict.OK), Verdict.OK),
        ((Verdict.OK, Verdict.NOT_APPLICABLE), Verdict.OK),
        ((Verdict.OK, Verdict.FAILED), Verdict.FAILED),
        ((Verdict.NOT_APPLICABLE,), Verdict.NOT_APPLICABLE),
        ((), Verdict.NOT_APPLICABLE),
    ],
)
def test_one_failed_judge_fails_the_card(verdicts: tuple[Verdict, ...], whole: Verdict) -> None:
    assert report(*(one(verdict) for verdict in verdicts)).verdict is whole


def page_of(own: OwnReport, order: Order) -> str:
    certificates = own.files.certificates(order.expected.profile)
    return report_to_html(report(own.report, files=own.files, certificates=certificates)).decode()


class Page(HTMLParser):
    """Checks that elements are closed in order, and gathers text and sources."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_shows_the_card(inspected: tuple[Order, OwnReport]) -> None:
    order, own = inspected
    page = Page()
    page.feed(page_of(own, order))
    assert not page.open
    assert len(page.sources) == 1
    assert page.sources[0].startswith("data:image/jpeg;base64,")
    for value in ("SA1234567", "".join(order.expected.mrz), "DG3", "EF.SOD", "surname=Kalniņa", "chip identity"):
        assert value in page.text


def test_page_of_a_card_that_cannot_be_read() -> None:
    page = Page()
    files = CardFiles({"travel": {0x0101: b"\x61\x05junk", 0x0102: b""}})
    failed = one(Verdict.FAILED, "<script>alert(1)</script>")
    page.feed(report_to_html(report(failed, files=files, certificates={"auth": b"junk"})).decode())
    assert not page.open
    assert "<script>" in page.text
    assert not page.sources


def test_page_escapes() -> None:
    written = report_to_html(report(one(Verdict.FAILED, "<script>"))).decode()
    assert "<script" not in written

"""OpenSC judges finished cards in real PC/SC readers: right ones pass, wrong ones are seen."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from personalization.inspection import openssl, programs
from personalization.inspection.opensc import judge
from personalization.inspection.programs import Argument, Bench, JudgeSilent, Run
from personalization.inspection.steps import JudgeReport, Verdict
from tests.personalization.inspection import finished_card as made
from tests.personalization.inspection.finished_card import Order, SpecimenCentre
from tests.personalization.station.remote_terminal import RemoteTerminal, pcsc
from tests.simulators import chip_host as host
from tests.simulators.started import started

NEEDED = ("pcscd", "unshare", "pkcs11-tool")


@dataclass(frozen=True)
class Inspection:
    """Cards held in readers: a right one, one with another card's key, one with a spoiled certificate."""

    socket: str
    pcscd_log: Path
    listed: tuple[str, ...]
    readers: dict[str, str]
    orders: dict[str, Order]

    def judged(self, name: str, order: Order | None = None, pins: dict[str, bytes] | None = None) -> JudgeReport:
        expected = (order or self.orders[name]).expected
        return judge(
            reader_name=self.readers[name],
            pcsc_socket=self.socket,
            other_readers=[reader for reader in self.listed if reader != self.readers[name]],
            atr=expected.atr,
            certificates=expected.certificates,
            pins=pins or made.PINS,
            random_bytes=os.urandom,
        )


@pytest.fixture(scope="module")
def room(centre: SpecimenCentre) -> Iterator[Inspection]:
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    directory = Path(tempfile.mkdtemp(prefix="inspect-"))  # short: a socket's path has 107 bytes at most
    orders = {}
    for name in ("right", "foreign-key", "spoiled-certificate"):
        chip = host.blank(directory / name)
        orders[name] = order = made.order(centre, chip)
        foreign = made.order(centre, chip).keys if name == "foreign-key" else None
        made.write(chip, order, keys=foreign, spoil=spoil if name == "spoiled-certificate" else lambda _, whole: whole)
        chip.power_off()
    held = [argument for name in orders for argument in ("--hold", directory / name)]
    try:
        with started("hall", "--directory", directory / "run", *held) as hall:
            readers = {name: place["reader"] for name, place in zip(orders, hall.told["stations"], strict=True)}
            anyone = RemoteTerminal(pcsc, hall.told["socket"], "none of them")
            listed = anyone.other_readers()
            anyone.close()
            assert len(listed) == 2 * len(readers), "vpcd offers two slots for each reader"
            log = directory / "run" / "pcsc" / "pcscd.log"
            yield Inspection(hall.told["socket"], log, listed, readers, orders)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def spoil(name: str, content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1]) if name == "sign.certificate" else content


def failed(report: JudgeReport) -> set[str]:
    return {step.name for step in report.steps if step.verdict is Verdict.FAILED}


@pytest.mark.services
def test_right_card(room: Inspection) -> None:
    started_at = time.perf_counter()
    report = room.judged("right")
    assert report.verdict is Verdict.OK, report
    assert len(report.steps) == 4
    assert time.perf_counter() - started_at < 3
    expected = room.orders["right"].expected
    data_groups = {
        file.fid & 0xFF: file.content
        for application in expected.image.applications
        for file in application.files
        if file.name.startswith("DG")
    }
    ef_sod = next(
        file.content for application in expected.image.applications for file in application.files
        if file.name == "EF.SOD"
    )  # fmt: skip
    second = openssl.judge(
        certificates=expected.certificates,
        issuing_ca=expected.issuing_ca,
        root=expected.root,
        csca=expected.csca,
        ef_sod=ef_sod,
        data_groups=data_groups,
        card_signatures=report.signatures,
        at=made.NOW,
    )
    assert second.verdict is Verdict.OK, second
    assert all(step.verdict is Verdict.OK for step in second.steps)


@pytest.mark.services
def test_key_of_another_card(room: Inspection) -> None:
    assert failed(room.judged("foreign-key")) == {"auth: signature", "sign: signature"}


@pytest.mark.services
def test_spoiled_certificate(room: Inspection) -> None:
    assert failed(room.judged("spoiled-certificate")) == {"sign: certificate"}


@pytest.mark.services
def test_card_of_another_order(room: Inspection) -> None:
    report = room.judged("right", room.orders["foreign-key"])
    assert failed(report) == {"auth: certificate", "auth: signature", "sign: certificate", "sign: signature"}


@pytest.mark.services
def test_wrong_pin_is_told_and_the_right_one_restores_the_counter(room: Inspection) -> None:
    report = room.judged("right", pins={**made.PINS, "PIN1": b"9999"})
    assert "auth: signature" in failed(report)
    assert "9999" not in repr(report)
    assert room.judged("right").verdict is Verdict.OK


@pytest.mark.services
def test_a_reader_that_is_not_there(room: Inspection) -> None:
    report = judge(
        reader_name="No such reader 00 00",
        pcsc_socket=room.socket,
        other_readers=(),
        atr=room.orders["right"].expected.atr,
        certificates=room.orders["right"].expected.certificates,
        pins=made.PINS,
        random_bytes=os.urandom,
    )
    assert report.verdict is Verdict.FAILED
    assert len(failed(report)) == 4


@pytest.mark.services
def test_a_program_that_does_not_run_is_no_verdict_at_first(room: Inspection, monkeypatch: pytest.MonkeyPatch) -> None:
    started_programs: list[object] = []
    start = Bench.start

    def fail_at_first(bench: Bench, *arguments: Argument, environment: Mapping[str, Argument] | None = None) -> Run:
        started_programs.append(arguments[0])
        arguments = ("true",) if len(started_programs) == 1 else arguments  # it ends and has said nothing
        return start(bench, *arguments, environment=environment)

    monkeypatch.setattr(Bench, "start", fail_at_first)
    assert room.judged("right").verdict is Verdict.OK
    assert started_programs.count("pkcs11-tool") == 4
    assert room.judged("foreign-key").verdict is Verdict.FAILED
    assert started_programs.count("pkcs11-tool") == 6, "a verdict is not asked for twice"


@pytest.mark.services
def test_a_station_beside_is_left_alone(room: Inspection) -> None:
    """pcsc-lite loses a reader for ever when OpenSC connects to it just as its station takes it for itself."""
    beside = RemoteTerminal(pcsc, room.socket, room.readers["foreign-key"])
    beside.power_on()
    assert room.judged("right").verdict is Verdict.OK
    beside.close()
    assert "Reader Exclusive" not in room.pcscd_log.read_text(), "OpenSC knocked at the reader of another station"


@pytest.mark.services
def test_a_program_that_does_not_end_says_nothing_of_the_card(
    room: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Bench.start
    asked: list[object] = []

    def hang(bench: Bench, *arguments: Argument, environment: Mapping[str, Argument] | None = None) -> Run:
        asked.append(arguments[0])
        return start(bench, "sleep", "60", environment=environment)

    monkeypatch.setattr(programs, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(Bench, "start", hang)
    with pytest.raises(JudgeSilent, match="did not end"):
        room.judged("right")
    assert asked == ["pkcs11-tool", "pkcs11-tool"], "asked twice, then the line stops"


def test_without_certificates_it_is_not_applicable() -> None:
    report = judge(
        reader_name="any",
        pcsc_socket="/nowhere",
        other_readers=(),
        atr=b"\x3b\x00",
        certificates={},
        pins={},
        random_bytes=os.urandom,
    )
    assert report.verdict is Verdict.NOT_APPLICABLE

"""Our own inspection: a right card passes every step, and each step is seen to fail."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from card_profiles.model import PinState
from card_profiles.profile import load_profile
from personalization.inspection.key_proof import check_final_pin_state
from personalization.inspection.own import OwnReport, inspect_card
from personalization.inspection.reading import read_card
from personalization.inspection.steps import Verdict
from personalization.station.errors import CardLost
from personalization.station.ports import Outcome, Script
from simulators.chip.card import Chip
from tests.personalization.inspection import finished_card as made
from tests.personalization.inspection.finished_card import Order, SpecimenCentre
from tests.personalization.inspection.wireless import ChipTerminal
from tests.simulators import chip_host as host


@pytest.fixture
def chip(tmp_path: Path) -> Chip:
    return host.blank(tmp_path / "chip")


def inspected(chip: Chip, order: Order, *, pins: bool = True) -> OwnReport:
    return inspect_card(
        ChipTerminal(chip),
        order.expected,
        pins=made.PINS if pins else None,
        random_bytes=os.urandom,
        script_prefix="job-1/1",
        fence=1,
    )


def verdicts(report: OwnReport) -> dict[int, Verdict]:
    return {step.number: step.verdict for step in report.report.steps}


def failed(report: OwnReport) -> set[int]:
    return {number for number, verdict in verdicts(report).items() if verdict is Verdict.FAILED}


def test_right_card(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order)
    report = inspected(chip, order)
    assert verdicts(report) == dict.fromkeys(range(1, 11), Verdict.OK) | {11: Verdict.NOT_APPLICABLE}, report.report
    assert report.report.verdict is Verdict.OK
    assert set(report.report.signatures) == {"auth", "sign"}
    assert len(report.files.data_groups) == 3


def test_sentences_quote_nothing_of_the_record(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order)
    told = " ".join(step.sentence for step in inspected(chip, order).report.steps).upper()
    for value in ("KALNI", "040978", "780904", "SA1234567", "1234", chip.serial):
        assert value not in told


def test_card_without_certificates_and_fingerprints(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip, certificates=False, fingerprints=False)
    made.write(chip, order)
    report = inspected(chip, order)
    assert failed(report) == set(), report.report
    assert {number for number, verdict in verdicts(report).items() if verdict is Verdict.NOT_APPLICABLE} == {8, 9, 11}


def test_without_pins_the_keys_are_not_judged(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order)
    assert verdicts(inspected(chip, order, pins=False))[9] is Verdict.NOT_APPLICABLE


OTHER = hashlib.sha256(b"another").digest()

WRONG_EXPECTATIONS: dict[str, tuple[Callable[[Order], dict[str, object]], set[int]]] = {
    "another chip": (lambda _: {"chip_serial": "00" * 10}, {1}),
    "another ATR": (lambda _: {"atr": b"\x3b\x00"}, {1}),
    "other production data": (lambda _: {"cplc": bytes(42)}, {1}),
    "another MRZ": (lambda o: {"mrz": (*o.expected.mrz[:2], "OZOLS<<JANIS".ljust(30, "<"))}, {3, 8}),
    "an expiry after the document signer's": (lambda o: {"expires": o.expected.expires.replace(year=2050)}, {4}),
    "a foreign CSCA": (lambda o: {"csca": o.expected.root}, {4}),
    "another portrait": (lambda _: {"portrait_digest": OTHER}, {6}),
    "another fingerprint": (lambda o: {"fingerprints": {**o.expected.fingerprints, 2: OTHER}}, {7}),
    "another finger": (
        lambda o: {"fingerprints": dict(zip((3, 7), o.expected.fingerprints.values(), strict=True))},
        {7},
    ),
    "no fingerprints": (lambda _: {"fingerprints": {}}, {7}),
    "swapped certificates": (
        lambda o: {"certificates": dict(zip(("sign", "auth"), o.expected.certificates.values(), strict=True))},
        {8, 9},
    ),
    "certificates not ordered": (lambda _: {"certificates": {}}, {8}),
    "a foreign issuing CA": (lambda o: {"issuing_ca": o.expected.root}, {8}),
}


@pytest.mark.parametrize("name", WRONG_EXPECTATIONS)
def test_card_of_another_order(chip: Chip, centre: SpecimenCentre, name: str) -> None:
    order = made.order(centre, chip)
    made.write(chip, order)
    change, steps = WRONG_EXPECTATIONS[name]
    report = inspected(chip, made.spoiled(order, **change(order)))
    assert failed(report) == steps, report.report


def flipped(name: str, at: int) -> Callable[[str, bytes], bytes]:
    def spoil(file: str, content: bytes) -> bytes:
        return content if file != name else content[:at] + bytes([content[at] ^ 1]) + content[at:][1:]

    return spoil


SPOILED_FILES: dict[str, tuple[Callable[[str, bytes], bytes], set[int]]] = {
    "a letter of the MRZ": (flipped("DG1", 70), {3, 4, 5}),
    "a byte of the portrait": (flipped("DG2", -5000), {4, 5, 6}),
    "a byte of a fingerprint": (flipped("DG3", -100), {4, 5, 7}),
    "the signature of EF.SOD": (flipped("EF.SOD", -1), {4, 5}),
    "EF.SOD destroyed": (lambda name, content: b"\x77\x00" if name == "EF.SOD" else content, {2, 4, 5}),
    "EF.COM lists another group": (
        lambda name, content: content.replace(b"\x61\x75\x63", b"\x61\x75\x6e") if name == "EF.COM" else content,
        {2, 5},
    ),
    "a certificate": (flipped("auth.certificate", -1), {5, 8}),
    "the key directory": (flipped("sign.EF.PrKD", -1), {5}),
}


@pytest.mark.parametrize("name", SPOILED_FILES)
def test_card_with_a_wrong_file(chip: Chip, centre: SpecimenCentre, name: str) -> None:
    order = made.order(centre, chip)
    spoil, steps = SPOILED_FILES[name]
    made.write(chip, order, spoil=spoil)
    report = inspected(chip, order)
    assert failed(report) == steps, report.report


def test_key_of_another_card(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order, keys=made.order(centre, chip).keys)
    assert failed(inspected(chip, order)) == {9}


def test_wrong_pin_values(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order)
    report = inspect_card(
        ChipTerminal(chip),
        order.expected,
        pins={**made.PINS, "PIN2": b"654321"},
        random_bytes=os.urandom,
        script_prefix="job-1/1",
        fence=1,
    )
    assert failed(report) == {9}


def test_card_that_is_not_locked(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order, lock=False)
    assert failed(inspected(chip, order)) == {10}


def test_file_that_nobody_ordered(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order, lock=False)
    host.open_channel(chip, host.PERSO).store(host.TRAVEL, host.dgi(0x010B, b"\x6b\x00"))
    assert failed(inspected(chip, order)) == {2, 4, 5, 10}


def test_blank_chip(chip: Chip, centre: SpecimenCentre) -> None:
    assert failed(inspected(chip, made.order(centre, chip))) == {2, 3, 4, 5, 6, 7, 8, 9, 10}


def test_pulled_card_is_no_verdict(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order)
    for after in (0, 10, 40, 70, 85):
        terminal = ChipTerminal(chip, lose_after=after)
        with pytest.raises(CardLost):
            inspect_card(
                terminal,
                order.expected,
                pins=made.PINS,
                random_bytes=os.urandom,
                script_prefix=f"job-1/{after}",
                fence=1,
            )
        chip.power_on()


def test_small_answers_are_put_together(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order)
    chip.power_on()
    terminal, profile = ChipTerminal(chip), order.expected.profile
    whole = read_card(terminal, profile, script_prefix="whole", fence=1)
    assert read_card(terminal, profile, script_prefix="parts", fence=1, chunk_bytes=230) == whole
    size = len(whole.data_groups[1])
    assert read_card(terminal, profile, script_prefix="equal", fence=1, chunk_bytes=size) == whole


def test_file_beyond_fifteen_bits(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    large = os.urandom(70_000 - 2**15)
    made.write(chip, order, spoil=lambda name, content: large if name == "DG3" else content, lock=False)
    terminal = ChipTerminal(chip)
    for chunk_bytes in (0x8000, 20_000):
        files = read_card(
            terminal, order.expected.profile, script_prefix=f"large{chunk_bytes}", fence=1, chunk_bytes=chunk_bytes
        )
        assert files.data_groups[3] == large


def test_final_pin_state_of_a_specimen_spends_no_try(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order)
    step = check_final_pin_state(ChipTerminal(chip), order.expected.profile, script_prefix="final", fence=1)
    assert step.verdict is Verdict.OK, step
    host.expect(chip, "00A4040010" + host.MAIN.hex())
    host.expect(chip, "002000010C" + b"9999".ljust(12, b"\xff").hex(), 0x63C2)


def test_final_pin_state_of_a_production_card(chip: Chip) -> None:
    profile = load_profile("eid-citizen@1")
    assert all(pin.final_state is PinState.BLOCKED for pin in profile.pins)
    made.set_pins(chip, profile, "blocked")
    step = check_final_pin_state(ChipTerminal(chip), profile, script_prefix="final", fence=1)
    assert step.verdict is Verdict.OK, step
    made.set_pins(chip, profile, "active")
    step = check_final_pin_state(ChipTerminal(chip), profile, script_prefix="again", fence=1)
    assert step.verdict is Verdict.FAILED


def test_pin_that_was_tried(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order)
    host.expect(chip, "00A4040010" + host.ADF2.hex())
    host.expect(chip, "002000850C" + b"999999".ljust(12, b"\xff").hex(), 0x63C2)
    step = check_final_pin_state(ChipTerminal(chip), order.expected.profile, script_prefix="final", fence=1)
    assert step.verdict is Verdict.FAILED
    assert "PIN2" in step.sentence


def test_a_play_is_named_for_its_attempt(chip: Chip, centre: SpecimenCentre) -> None:
    order = made.order(centre, chip)
    made.write(chip, order)
    seen: list[str] = []

    class Watching(ChipTerminal):
        def play(self, script: Script) -> Outcome:
            seen.append(script.id)
            return super().play(script)

    inspect_card(
        Watching(chip), order.expected, pins=made.PINS, random_bytes=os.urandom, script_prefix="job-1/1", fence=7
    )
    assert len(set(seen)) == len(seen)
    assert all(script.startswith("job-1/1/") for script in seen)

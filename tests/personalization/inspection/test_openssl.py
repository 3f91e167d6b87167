"""The openssl judge says yes to a right card, and no to each part of a wrong one."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from personalization.errors import Halt
from personalization.inspection.openssl import judge
from personalization.inspection.steps import CardSignature, JudgeReport, Verdict

if TYPE_CHECKING:
    from tests.personalization.inspection.conftest import Material


def judged(material: "Material", **changes: object) -> JudgeReport:
    digest = os.urandom(48)
    signatures = {slot: CardSignature(digest, material.sign(slot, digest)) for slot in material.certificates}
    arguments = {
        "certificates": material.certificates,
        "issuing_ca": material.issuing_ca,
        "root": material.root,
        "csca": material.csca,
        "ef_sod": material.ef_sod,
        "data_groups": material.data_groups,
        "card_signatures": signatures,
        "at": material.now,
    }
    return judge(**(arguments | changes))  # type: ignore[arg-type]


def failed(report: JudgeReport) -> set[str]:
    return {step.name for step in report.steps if step.verdict is Verdict.FAILED}


def flipped(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


def test_right_card(material: "Material") -> None:
    started = time.perf_counter()
    report = judged(material)
    assert report.verdict is Verdict.OK, report
    assert [step.number for step in report.steps] == [1, 2, 3, 4, 5]
    assert all(step.verdict is Verdict.OK for step in report.steps)
    assert time.perf_counter() - started < 5


def test_without_certificates_only_ef_sod_is_judged(material: "Material") -> None:
    report = judged(material, certificates={}, card_signatures={})
    assert report.verdict is Verdict.OK
    assert [step.name for step in report.steps] == [
        "EF.SOD signature",
        "data group hashes",
        "document signer under the CSCA",
    ]


def test_card_that_was_not_asked_to_sign(material: "Material") -> None:
    report = judged(material, card_signatures={})
    assert report.verdict is Verdict.OK
    assert report.steps[-1].verdict is Verdict.NOT_APPLICABLE


CHAIN, SIGNATURES = "certificate chains", "card signatures"
SOD, HASHES, SIGNER = "EF.SOD signature", "data group hashes", "document signer under the CSCA"

TAMPERED: dict[str, tuple[Callable[["Material"], dict[str, object]], set[str]]] = {
    "one byte of a certificate's signature": (
        lambda m: {"certificates": {**m.certificates, "auth": flipped(m.certificates["auth"], -1)}},
        {CHAIN},
    ),
    "a certificate cut short": (
        lambda m: {"certificates": {**m.certificates, "sign": m.certificates["sign"][:-9]}},
        {CHAIN, SIGNATURES},
    ),
    "the other slot's certificate": (
        lambda m: {"certificates": {**m.certificates, "sign": m.certificates["auth"]}},
        {SIGNATURES},
    ),
    "a foreign issuing CA": (lambda m: {"issuing_ca": m.root}, {CHAIN}),
    "a foreign root": (lambda m: {"root": m.csca}, {CHAIN}),
    "certificates that are not valid yet": (lambda m: {"at": m.now - timedelta(days=2)}, {CHAIN}),
    "a signature over another digest": (
        lambda m: {
            "card_signatures": {slot: CardSignature(bytes(48), m.sign(slot, os.urandom(48))) for slot in m.certificates}
        },
        {SIGNATURES},
    ),
    "a slot that did not sign": (
        lambda m: {"card_signatures": {"auth": CardSignature(bytes(48), m.sign("auth", bytes(48)))}},
        {SIGNATURES},
    ),
    "a data group changed": (lambda m: {"data_groups": {**m.data_groups, 2: flipped(m.data_groups[2], 80)}}, {HASHES}),
    "a data group missing": (lambda m: {"data_groups": {1: m.data_groups[1], 2: m.data_groups[2]}}, {HASHES}),
    "EF.SOD's signature changed": (lambda m: {"ef_sod": flipped(m.ef_sod, -1)}, {SOD, HASHES, SIGNER}),
    "EF.SOD empty": (lambda _: {"ef_sod": b""}, {SOD, HASHES, SIGNER}),
    "a foreign CSCA of the same name": (lambda m: {"csca": m.foreign_csca}, {SIGNER}),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_wrong_card(material: "Material", name: str) -> None:
    change, wrong = TAMPERED[name]
    report = judged(material, **change(material))
    assert report.verdict is Verdict.FAILED
    assert failed(report) == wrong, report


def test_hash_in_ef_sod_changed(material: "Material") -> None:
    where = material.ef_sod.index(bytes.fromhex("0420")) + 2
    assert failed(judged(material, ef_sod=flipped(material.ef_sod, where))) == {SOD, HASHES, SIGNER}


def test_nothing_stays_open_and_nothing_is_written(
    material: "Material", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(Path("/proc/self/fd").iterdir())
    judged(replace(material, ef_sod=b"\x77"))
    judged(material)
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert not list(tmp_path.iterdir())


def test_a_missing_program_stops_the_line_and_fails_no_card(
    material: "Material", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.defpath", "/nowhere")
    with pytest.raises(Halt, match="openssl cannot be started"):
        judged(material)

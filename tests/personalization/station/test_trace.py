"""Trace and replay: a real specimen card is encoded under a trace; a copy of its blank becomes the same card by it."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from card_profiles.model import PinState
from personalization.inspection.own import inspect_card
from personalization.inspection.reading import read_card
from personalization.inspection.steps import Verdict
from personalization.station import trace as trace_module
from personalization.station.apdu import CommandApdu
from personalization.station.contact import read_contact
from personalization.station.encode import encode_card, set_pins
from personalization.station.errors import CardLost, StaleFence
from personalization.station.ports import Command, Lost, Outcome, Played, Response, Script, ScriptId, Terminal
from personalization.station.replay import TraceUnreadable, read_trace, replay
from personalization.station.trace import Discretion, TracedTerminal
from simulators.chip.card import Chip
from simulators.chip.maker import make_chip
from simulators.chip.store import Memory
from tests.chaos.marker_forms import Marker, bytes_marker, text_marker
from tests.personalization.inspection import finished_card as made
from tests.personalization.inspection.finished_card import Order, SpecimenCentre
from tests.personalization.inspection.wireless import ChipTerminal
from tests.personalization.station.software_keys import STORAGE_KEY, SoftwareChipKeys
from tests.simulators import chip_host as host

KEYS = SoftwareChipKeys({function.name: master for function, master in host.MASTERS.items()})
PIN_VALUE = "4711"


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> SpecimenCentre:
    return SpecimenCentre.opened(tmp_path_factory.mktemp("specimen-authorities"))


@dataclass
class Bench:
    """A blank, a copy of it, and the order for its card."""

    blank: Path
    copy: Path
    order: Order
    traces: Path
    attempts: int = 0

    @property
    def trace(self) -> Path:
        return self.traces / f"{self.order.expected.chip_serial}.jsonl"

    def encode(self, terminal: Terminal) -> None:
        self.attempts += 1
        prefix = f"PADIS-2026-0000002-r1-a1/{self.attempts}"
        expected = self.order.expected
        contact = read_contact(terminal, expected.profile.chip, script_prefix=prefix, fence=self.attempts)
        encode_card(
            terminal,
            KEYS,
            profile=expected.profile,
            image=expected.image,
            contact=contact,
            chip_keys_blobs={slot: wrapped(key) for slot, key in self.order.keys.items()},
            host_challenge=lambda count: bytes((self.attempts,)) * count,
            script_prefix=prefix,
            fence=self.attempts,
        )

    def traced(self, **more: Any) -> TracedTerminal:
        return TracedTerminal(ChipTerminal(Chip(self.blank), **more), self.traces)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.trace.read_text().splitlines()]


def wrapped(key: Any) -> bytes:
    pkcs8 = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return aes_key_wrap_with_padding(STORAGE_KEY, pkcs8)


@pytest.fixture
def bench(tmp_path: Path, centre: SpecimenCentre) -> Iterator[Bench]:
    chip = host.blank(tmp_path / "blank")
    order = made.order(centre, chip)
    chip.power_off()
    shutil.copytree(tmp_path / "blank", tmp_path / "copy")
    yield Bench(tmp_path / "blank", tmp_path / "copy", order, tmp_path / "traces")


@pytest.fixture
def encoded(bench: Bench) -> Bench:
    terminal = bench.traced()
    bench.encode(terminal)
    terminal.release()
    return bench


def powered(directory: Path) -> ChipTerminal:
    return ChipTerminal(Chip(directory))


def cells(directory: Path) -> dict[str, bytes]:
    return dict(Memory(directory).cells)


def test_a_copy_of_the_blank_becomes_the_same_card_by_the_trace(encoded: Bench) -> None:
    assert cells(encoded.copy) != cells(encoded.blank)
    entries = read_trace(encoded.trace)
    terminal = powered(encoded.copy)
    replayed = replay(entries, terminal)
    terminal.release()
    assert replayed.difference is None
    assert replayed.exchanges == len(entries) - 1 > 20
    # Files, private keys, life cycles, counters: cell by cell.
    assert cells(encoded.copy) == cells(encoded.blank)
    assert {name.split(".")[0] for name in cells(encoded.copy)} >= {"file", "key", "state", "sequence", "maker"}


def test_our_own_inspection_takes_the_replayed_card_for_the_ordered_one(encoded: Bench) -> None:
    terminal = powered(encoded.copy)
    assert replay(read_trace(encoded.trace), terminal).difference is None
    set_pins(
        terminal,
        KEYS,
        profile=encoded.order.expected.profile,
        kdd=host.SERIAL,
        states=dict.fromkeys(made.PINS, PinState.ACTIVE),
        values=made.PINS,
        host_challenge=lambda count: b"\x77" * count,
        script_prefix="pins",
        fence=1,
    )
    report = inspect_card(
        terminal,
        encoded.order.expected,
        pins=made.PINS,
        random_bytes=lambda count: b"\x55" * count,
        script_prefix="inspection",
        fence=1,
    ).report
    terminal.release()
    assert report.verdict is Verdict.OK, report.steps
    assert report.steps[8].verdict is Verdict.OK  # the imported keys sign


def test_a_trace_has_a_line_for_each_exchange(encoded: Bench) -> None:
    power, *exchanges = encoded.lines()
    assert set(power) == {"trace", "ms", "atr"}
    assert power["atr"] == encoded.order.expected.atr.hex().upper()
    for line in exchanges:
        assert set(line) == {"ms", "script_ms", "script", "fence", "purpose", "command", "status", "response"}
        assert line["status"] == "9000"
    purposes = [line["purpose"] for line in exchanges]
    assert purposes[:2] == ["SELECT card manager", "GET DATA production data"]
    assert purposes[-1] == "lock the card"
    assert purposes.count("EXTERNAL AUTHENTICATE") == 3
    assert [line["ms"] for line in exchanges] == sorted(line["ms"] for line in exchanges)
    assert {line["script"].split("/")[0] for line in exchanges} == {"PADIS-2026-0000002-r1-a1"}


def test_a_trace_is_for_its_owner_alone(bench: Bench) -> None:
    bench.traces.mkdir()
    bench.trace.touch(mode=0o644)
    bench.encode(bench.traced())
    assert bench.trace.stat().st_mode & 0o777 == 0o600
    fresh = bench.traces / "new"
    TracedTerminal(powered(bench.copy), fresh)
    assert fresh.stat().st_mode & 0o777 == 0o700


def test_a_torn_encoding_and_its_second_try_are_one_trace(bench: Bench) -> None:
    torn = bench.traced(lose_after=24)
    with pytest.raises(CardLost):
        bench.encode(torn)
    torn.release()
    bench.encode(bench.traced())
    lines = bench.lines()
    assert sum("atr" in line for line in lines) == 2
    assert [line["lost"] for line in lines if "lost" in line] == ["the card is gone"]
    terminal = powered(bench.copy)
    replayed = replay(read_trace(bench.trace), terminal)
    terminal.release()
    # The lost command is played too: here the traced chip never got it, so what was stored of it comes again later.
    assert replayed.difference is None, replayed
    assert cells(bench.copy) == cells(bench.blank)


# --- a chip that is not the copy is asked who it is, and nothing more ------------------------------------------------
def test_another_chip_is_found_before_any_key_is_used(encoded: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other"
    make_chip(
        other, serial=host.SERIAL[:-1] + b"\x09", lot="LOT-2026-0001", atr=encoded.order.expected.atr,
        masters=host.MASTERS, today=date(2026, 1, 15),
    )  # fmt: skip
    before = cells(other)
    replayed = replay(read_trace(encoded.trace), powered(other))
    assert replayed.difference is not None
    assert (replayed.difference.line, replayed.difference.purpose) == (3, "GET DATA production data")
    assert cells(other) == before


def test_a_used_chip_is_found_before_it_counts_a_wrong_authentication(encoded: Bench) -> None:
    terminal = powered(encoded.copy)
    terminal.power_on()
    ask = Command(CommandApdu(0x80, 0x50, host.KEY, 0, bytes(8), 256).encode(), "INITIALIZE UPDATE")
    terminal.play(Script(ScriptId("before"), 1, (ask,)))
    replayed = replay(read_trace(encoded.trace), terminal)
    terminal.release()
    assert replayed.difference is not None
    assert replayed.difference.purpose == "INITIALIZE UPDATE KEY"
    assert "sequence counter" in replayed.difference.sentence
    assert not any(name.startswith("failures") for name in cells(encoded.copy))


def test_a_finished_card_is_not_written_again(encoded: Bench) -> None:
    before = cells(encoded.blank)
    replayed = replay(read_trace(encoded.trace), powered(encoded.blank))
    assert replayed.difference is not None
    assert replayed.difference.purpose == "GET STATUS card"
    assert cells(encoded.blank) == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda answer: answer[:-2] + b"\x69\x85", "The chip answered 6985; in the trace it was 9000."),
        (lambda answer: b"\x00" + answer, "bytes; in the trace there are"),
        (lambda answer: bytes((answer[0] ^ 1,)) + answer[1:], "The chip answered with other bytes."),
    ],
    ids=["status", "length", "bytes"],
)
def test_the_first_difference_is_told(encoded: Bench, change: Callable[[bytes], bytes], sentence: str) -> None:
    class Odd(ChipTerminal):
        def __init__(self, chip: Chip) -> None:
            super().__init__(chip)
            self.exchanges = 0

        def _transmit(self, apdu: bytes) -> bytes:
            self.exchanges += 1
            answer = super()._transmit(apdu)
            return change(answer) if self.exchanges == 10 else answer

    replayed = replay(read_trace(encoded.trace), Odd(Chip(encoded.copy)))
    assert replayed.difference is not None
    assert replayed.exchanges == 10
    assert replayed.difference.line == 11
    assert sentence in replayed.difference.sentence


def test_a_chip_that_goes_silent_is_a_difference(encoded: Bench) -> None:
    replayed = replay(read_trace(encoded.trace), ChipTerminal(Chip(encoded.copy), lose_after=9))
    assert replayed.difference is not None
    assert replayed.difference.sentence == "No answer came: the card is gone."


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda _: "", 1),
        (lambda text: "\n".join(text.splitlines()[1:]), 1),
        (lambda text: text[:-40], -1),
        (lambda text: text.replace('"trace": 1', '"trace": 2'), 1),
        (lambda text: "\n".join([text.splitlines()[0], "[1]"]), 2),
        (lambda text: "\n".join([text.splitlines()[0], '{"purpose": "x", "command": "0", "status": "9000"}']), 2),
    ],
)
def test_what_is_no_trace_is_refused(encoded: Bench, spoil: Callable[[str], str], line: int) -> None:
    text = encoded.trace.read_text()
    encoded.trace.write_text(spoil(text))
    with pytest.raises(TraceUnreadable, match=f"^line {line if line > 0 else len(text.splitlines())}: "):
        read_trace(encoded.trace)


def test_a_line_that_a_kill_cut_off_stays_a_line(encoded: Bench) -> None:
    whole = encoded.trace.read_bytes()
    encoded.trace.write_bytes(whole[:-40])
    encoded.attempts = 5
    encoded.encode(encoded.traced())
    count = whole.count(b"\n")
    assert '"atr"' in encoded.trace.read_text().splitlines()[count]
    with pytest.raises(TraceUnreadable, match=f"^line {count}: "):
        read_trace(encoded.trace)


# --- no secrets ------------------------------------------------------------------------------------------------------
def markers(order: Order) -> list[Marker]:
    """Names, machine readable zone, pictures and their digests, keys, card keys, all files."""
    record = json.loads(made.RECORD.read_text("utf-8"))
    person, images = record["holder"], record["images"]
    found = [
        text_marker("surname", person["surname"]),
        text_marker("personal code", person["personal_code"], person["personal_code"].replace("-", "")),
        bytes_marker("zone", *(line.encode() for line in order.expected.mrz)),
        bytes_marker("portrait digest", order.expected.portrait_digest, order.expected.portrait_digest.hex().encode()),
        bytes_marker("fingerprint digests", *order.expected.fingerprints.values()),
        bytes_marker("stated digest", images["portrait"]["sha256"].encode()),
        bytes_marker("storage key", STORAGE_KEY),
        bytes_marker("masters", *host.MASTERS.values()),
    ]
    for key in order.keys.values():
        found.append(bytes_marker("private key", key.private_numbers().private_value.to_bytes(48, "big")))
    for application in order.image.applications:
        for file in application.files:
            parts = [file.content[at : at + 32] for at in range(0, len(file.content), 700)]
            found.append(bytes_marker(f"file {file.name}", *(part for part in parts if len(part) > 12)))
    for slot, certificate in order.expected.certificates.items():
        found.append(bytes_marker(f"certificate {slot}", certificate[60:120]))
    return found


def found_in(trace: Path, sought: list[Marker]) -> set[str]:
    """Markers in the file as it is, in every hex field of it, and in all of these joined (raw, in hex, in base64)."""
    texts = trace.read_bytes()
    fields = [bytes.fromhex(run.decode()) for run in re.findall(rb'"((?:[0-9A-F]{2}){2,})"', texts)]
    pieces = (texts, b"".join(fields), b"\0".join(fields))
    return {marker.name for marker in sought for piece in pieces if any(needle in piece for needle in marker.needles)}


def test_nothing_secret_or_personal_is_in_a_trace(encoded: Bench) -> None:
    versions = [keys for name, keys in cells(encoded.blank).items() if name.startswith("keys.")]
    card_keys = [keys[at : at + 32] for keys in versions for at in (0, 32, 64)]
    assert len(card_keys) == 12
    assert found_in(encoded.trace, [*markers(encoded.order), bytes_marker("card keys", *card_keys)]) == set()


def test_what_is_read_and_verified_in_clear_is_masked(encoded: Bench) -> None:
    """Not meant to happen (the inspection has a terminal without a trace), and harmless where it does."""
    _inspect_under_a_trace(encoded)
    text = encoded.trace.read_text()
    assert found_in(encoded.trace, markers(encoded.order)) == set()
    assert PIN_VALUE.encode().hex() not in text
    masked = [line for line in encoded.lines() if "header" in line]
    verify = next(line for line in masked if line["purpose"] == "VERIFY")
    assert (verify["header"], verify["command_bytes"], verify["response_bytes"]) == ("00200001", 17, 0)
    assert any(line["response_bytes"] > 10_000 for line in masked)
    terminal = powered(encoded.copy)
    replayed = replay(read_trace(encoded.trace), terminal)
    terminal.release()
    assert replayed.difference is not None
    assert "could tell a secret" in replayed.difference.sentence


def test_the_search_would_find_what_a_careless_trace_holds(encoded: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Discretion, "may_show", lambda *_: (True, True))
    _inspect_under_a_trace(encoded)
    found = found_in(encoded.trace, markers(encoded.order))
    assert {"zone", "personal code", "file DG1", "file DG2", "file EF.SOD", "certificate auth"} <= found
    assert PIN_VALUE.encode().hex() in encoded.trace.read_text()


def _inspect_under_a_trace(bench: Bench) -> None:
    terminal = bench.traced()
    profile = bench.order.expected.profile
    read_contact(terminal, profile.chip, script_prefix="inspection", fence=9)
    read_card(terminal, profile, script_prefix="inspection", fence=9)
    verify = CommandApdu(0x00, 0x20, 0x00, 0x01, PIN_VALUE.encode().ljust(12, b"\xff"))
    allowed = frozenset(range(0x10000))
    terminal.play(Script(ScriptId("verify"), 9, (Command(verify.encode(), "VERIFY", allowed),)))
    terminal.release()


@pytest.mark.parametrize(
    ("level", "command", "answer_bytes", "shown"),
    [
        (0x33, "84E20800", 24, (True, True)),
        (0x13, "84E20800", 8, (True, True)),
        (0x13, "84E20800", 9, (True, False)),
        (0x03, "84E20800", 0, (True, True)),
        (0x03, "84E20800", 1, (True, False)),
        (0x11, "84E20800", 8, (False, False)),  # a channel that does not encrypt
        (0x01, "84E20800", 0, (False, False)),
        (0x33, "00200001", 0, (False, False)),  # in clear, whatever channel is open
        (0x33, "00240001", 0, (False, False)),
        (0x33, "002C0202", 0, (False, False)),
        (0x33, "00B08100", 200, (False, False)),
        (0x33, "00840000", 8, (False, False)),
        (0x33, "80CA9F7F", 45, (True, True)),
        (0x33, "80CA0101", 45, (False, False)),
        (0x33, "0CB08100", 45, (False, False)),
    ],
)
def test_only_what_is_known_to_tell_nothing_is_shown(
    level: int, command: str, answer_bytes: int, shown: tuple[bool, bool]
) -> None:
    discretion = Discretion()
    assert discretion.may_show(bytes.fromhex("8482") + bytes((level, 0)), Response(b"", 0x9000)) == (True, True)
    assert discretion.may_show(bytes.fromhex(command), Response(bytes(answer_bytes), 0x9000)) == shown


def test_a_channel_ends_with_select_power_and_a_refused_authentication() -> None:
    good, stored = Response(b"", 0x9000), bytes.fromhex("84E20800")
    for ending in ("00A40400", "80500100", "84823300"):
        discretion = Discretion()
        discretion.may_show(bytes.fromhex("84823300"), good)
        discretion.may_show(bytes.fromhex(ending), Response(b"", 0x6300) if ending == "84823300" else good)
        assert discretion.may_show(stored, good) == (False, False), ending
    discretion.may_show(bytes.fromhex("84823300"), good)
    discretion.reset()
    assert discretion.may_show(stored, good) == (False, False)


# --- it hands everything through ------------------------------------------------------------------------------------
class Recorded:
    """A terminal that is asked and answers what it is told to."""

    reader_name = "Station 7 00 00"

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.outcome: Outcome = Played(())

    def other_readers(self) -> tuple[str, ...]:
        return ("Station 8 00 00",)

    def power_on(self) -> bytes:
        self.asked.append("power on")
        return b"\x3b"

    def play(self, script: Script) -> Outcome:
        if script.fence == 0:
            raise StaleFence
        self.asked.append(script)
        return self.outcome

    def release(self) -> None:
        self.asked.append("release")


def test_everything_is_handed_through(tmp_path: Path) -> None:
    inner = Recorded()
    terminal = TracedTerminal(inner, tmp_path)
    assert (terminal.reader_name, terminal.other_readers()) == ("Station 7 00 00", ("Station 8 00 00",))
    assert terminal.power_on() == b"\x3b"
    inner.outcome = Lost(0, "VERIFY", "the card is gone", ())
    script = Script(ScriptId("s"), 1, (Command(bytes.fromhex("0020000104"), "VERIFY"),))
    assert terminal.play(script) is inner.outcome
    with pytest.raises(StaleFence):
        terminal.play(Script(ScriptId("t"), 0, ()))
    terminal.release()
    assert inner.asked == ["power on", script, "release"]
    assert list(tmp_path.iterdir()) == []  # a chip that never said who it is has no trace


def test_an_answer_from_the_journal_is_not_traced_twice(encoded: Bench) -> None:
    terminal = encoded.traced()
    spec = encoded.order.expected.profile.chip
    for _ in range(2):
        read_contact(terminal, spec, script_prefix="again", fence=9)
    assert sum("atr" in line for line in encoded.lines()) == 2
    assert sum(line.get("script") == "again/contact" for line in encoded.lines()) == 6


def test_a_full_disk_costs_the_trace_and_no_card(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trace_module, "_append", full)
    terminal = bench.traced()
    bench.encode(terminal)
    assert not bench.trace.exists()
    assert read_contact(terminal, bench.order.expected.profile.chip, script_prefix="x", fence=1).secured
    terminal.release()

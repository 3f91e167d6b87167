"""Encoding against the simulated chip, which was written from the data sheet by other hands."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from card_profiles.model import Function, PinState
from personalization.station.apdu import CommandApdu
from personalization.station.contact import Contact, read_contact
from personalization.station.encode import EncodeReport, encode_card, set_pins
from personalization.station.errors import (
    CardLost,
    ChannelBroken,
    ChipRefused,
    StaleFence,
    StationUnavailable,
    WrongChip,
)
from personalization.station.personalize import certificate_commands, key_commands, perso_commands
from personalization.station.ports import Command, Played, Script, ScriptId, Terminal


class Line:
    """One card at a terminal: contact, encode and PINs, with a new prefix for every attempt."""

    def __init__(self, terminal: Any, chip_keys: Any, card: Any) -> None:
        self.terminal, self.chip_keys, self.card = terminal, chip_keys, card
        self.attempts = 0
        self.fence = 1

    def contact(self) -> Contact:
        self.attempts += 1
        return read_contact(
            self.terminal, self.card.profile.chip, script_prefix=f"job-1/{self.attempts}", fence=self.fence
        )

    def encode(self, contact: Contact | None = None, **changes: Any) -> EncodeReport:
        contact = contact or self.contact()
        inputs = {
            "profile": self.card.profile,
            "image": self.card.image,
            "contact": contact,
            "chip_keys_blobs": self.card.blobs,
            "host_challenge": challenges(),
            "script_prefix": f"job-1/{self.attempts}",
            "fence": self.fence,
        }
        return encode_card(self.terminal, self.chip_keys, **(inputs | changes))

    def pins(self, states: dict[str, PinState], values: dict[str, bytes] | None) -> None:
        contact = self.contact()
        set_pins(
            self.terminal,
            self.chip_keys,
            profile=self.card.profile,
            kdd=contact.kdd,
            states=states,
            values=values,
            host_challenge=challenges(),
            script_prefix=f"job-1/{self.attempts}",
            fence=self.fence,
        )

    def ask(self, *commands: CommandApdu) -> list[tuple[bytes, int]]:
        """Plays these in clear after a reset, whatever status they end with."""
        self.attempts += 1
        self.terminal.power_on()
        script = Script(
            ScriptId(f"ask/{self.attempts}"),
            self.fence,
            tuple(Command(each.encode(), "ask", frozenset(range(0x10000))) for each in commands),
        )
        outcome = self.terminal.play(script)
        assert isinstance(outcome, Played)
        return [(response.data, response.status) for response in outcome.responses]


def challenges() -> Callable[[int], bytes]:
    drawn = iter(range(1, 100))
    return lambda count: next(drawn).to_bytes(count, "big")


def select(aid: bytes) -> CommandApdu:
    return CommandApdu(0x00, 0xA4, 0x04, 0x0C, aid)


def select_file(fid: int) -> CommandApdu:
    return CommandApdu(0x00, 0xA4, 0x02, 0x0C, fid.to_bytes(2, "big"))


READ_ALL = CommandApdu(0x00, 0xB0, 0x00, 0x00, answer_bytes=65_536)


@pytest.fixture
def line(terminal: Terminal, chip_keys: Any, card: Any) -> Line:
    return Line(terminal, chip_keys, card)


def check_everything_is_on_the_card(line: Line) -> None:
    contact = line.contact()
    assert contact.secured
    assert contact.locked_applications() == {application.aid for application in line.card.image.applications}
    for application in line.card.image.applications:
        for file in application.files:
            answers = line.ask(select(application.aid), select_file(file.fid), READ_ALL)
            assert answers[-1] == (file.content, 0x9000), file.name


def test_a_blank_tells_who_it_is(line: Line, blank: Any) -> None:
    contact = line.contact()
    assert contact.atr == line.card.profile.chip.atr
    assert contact.chip_serial == blank.name
    assert contact.kdd.hex().upper() == blank.name
    assert (len(contact.cplc), contact.lot, contact.os_version) == (42, "LOT-2026-0001", "SIM-eID 1.0.0")
    assert not contact.secured
    assert contact.locked_applications() == frozenset()


def test_a_card_is_encoded(line: Line) -> None:
    before = len(line.terminal.sent)
    report = line.encode()
    after = len(line.terminal.sent)
    wrapped = sum(len(blob) for blob in line.card.blobs.values())
    assert report.content_bytes == line.card.content_bytes + wrapped
    assert report.exchanges == after - before - 6  # the six commands of the contact
    check_everything_is_on_the_card(line)


def test_what_a_card_may_cost(line: Line) -> None:
    report = line.encode()
    buffer = line.card.profile.chip.maximum_command_data_bytes
    assert report.exchanges <= report.content_bytes / buffer + 25
    assert report.line_bytes <= 1.05 * report.content_bytes


def test_an_encoding_torn_anywhere_runs_again_from_the_start(line: Line) -> None:
    whole = line_length(line)
    for exchange in range(0, whole - 5, 4):  # up to the first lock; the chip has run the torn command each time
        contact = line.contact()
        assert contact.locked_applications() == frozenset()
        line.terminal.tear_in = exchange
        with pytest.raises(CardLost):
            line.encode(contact)
    line.encode()
    check_everything_is_on_the_card(line)


@pytest.mark.parametrize("locked", [0, 1, 2, 3, 4])
def test_what_is_locked_already_is_left_alone(line: Line, locked: int) -> None:
    """Torn while applications were being locked: what remains is done, nothing is refused."""
    contact = line.contact()
    line.terminal.tear_in = line_length(line) - 6 + locked
    with pytest.raises(StationUnavailable):
        line.encode(contact)
    contact = line.contact()
    assert len(contact.locked_applications()) == locked
    line.encode(contact)
    check_everything_is_on_the_card(line)


def test_a_card_whose_last_answer_was_lost_is_finished(line: Line) -> None:
    contact = line.contact()
    line.terminal.tear_in = line_length(line) - 1
    with pytest.raises(CardLost):
        line.encode(contact)
    assert line.encode() == EncodeReport(0, 0, 0)
    check_everything_is_on_the_card(line)


def line_length(line: Line) -> int:
    """Exchanges of one encoding, counted without doing it: blocks, three greetings, one SELECT."""
    blobs = {slot: bytes(len(blob)) for slot, blob in line.card.blobs.items()}
    profile, image = line.card.profile, line.card.image
    counts = {
        Function.KEY: len(key_commands(profile, image, blobs)),
        Function.CERT: len(certificate_commands(profile, image)),
        Function.PERSO: len(perso_commands(profile, image, locked=frozenset())),
    }
    return 1 + sum(count + 2 for count in counts.values())


def test_a_finished_card_is_left_alone(line: Line) -> None:
    line.encode()
    assert line.encode() == EncodeReport(0, 0, 0)


def test_a_finished_card_refuses_perso(line: Line) -> None:
    line.encode()
    contact = line.contact()
    pretended = replace(contact, card_state=7, application_states={})
    with pytest.raises(ChipRefused) as refusal:
        line.encode(pretended)
    assert refusal.value.status == 0x6985
    assert "PERSO" in refusal.value.purpose


def test_the_wrong_chip_is_refused_before_anything_is_sent(line: Line) -> None:
    contact = line.contact()
    sent = len(line.terminal.sent)
    for wrong in (
        {"contact": replace(contact, atr=b"\x3b\x00")},
        {"image": replace(line.card.image, profile_id="other@1")},
    ):
        with pytest.raises(WrongChip):
            line.encode(**{"contact": contact, **wrong})
    assert len(line.terminal.sent) == sent


def test_wrong_masters_never_authenticate(line: Line) -> None:
    line.chip_keys = type(line.chip_keys)({name: bytes(32) for name in ("PERSO", "PIN", "KEY", "CERT")})
    with pytest.raises(ChannelBroken, match="card cryptogram"):
        line.encode()
    assert line.terminal.sent[-1][1] == 0x50  # nothing after INITIALIZE UPDATE


def test_a_stale_owner_is_refused(line: Line) -> None:
    contact = line.contact()
    line.fence = 2
    line.contact()
    line.fence = 1
    with pytest.raises(StaleFence):
        line.encode(contact)


def verify(reference: int, digits: bytes) -> CommandApdu:
    return CommandApdu(0x00, 0x20, 0x00, reference, digits.ljust(12, b"\xff"))


def test_pins_are_set_on_a_finished_card_and_blocked_again(line: Line) -> None:
    line.encode()
    pins = {pin.name: pin for pin in line.card.profile.pins}
    active = dict.fromkeys(pins, PinState.ACTIVE)
    line.pins(active, {"PIN1": b"1234", "PIN2": b"123456" + b"\xff" * 6, "PUK": b"12345678"})
    auth = next(each.aid for each in line.card.image.applications if each.name == "auth")
    digest = hashes.Hash(hashes.SHA384())
    digest.update(b"challenge")
    hashed = digest.finalize()
    answers = line.ask(
        select(auth),
        CommandApdu(0x00, 0x22, 0x41, 0xA4, bytes.fromhex("800104840181")),
        verify(0x01, b"1234"),
        CommandApdu(0x00, 0x88, 0x00, 0x00, hashed, 256),
    )
    assert [status for _, status in answers] == [0x9000] * 4
    r, s = int.from_bytes(answers[-1][0][:48], "big"), int.from_bytes(answers[-1][0][48:], "big")
    line.card.private["auth"].public_key().verify(
        utils.encode_dss_signature(r, s), hashed, ec.ECDSA(utils.Prehashed(hashes.SHA384()))
    )
    line.pins(dict.fromkeys(pins, PinState.BLOCKED), None)
    assert line.ask(select(auth), verify(0x01, b"1234"))[-1][1] == 0x6983
    line.pins({"PIN1": PinState.ACTIVE}, None)
    assert line.ask(select(auth), verify(0x01, b"1235"))[-1][1] == 0x63C0 + pins["PIN1"].maximum_tries - 1
    assert line.ask(select(auth), verify(0x01, b"1234"))[-1][1] == 0x9000

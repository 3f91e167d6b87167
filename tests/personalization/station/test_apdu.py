"""Encoding of command APDUs (ISO/IEC 7816-4 §5.1) and the sentences of status words."""

import pytest

from personalization.station.apdu import CommandApdu, sentence, tries_left


@pytest.mark.parametrize(
    ("command", "encoded"),
    [
        (CommandApdu(0x80, 0xF2, 0x20, 0x02), "80F22002"),
        (CommandApdu(0x80, 0xCA, 0x00, 0x66, answer_bytes=256), "80CA006600"),
        (CommandApdu(0x00, 0xB0, 0x00, 0x00, answer_bytes=0xE9), "00B00000E9"),
        (CommandApdu(0x00, 0xA4, 0x02, 0x0C, b"\x50\x31"), "00A4020C025031"),
        (CommandApdu(0x00, 0xA4, 0x02, 0x04, b"\x50\x31", 256), "00A4020402503100"),
        (CommandApdu(0x00, 0xB0, 0x00, 0x00, answer_bytes=65_536), "00B00000000000"),
        (CommandApdu(0x00, 0xB0, 0x00, 0x00, answer_bytes=257), "00B00000000101"),
    ],
)
def test_cases(command: CommandApdu, encoded: str) -> None:
    assert command.encode() == bytes.fromhex(encoded)


def test_extended_data_takes_both_lengths_into_the_extended_form() -> None:
    data = bytes(256)
    assert CommandApdu(0x80, 0xE2, 0x88, 0, data).encode() == bytes.fromhex("80E28800000100") + data
    assert CommandApdu(0x80, 0xE2, 0x88, 0, data, 256).encode() == bytes.fromhex("80E28800000100") + data + b"\x01\x00"
    assert CommandApdu(0x80, 0xE2, 0x88, 0, b"\x01", 65_536).encode() == bytes.fromhex("80E28800000001010000")


def test_what_no_case_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"65,535"):
        CommandApdu(0x80, 0xE2, 0, 0, bytes(65_536))
    with pytest.raises(ValueError, match="answer"):
        CommandApdu(0x80, 0xCA, 0, 0, answer_bytes=0)


def test_status_words_explain_themselves() -> None:
    assert tries_left(0x63C2) == 2
    assert tries_left(0x9000) is None
    assert "2 tries" in sentence(0x63C2)
    assert "no try" in sentence(0x63C0)
    assert sentence(0x6985) == "6985: The chip's state does not permit this."
    assert sentence(0x6FAB).startswith("6FAB: ")

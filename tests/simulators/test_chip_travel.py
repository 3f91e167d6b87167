"""The travel document application and what the card manager tells of the chip (data sheet §1, §4)."""

from pathlib import Path

import pytest

from simulators.chip.card import Chip
from tests.simulators import chip_host as host
from tests.simulators.chip_host import PERSO, TRAVEL, dgi, expect, open_channel

SELECT = "00A4040C07A0000002471001"
LARGE = bytes(range(251)) * 160  # 40,160 bytes: offsets beyond 7FFF need the odd instruction


@pytest.fixture
def chip(tmp_path: Path) -> Chip:
    chip = host.blank(tmp_path / "chip")
    open_channel(chip, PERSO).store(TRAVEL, dgi(0x0101, b"data group 1"), dgi(0x0103, LARGE), dgi(0x011E, b"com"))
    return chip


def test_files_are_read_by_identifier_and_by_short_identifier(chip: Chip) -> None:
    expect(chip, SELECT)
    assert expect(chip, "00A4020402010100").hex() == "62048002000c"
    assert expect(chip, "00B0000000") == b"data group 1"
    assert expect(chip, "00B09E0000") == b"com"
    assert expect(chip, "00B0000102") == b"om"  # a short identifier makes its file the current one
    assert expect(chip, "00B0810504") == b"grou"


def test_a_large_file_is_read_in_one_extended_command(chip: Chip) -> None:
    expect(chip, SELECT)
    expect(chip, "00A4000C020103")
    assert expect(chip, "00B00000000000") == LARGE
    assert expect(chip, "00B0000000") == LARGE[:256]


def test_offsets_beyond_7fff_are_read_with_the_odd_instruction(chip: Chip) -> None:
    expect(chip, SELECT)
    expect(chip, "00A4020C020103")
    assert expect(chip, "00B1000004540280000C") == b"\x53\x0a" + LARGE[0x8000:0x800A]
    assert expect(chip, "00B10000000004540280000000") == b"\x53\x82\x1c\xe0" + LARGE[0x8000:]
    assert expect(chip, "00B10003000004540280000100") == b"\x53\x81\xfd" + LARGE[0x8000 : 0x8000 + 253]
    assert expect(chip, "00B10103035401FF05") == b"\x53\x03" + LARGE[0xFF:0x102]
    expect(chip, "00B100000454029D000C", 0x6B00)
    expect(chip, "00B1000002530000", 0x6A80)


def test_what_is_not_there(chip: Chip) -> None:
    expect(chip, SELECT)
    expect(chip, "00B0000000", 0x6986)
    expect(chip, "00A4020C020102", 0x6A82)
    expect(chip, "00B0820000", 0x6A82)
    expect(chip, "00B0800000", 0x6A86)
    expect(chip, "00A4020C020101")
    expect(chip, "00B0000C00", 0x6B00)
    expect(chip, "00B00000", 0x6700)
    expect(chip, "0020000100", 0x6D00)


def test_the_card_manager_is_selected_after_reset_and_tells_its_command_size(chip: Chip) -> None:
    chip.reset()
    expect(chip, "80CA9F7F00")
    expect(chip, SELECT)
    expect(chip, "80CA9F7F00", 0x6E00)
    fci = expect(chip, "00A4040008A000000151000000")
    assert fci.hex().upper() == "6F118408A000000151000000A5059F65020800"


def test_production_data(chip: Chip) -> None:
    chip.reset()
    cplc = expect(chip, "80CA9F7F00")
    assert (cplc[:3].hex().upper(), len(cplc)) == ("9F7F2A", 45)
    fabricator, chip_type, number, batch = cplc[3:5], cplc[5:7], cplc[15:19], cplc[19:21]
    assert (fabricator + chip_type + batch + number).hex().upper() == chip.serial
    assert cplc[13:15].hex() == "6015"  # made on day 015 of 2026
    assert expect(chip, "80CADF2000") == b"\xdf\x20\x0dLOT-2026-0001"
    assert expect(chip, "80CADF2100") == b"\xdf\x21\x0dSIM-eID 1.0.0"
    keys = expect(chip, "80CA00E000")
    assert keys[:8].hex().upper() == "E048C00401018820"
    assert keys[-6:].hex().upper() == "C00403048820"
    expect(chip, "80CA006600", 0x6A88)


def test_the_answer_to_reset_is_one(chip: Chip) -> None:
    atr = chip.atr
    assert atr[1] & 0x0F == 10
    assert atr[-11:-1] == b"\x00SIM-eID 1"
    check = 0
    for byte in atr[1:]:
        check ^= byte
    assert check == 0

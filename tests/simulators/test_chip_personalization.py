"""From a blank to a locked card: which function may write what, and when (data sheet §3)."""

import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from simulators.chip.card import Chip
from simulators.chip.personalization import Function
from tests.simulators import chip_host as host
from tests.simulators.chip_host import ADF1, ADF2, CERT, KEY, MAIN, PERSO, PIN, TRAVEL, dgi, expect, open_channel


@pytest.fixture
def chip(tmp_path: Path) -> Chip:
    return host.blank(tmp_path / "chip")


def read_travel(chip: Chip, fid: int) -> bytes:
    expect(chip, "00A4040C07A0000002471001")
    expect(chip, f"00A4020C02{fid:04X}")
    return expect(chip, "00B00000000000")


@pytest.mark.parametrize("level", [0x03, 0x13, 0x33])
def test_a_card_is_personalized_at_every_level_with_encryption(chip: Chip, level: int) -> None:
    host.personalize(chip, level)
    assert len(read_travel(chip, 0x0103)) == 40_004
    expect(chip, "00A4040008A000000151000000")
    assert expect(chip, "80F28000024F00") == bytes.fromhex("E30E 4F08 A000000151000000 9F7001 0F")


def test_a_card_of_58_kilobytes_takes_a_fraction_of_a_second_of_chip_time(
    chip: Chip, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent: list[float] = []
    transmit = chip.transmit

    def timed(apdu: bytes) -> bytes:
        started = time.thread_time()
        response = transmit(apdu)
        spent.append(time.thread_time() - started)
        return response

    monkeypatch.setattr(chip, "transmit", timed)
    host.personalize(chip)
    assert len(spent) < 70
    assert sum(spent) < 0.3


def test_levels_without_encryption_write_nothing(chip: Chip) -> None:
    session = open_channel(chip, PERSO, 0x11)
    session.install(MAIN, 0x6982)


def test_outside_a_channel_nothing_is_written(chip: Chip) -> None:
    expect(chip, "80E620000D000007A0000002471001000000", 0x6982)
    expect(chip, "84E2880003010100", 0x6985)


def test_a_grouping_may_cross_blocks_and_takes_effect_with_its_last_byte(chip: Chip) -> None:
    session = open_channel(chip, PERSO)
    session.install(TRAVEL)
    whole = dgi(0x0101, bytes(range(256)) * 2)
    session.run(0xE2, 0x08, 0, whole[:300])
    chip.reset()
    expect(chip, "00A4040C07A0000002471001")
    expect(chip, "00A4020C020101", 0x6A82)
    session = open_channel(chip, PERSO)
    session.store(TRAVEL, whole, block_bytes=100)
    assert read_travel(chip, 0x0101) == bytes(range(256)) * 2


def test_a_command_takes_effect_whole_or_not_at_all(chip: Chip) -> None:
    session = open_channel(chip, PERSO)
    session.store(TRAVEL, dgi(0x0101, b"good"), dgi(0x9999, b"unknown"), status=0x6A88)
    expect(chip, "00A4040C07A0000002471001")
    expect(chip, "00A4020C020101", 0x6A82)


def test_blocks_are_counted_from_zero_and_wrap(chip: Chip) -> None:
    session = open_channel(chip, PERSO)
    session.store(TRAVEL, dgi(0x0102, bytes(600)), block_bytes=2)  # 303 blocks: FF is followed by 00
    assert len(read_travel(chip, 0x0102)) == 600


def test_a_wrong_block_number_ends_the_sequence(chip: Chip) -> None:
    session = open_channel(chip, PERSO)
    session.install(TRAVEL)
    session.run(0xE2, 0x08, 1, b"\x01", 0x6A86)
    session.run(0xE2, 0x08, 0, b"\x01", 0x6985)
    session.store(TRAVEL, dgi(0x0101, b"after INSTALL it goes on"))


@pytest.mark.parametrize("p1", [0x00, 0x10, 0x48, 0x89, 0xE8])
def test_store_data_takes_data_groupings_alone(chip: Chip, p1: int) -> None:
    session = open_channel(chip, PERSO)
    session.install(TRAVEL)
    session.run(0xE2, p1, 0, b"\x01\x01\x00", 0x6A86)


def test_the_last_block_must_end_a_grouping(chip: Chip) -> None:
    open_channel(chip, PERSO).store(TRAVEL, dgi(0x0101, b"cut")[:-1], status=0x6A80)


@pytest.mark.parametrize(
    ("function", "grouping"),
    [
        (PERSO, dgi(0x3401, b"certificate")),
        (CERT, dgi(0x7001, b"file")),
        (PIN, dgi(0xD003, b"file")),
        (KEY, host.pin_object(1, b"1234", minimum=4)),
        (PERSO, host.pin_object(1, b"1234", minimum=4)),
        (PIN, host.key_object(0x81, ec.generate_private_key(ec.SECP384R1()))),
    ],
)
def test_each_function_writes_its_own_objects_alone(chip: Chip, function: int, grouping: bytes) -> None:
    open_channel(chip, function).store(MAIN, grouping, status=0x6982)


@pytest.mark.parametrize("function", [PIN, KEY, CERT])
def test_only_perso_sets_life_cycles(chip: Chip, function: int) -> None:
    session = open_channel(chip, function)
    session.lock(MAIN, 0x6982)
    session.secure_card(0x6982)


def test_a_file_may_be_replaced_until_its_application_is_locked(chip: Chip) -> None:
    open_channel(chip, PERSO).store(TRAVEL, dgi(0x0101, b"first version"))
    session = open_channel(chip, PERSO)
    session.store(TRAVEL, dgi(0x0101, b"second"))
    session.lock(TRAVEL)
    session.store(TRAVEL, dgi(0x0101, b"third"), status=0x6985)
    session.store(TRAVEL, dgi(0x0105, b"new"), status=0x6985)
    assert read_travel(chip, 0x0101) == b"second"


def test_certificates_are_written_for_the_life_of_the_card(chip: Chip) -> None:
    host.personalize(chip)
    open_channel(chip, CERT).store(ADF1, dgi(0x3401, b"renewed"))
    expect(chip, "00A4040C0D" + ADF1.hex())
    expect(chip, "00A4020C023401")
    assert expect(chip, "00B0000000") == b"renewed"


def test_pins_and_keys_are_written_for_the_life_of_the_card(chip: Chip) -> None:
    host.personalize(chip)
    open_channel(chip, PIN).store(MAIN, host.pin_object(1, b"4321", minimum=4))
    open_channel(chip, KEY).store(MAIN, host.key_object(0x81, ec.generate_private_key(ec.SECP384R1())))


def test_the_card_is_secured_once_all_written_applications_are_locked_and_perso_is_dead(chip: Chip) -> None:
    session = open_channel(chip, PERSO)
    session.store(ADF2, dgi(0x5031, b"directory"))
    session.secure_card(0x6985)
    session.lock(ADF2)
    session.secure_card()
    session.install(ADF1, 0x6985)
    expect(chip, "00A4040008A000000151000000")
    expect(chip, "8050010008010203040506070800", 0x6985)
    chip.power_off()
    chip.power_on()
    expect(chip, "8050010008010203040506070800", 0x6985)


def test_get_status_tells_the_life_cycle_of_every_application(chip: Chip) -> None:
    open_channel(chip, PERSO).lock(TRAVEL)
    states = expect(chip, "80F24000024F00")
    assert states.endswith(bytes.fromhex("E30D 4F07 A0000002471001 9F7001 0F"))
    assert states.startswith(bytes.fromhex("E316 4F10 A000000077010800070000FE00000100 9F7001 07"))
    assert states.count(b"\xe3") == 4


def test_the_store_holds_96_kilobytes(chip: Chip) -> None:
    session = open_channel(chip, PERSO)
    session.store(TRAVEL, dgi(0x0102, bytes(60_000)))
    session.install(TRAVEL)
    session.run(0xE2, 0x08, 0, dgi(0x0103, bytes(40_000))[:100], 0x6A84)
    session.store(TRAVEL, dgi(0x0103, bytes(96 * 1024 - 60_000)))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "8101038201048301",
        "810103820104830C3132FFFFFFFFFFFFFFFFFFFF",  # fewer digits than the minimum
        "810103820104830C31323334FF35FFFFFFFFFFFF",
        "810103820104830C313233345AFFFFFFFFFFFFFF",
        "810103820104830B31323334FFFFFFFFFFFFFF",
        "810103820104840102830C31323334FFFFFFFFFFFFFFFF",
        "810110820104830C31323334FFFFFFFFFFFFFFFF",
        "810103810103820104830C31323334FFFFFFFFFFFFFFFF",
        "810103820104",  # active without a value
    ],
)
def test_a_malformed_pin_object_is_refused(chip: Chip, value: str) -> None:
    open_channel(chip, PIN).store(MAIN, dgi(0xC101, bytes.fromhex(value)), status=0x6A80)


def test_a_pin_may_leave_blocked_and_without_a_value(chip: Chip) -> None:
    open_channel(chip, PIN).store(MAIN, host.pin_object(1, None, minimum=4, state=1))
    expect(chip, "00A4040C10" + MAIN.hex())
    expect(chip, "0020000100", 0x6983)
    open_channel(chip, PIN).store(MAIN, host.pin_object(1, b"2468", minimum=4))
    expect(chip, "00A4040C10" + MAIN.hex())
    expect(chip, "002000010C" + host.padded(b"2468").hex())


def test_an_absent_value_is_kept(chip: Chip) -> None:
    session = open_channel(chip, PIN)
    session.store(MAIN, host.pin_object(1, b"2468", minimum=4))
    session.store(MAIN, host.pin_object(1, None, minimum=4, tries=5))
    expect(chip, "00A4040C10" + MAIN.hex())
    expect(chip, "0020000100", 0x63C5)
    expect(chip, "002000010C" + host.padded(b"2468").hex())


def test_a_key_for_another_chip_or_another_curve_is_refused(chip: Chip) -> None:
    session = open_channel(chip, KEY)
    right = host.key_object(0x81, ec.generate_private_key(ec.SECP384R1()))
    session.store(MAIN, right[:-1] + bytes([right[-1] ^ 1]), status=0x6A80)
    session.store(MAIN, host.key_object(0x81, ec.generate_private_key(ec.SECP256R1()), 0x0D), status=0x6A80)
    session.store(MAIN, host.key_object(0x81, ec.generate_private_key(ec.SECP384R1()), 0x0C), status=0x6A80)
    session.store(MAIN, host.key_object(0x9A, ec.generate_private_key(ec.SECP384R1())), status=0x6A88)
    session.store(ADF1, right, status=0x6A88)
    session.store(MAIN, right)


def test_a_key_that_the_token_filled_with_zeros_is_taken_and_nothing_else_behind_it(chip: Chip) -> None:
    session = open_channel(chip, KEY)
    key = ec.generate_private_key(ec.SECP256R1())
    session.store(MAIN, host.key_object(0x81, key, 0x0C, bytes(7)))
    session.store(MAIN, host.key_object(0x81, key, 0x0C, bytes(8)), status=0x6A80)
    session.store(MAIN, host.key_object(0x81, key, 0x0C, b"\x01"), status=0x6A80)


def test_an_unknown_application_is_not_there(chip: Chip) -> None:
    session = open_channel(chip, PERSO)
    session.install(bytes.fromhex("A000000308"), 0x6A88)
    session.lock(bytes.fromhex("A000000308"), 0x6A88)


def test_a_channel_of_another_chip_does_not_open(chip: Chip) -> None:
    answer = expect(chip, "8050010008" + host.HOST_CHALLENGE.hex() + "00")
    keys = host.chip_keys(host.MASTERS[Function.PERSO], bytes(10))
    channel = host.HostChannel(keys, 0x33, host.HOST_CHALLENGE, answer)
    assert channel.card_cryptogram != channel.expected_card_cryptogram
    expect(chip, channel.external_authenticate(), 0x6300)
    open_channel(chip, PERSO).install(MAIN)

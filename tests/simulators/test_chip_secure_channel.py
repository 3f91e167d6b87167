"""SCP03 on the chip's side, against published vectors and against everything a wrong host does."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from simulators.chip.apdu import parse
from simulators.chip.card import Chip
from simulators.chip.secure_channel import SecureChannel, StaticKeys, card_challenge
from tests.simulators import chip_host as host
from tests.simulators.chip_host import PERSO, TRAVEL, dgi, expect, open_channel


@dataclass(frozen=True)
class Vector:
    """A recorded session with a real chip."""

    host_challenge: str
    answer: str
    authenticate: str
    commands: tuple[str, ...]
    response: str


# Sessions with a real eUICC, AES-256 key version 32, as published in the unit tests of osmocom pySim
# (tests/unittests/test_globalplatform.py, class SCP03_Test_AES256_*)
KEYS = StaticKeys(
    bytes.fromhex("000102030405060708090a0b0c0d0e0f" * 2),
    bytes.fromhex("101112131415161718191a1b1c1d1e1f" * 2),
    bytes.fromhex("202122232425262728292a2b2c2d2e2f" * 2),
)
PLAIN = ("80E2910006BF3E035C015A00", "80F22002", "80CA006600", "80F220020A4F0212345C054F9F70C5", "80F28002024F0000")
NONSENSE = "8482330010" + 16 * "00"
PLAIN_RESPONSE = bytes.fromhex("BF3E125A1089882119900000000000000000000005")
VECTORS = {
    0x11: Vector(
        "11666d57866c6f54",
        "0000000000000000000032037053ea8847efa7674e41498a4d66cf0dee000003",
        "84821100102f2ad190eff2fafc4908996d1cebd310",
        (
            "84e291000ebf3e035c015af4b680372542b59d00",
            "84f2200208d618b7da68d5fe52",
            "84ca0066088f3e055db23ad5e500",
            "84f22002124f0212345c054f9f70c5b6e15cc42404915e",
            "84f280020a4f00aa124aa74afe7f7500",
        ),
        "bf3e125a10898821199000000000000000000000058012dd7f01f1c4c1",
    ),
    0x03: Vector(
        "c6066990fc426e1d",
        "000000000000000000003203708682cd81bbd8919f2de3f2664581f118000001",
        "848203001077c493b632edadaf865a1e64acc07ce9",
        (
            "84e29100183ddaa60594963befaada3525b492ede23c2ab2c1ce3afe4400",
            "84f2200208480ddc8e419da38d",
            "84ca0066083e9d6a6c0b2d732000",
            "84f22002183ebfef2da8b04af2a85f491f299b76973df76ff08a4031be",
            "84f2800218783fff80990f5585b1055010ea95094a26e4a8f1ef4b18e100",
        ),
        "bf3e125a1089882119900000000000000000000005",
    ),
    0x33: Vector(
        "97b2055fe58599fd",
        "00000000000000000000320370a8439a22cedf045fa9f1903b2834f26e000002",
        "8482330010508a0fd959d2e547c6b33154a6be2057",
        (
            "84e29100187a5ef717eaf1e135ae92fe54429d0e465decda65f5fe5aea00",
            "84f2200208bcc5c17275545d93",
            "84ca00660804806aba9d543bb600",
            "84f2200218717222491556ec81a45f49ce48be33320024801a1c4cb0e0",
            "84f2800218561f105bccd3a1642904b251ccc1228beb80a82370a8637000",
        ),
        "ea90dbfa648a67c5eb6abc57f8530b97d0cd5647c5e8732016b55203b078dd2ace7f8bc5d1c1cd99",
    ),
}


@pytest.mark.parametrize("level", VECTORS)
def test_the_chip_answers_as_a_real_chip_did(level: int) -> None:
    vector = VECTORS[level]
    answer = bytes.fromhex(vector.answer)
    channel = SecureChannel(KEYS, bytes.fromhex(vector.host_challenge), answer[13:21])
    assert channel.card_cryptogram == answer[21:29]
    channel.authenticate(parse(bytes.fromhex(vector.authenticate)))
    for number, (wrapped, plain) in enumerate(zip(vector.commands, PLAIN, strict=True)):
        received, meant = channel.unwrap(parse(bytes.fromhex(wrapped))), parse(bytes.fromhex(plain))
        assert (received.header, received.data, received.le) == (meant.header, meant.data, meant.le)
        if number == 0:
            assert channel.wrap(PLAIN_RESPONSE) == bytes.fromhex(vector.response)


@pytest.mark.parametrize("level", VECTORS)
def test_the_host_of_these_tests_speaks_as_a_real_host_did(level: int) -> None:
    vector = VECTORS[level]
    answer, challenge = bytes.fromhex(vector.answer), bytes.fromhex(vector.host_challenge)
    channel = host.HostChannel((KEYS.enc, KEYS.mac, KEYS.dek), level, challenge, answer)
    assert channel.card_cryptogram == channel.expected_card_cryptogram
    assert channel.external_authenticate() == bytes.fromhex(vector.authenticate)
    for number, (wrapped, plain) in enumerate(zip(vector.commands, PLAIN, strict=True)):
        meant = parse(bytes.fromhex(plain))
        sent = channel.wrap(meant.ins, meant.p1, meant.p2, meant.data, le=meant.le is not None)
        assert sent == bytes.fromhex(wrapped)
        if number == 0:
            assert channel.unwrap(bytes.fromhex(vector.response)) == PLAIN_RESPONSE


@pytest.mark.parametrize("level", VECTORS)
def test_the_pseudo_random_challenge_is_the_one_a_real_chip_chose(level: int) -> None:
    answer = bytes.fromhex(VECTORS[level].answer)
    isd_r = bytes.fromhex("A0000005591010FFFFFFFF8900000100")  # GSMA SGP.02 §2.2.3
    assert card_challenge(KEYS, int.from_bytes(answer[29:]), isd_r) == answer[13:21]


@pytest.fixture
def chip(tmp_path: Path) -> Chip:
    return host.blank(tmp_path / "chip")


def initialize_update(chip: Chip, version: int, status: int = 0x9000) -> bytes:
    return expect(chip, f"8050{version:02X}0008010203040506070800", status)


def test_initialize_update_names_chip_key_version_and_protocol(chip: Chip) -> None:
    answer = initialize_update(chip, 2)
    assert (answer[:10].hex().upper(), answer[10:13].hex()) == (chip.serial, "020370")
    assert len(answer) == 32


def test_sequence_counters_go_up_by_one_for_each_version_and_survive_power_cuts(chip: Chip) -> None:
    assert [initialize_update(chip, 1)[29:].hex() for _ in range(2)] == ["000001", "000002"]
    chip.power_off()
    chip.power_on()
    assert initialize_update(chip, 1)[29:].hex() == "000003"
    assert initialize_update(chip, 4)[29:].hex() == "000001"


def test_an_unknown_key_version_is_6a88(chip: Chip) -> None:
    for version in (0x00, 0x05, 0xFF):
        initialize_update(chip, version, 0x6A88)


def test_ten_wrong_authentications_in_a_row_block_a_key_version_for_ever(chip: Chip) -> None:
    for failure in range(10):
        initialize_update(chip, 3)
        expect(chip, NONSENSE, 0x6983 if failure == 9 else 0x6300)
        chip.reset()
    initialize_update(chip, 3, 0x6985)
    open_channel(chip, PERSO)


def test_a_right_authentication_gives_all_attempts_back(chip: Chip) -> None:
    for _ in range(3):
        for _ in range(9):
            initialize_update(chip, 1)
            expect(chip, NONSENSE, 0x6300)
        open_channel(chip, PERSO)


def test_an_attempt_needs_a_challenge_of_its_own(chip: Chip) -> None:
    expect(chip, NONSENSE, 0x6985)
    session = open_channel(chip, PERSO)
    expect(chip, session.channel.external_authenticate(), 0x6985)


@pytest.mark.parametrize("level", [0x00, 0x02, 0x31, 0x23, 0x80])
def test_levels_amendment_d_does_not_know_are_refused(chip: Chip, level: int) -> None:
    initialize_update(chip, 1)
    expect(chip, f"8482{level:02X}0010" + 16 * "00", 0x6A86)


def test_a_wrong_mac_closes_the_channel(chip: Chip) -> None:
    session = open_channel(chip, PERSO)
    wrapped = bytearray(session.channel.wrap(0xF2, 0x40, 0x00, b"\x4f\x00", le=True))
    wrapped[-2] ^= 1
    expect(chip, bytes(wrapped), 0x6988)
    expect(chip, session.channel.wrap(0xF2, 0x40, 0x00, b"\x4f\x00", le=True), 0x6985)


def test_a_command_cannot_be_played_twice(chip: Chip) -> None:
    session = open_channel(chip, PERSO)
    wrapped = session.channel.wrap(0xF2, 0x40, 0x00, b"\x4f\x00", le=True)
    expect(chip, wrapped)
    expect(chip, wrapped, 0x6988)


def test_an_error_inside_the_channel_leaves_it_open_and_goes_without_mac(chip: Chip) -> None:
    session = open_channel(chip, PERSO)
    assert session.run(0xE6, 0x20, 0x00, b"nonsense", 0x6A80) == b""
    session.store(TRAVEL, dgi(0x0101, b"goes on"))


def test_selecting_by_aid_reset_and_power_close_the_channel(chip: Chip) -> None:
    for leave in ("00A4040C07A0000002471001", "00A4040008A000000151000000", "reset", "power"):
        session = open_channel(chip, PERSO)
        if leave == "reset":
            chip.reset()
        elif leave == "power":
            chip.power_off()
            chip.power_on()
        else:
            expect(chip, leave)
        expect(chip, session.channel.wrap(0xF2, 0x40, 0x00, b"\x4f\x00", le=True), 0x6985)


def test_free_commands_are_answered_inside_and_beside_the_channel(chip: Chip) -> None:
    session = open_channel(chip, PERSO)
    inside = session.run(0xCA, 0x9F, 0x7F, le=True)
    assert inside == expect(chip, "80CA9F7F00")
    assert session.run(0xF2, 0x80, 0x00, b"\x4f\x00", le=True) == expect(chip, "80F28000024F00")

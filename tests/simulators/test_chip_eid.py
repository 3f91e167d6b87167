"""The eID application as its clients use it (section 4 of the data sheet; OpenSC itself: test_chip_opensc.py)."""

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from simulators.chip.card import Chip
from tests.simulators import chip_host as host
from tests.simulators.chip_host import ADF1, ADF2, KEY, MAIN, PIN, expect, open_channel, padded

SELECT_MAIN = "00A4040C10" + MAIN.hex()
SELECT_ADF1 = "00A4040C0D" + ADF1.hex()
SELECT_ADF2 = "00A4040C10" + ADF2.hex()
MSE_AUTHENTICATION = "002241A406800104840181"
MSE_SIGNATURE = "002241B60680015484019F"
DIGEST = hashlib.sha384(b"a document").digest()
INTERNAL_AUTHENTICATE = "0088000030" + DIGEST.hex() + "00"
SIGN = "002A9E9A30" + DIGEST.hex() + "00"


def verify(reference: int, digits: bytes) -> str:
    return f"002000{reference:02X}0C" + padded(digits).hex()


@pytest.fixture
def chip(tmp_path: Path) -> Chip:
    return host.blank(tmp_path / "chip")


@pytest.fixture
def card(chip: Chip) -> tuple[Chip, host.Holder]:
    holder = host.personalize(chip)
    chip.reset()
    return chip, holder


def check(signature: bytes, key: ec.EllipticCurvePrivateKey) -> None:
    assert len(signature) == 96
    der = utils.encode_dss_signature(int.from_bytes(signature[:48]), int.from_bytes(signature[48:]))
    key.public_key().verify(der, DIGEST, ec.ECDSA(utils.Prehashed(hashes.SHA384())))


def test_web_eid_walks_to_certificate_and_key(card: tuple[Chip, host.Holder]) -> None:
    chip, holder = card
    expect(chip, SELECT_ADF1)
    fid, walked = 0x5031, []
    while fid:
        size = int.from_bytes(expect(chip, f"00A4020402{fid:04X}00")[4:])
        content = b"".join(expect(chip, f"00B0{at:04X}{min(0xC0, size - at):02X}") for at in range(0, size, 0xC0))
        walked.append(content)
        fid = {0x5031: 0x7005, 0x7005: 0x3401}.get(fid, 0)
    assert b"\xa4\x06\x30\x04\x04\x02\x70\x05" in walked[0]
    assert walked[1].endswith(b"\x04\x02\x34\x01")
    assert walked[2] == holder.authentication_certificate


def test_select_ef_answers_the_exact_size(card: tuple[Chip, host.Holder]) -> None:
    chip, _ = card
    expect(chip, SELECT_MAIN)
    assert expect(chip, "00A40204 02 D003 00").hex() == "62048002000b"
    assert expect(chip, "00A40200 02 D003 00").hex() == "62048002000b"
    assert expect(chip, "00A4020C 02 D003") == b""
    assert expect(chip, "00B000000B") == b"\x04\x09PA1234567"


def test_opensc_paths(card: tuple[Chip, host.Holder]) -> None:
    chip, _ = card
    expect(chip, SELECT_MAIN)
    expect(chip, "00A4000C")  # the MF, as OpenSC 0.23 asks for it
    expect(chip, "00A4010C02ADF1")
    expect(chip, "00A4020C023401")
    expect(chip, "00B00000E9")
    expect(chip, "00B07FFFE9", 0x6B00)
    expect(chip, "00A4000C")
    expect(chip, "00A4090404ADF2341F00")  # a path from the current directory, as later versions do
    expect(chip, "00A4080C04ADF17005")
    expect(chip, "00A4000C023F00")


def test_what_is_not_there_is_not_found(card: tuple[Chip, host.Holder]) -> None:
    chip, _ = card
    expect(chip, SELECT_MAIN)
    expect(chip, "00B0000000", 0x6986)
    expect(chip, "00A4020C023401", 0x6A82)
    expect(chip, "00A4010C02ADF3", 0x6A82)
    expect(chip, "00A4040C05A000000308", 0x6A82)
    expect(chip, "00A4090C06ADF134013401", 0x6A82)
    expect(chip, "00FF000000", 0x6D00)
    expect(chip, "80CA9F7F00", 0x6E00)
    expect(chip, "84E2000000", 0x6985)


@pytest.mark.parametrize(
    ("reference", "select", "tag"), [(1, SELECT_MAIN, 1), (0x85, SELECT_ADF2, 5), (2, SELECT_MAIN, 2)]
)
def test_counters_tell_maximum_tries_and_tries_left(
    card: tuple[Chip, host.Holder], reference: int, select: str, tag: int
) -> None:
    chip, _ = card
    ask = f"00CB3FFF0A4D087006BF81{tag:02X}02A08000"
    expect(chip, select)
    expected = "701EBF81{:02X}1AA0189A01039B01{:02X}A1108C06F300007343009C06F30000734300"
    assert expect(chip, ask).hex().upper() == expected.format(tag, 3)
    expect(chip, verify(reference, b"99999999"), 0x63C2)
    assert expect(chip, ask).hex().upper() == expected.format(tag, 2)


@pytest.mark.parametrize("mse", [MSE_AUTHENTICATION, "002241A409 8004FF200800 840181"])
def test_authentication(card: tuple[Chip, host.Holder], mse: str) -> None:
    chip, holder = card
    expect(chip, SELECT_ADF1)
    expect(chip, mse)
    expect(chip, INTERNAL_AUTHENTICATE, 0x6982)
    expect(chip, verify(1, b"1234"))
    for _ in range(2):  # PIN1 lasts
        check(expect(chip, INTERNAL_AUTHENTICATE), holder.authentication)


@pytest.mark.parametrize("mse", [MSE_SIGNATURE, "002241B609 8004FF150800 84019F"])
def test_pin2_is_good_for_one_signature(card: tuple[Chip, host.Holder], mse: str) -> None:
    chip, holder = card
    expect(chip, SELECT_ADF2)
    expect(chip, mse)
    expect(chip, verify(0x85, b"123456"))
    check(expect(chip, SIGN), holder.signature)
    expect(chip, SIGN, 0x6982)


def test_each_pin_serves_its_own_key(card: tuple[Chip, host.Holder]) -> None:
    chip, _ = card
    expect(chip, SELECT_ADF2)
    expect(chip, verify(1, b"1234"))
    expect(chip, MSE_SIGNATURE)
    expect(chip, SIGN, 0x6982)
    expect(chip, MSE_AUTHENTICATION, 0x6A88)
    expect(chip, SELECT_ADF1)
    expect(chip, verify(0x85, b"123456"), 0x6A88)
    expect(chip, MSE_SIGNATURE, 0x6A88)
    expect(chip, INTERNAL_AUTHENTICATE, 0x6985)


@pytest.mark.parametrize("forget", [SELECT_MAIN, "00A4040C07A0000002471001", "reset", "power", "wrong"])
def test_a_verification_is_lost(card: tuple[Chip, host.Holder], forget: str) -> None:
    chip, _ = card
    expect(chip, SELECT_ADF1)
    expect(chip, verify(1, b"1234"))
    if forget == "reset":
        chip.reset()
    elif forget == "power":
        chip.power_off()
        chip.power_on()
    elif forget == "wrong":
        expect(chip, verify(1, b"1235"), 0x63C2)
    else:
        expect(chip, forget)
    expect(chip, "00A4000C")
    expect(chip, "00A4010C02ADF1")
    expect(chip, MSE_AUTHENTICATION)
    expect(chip, INTERNAL_AUTHENTICATE, 0x6982)


def test_three_wrong_pins_block_over_power_cuts_and_the_puk_unblocks(card: tuple[Chip, host.Holder]) -> None:
    chip, _ = card
    for left in (0x63C2, 0x63C1, 0x63C0, 0x6983):
        chip.power_off()
        chip.power_on()
        expect(chip, SELECT_MAIN)
        expect(chip, verify(1, b"0000"), left)
    expect(chip, verify(1, b"1234"), 0x6983)
    expect(chip, "002C02010C" + padded(b"4711").hex(), 0x6982)
    expect(chip, verify(2, b"12345678"))
    expect(chip, "002C02010C" + padded(b"471").hex(), 0x6A80)
    expect(chip, "002C02010C" + padded(b"4711").hex())
    expect(chip, verify(1, b"4711"))


def test_a_try_is_taken_before_the_comparison(card: tuple[Chip, host.Holder], tmp_path: Path) -> None:
    chip, _ = card
    memory = tmp_path / "chip" / "memory.jsonl"
    expect(chip, SELECT_MAIN)
    expect(chip, verify(1, b"1234"))
    _taken, given_back = memory.read_bytes().splitlines(keepends=True)[-2:]
    memory.write_bytes(memory.read_bytes()[: -len(given_back)])  # the power went before the comparison
    chip.power_off()
    chip.power_on()
    expect(chip, SELECT_MAIN)
    expect(chip, "0020000100", 0x63C2)


def test_change_reference_data(card: tuple[Chip, host.Holder]) -> None:
    chip, _ = card
    expect(chip, SELECT_MAIN)
    expect(chip, "0024000118" + padded(b"1234").hex() + padded(b"12").hex(), 0x6A80)
    expect(chip, "0024000118" + padded(b"1111").hex() + padded(b"4711").hex(), 0x63C2)
    expect(chip, "0024000118" + padded(b"1234").hex() + padded(b"4711").hex())
    expect(chip, verify(1, b"1234"), 0x63C2)
    expect(chip, verify(1, b"4711"))
    expect(chip, "0024000218" + padded(b"12345678").hex() + padded(b"87654321").hex())
    expect(chip, verify(2, b"87654321"))


def test_wrong_lengths_cost_no_try(card: tuple[Chip, host.Holder]) -> None:
    chip, _ = card
    expect(chip, SELECT_MAIN)
    expect(chip, "002000010431323334", 0x6700)
    expect(chip, "00240001" + "0C" + padded(b"1234").hex(), 0x6700)
    expect(chip, "0020000100", 0x63C3)
    expect(chip, "002000030C" + padded(b"1234").hex(), 0x6A88)
    expect(chip, SELECT_ADF1)
    expect(chip, MSE_AUTHENTICATION)
    expect(chip, verify(1, b"1234"))
    expect(chip, "0088000020" + bytes(32).hex() + "00", 0x6700)
    expect(chip, INTERNAL_AUTHENTICATE[:-2] + "20", 0x6C60)


@pytest.mark.parametrize("mse", ["800102840181", "80010484018180", "840181", "8001048002FF20840181", "FF"])
def test_environments_of_other_cards_are_refused(card: tuple[Chip, host.Holder], mse: str) -> None:
    chip, _ = card
    expect(chip, SELECT_ADF1)
    expect(chip, f"002241A4{len(mse) // 2:02X}{mse}", 0x6A80)


def test_a_p256_key_signs_sha256(chip: Chip) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    open_channel(chip, KEY).store(MAIN, host.key_object(0x81, key, 0x0C))
    open_channel(chip, PIN).store(MAIN, host.pin_object(1, b"1234", minimum=4))
    expect(chip, SELECT_ADF1)
    expect(chip, MSE_AUTHENTICATION)
    expect(chip, verify(1, b"1234"))
    digest = hashlib.sha256(b"a document").digest()
    signature = expect(chip, "0088000020" + digest.hex() + "00")
    der = utils.encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    key.public_key().verify(der, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))

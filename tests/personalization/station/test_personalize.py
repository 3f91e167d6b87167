"""Commands built from an image: what they say can be read before anything is sent."""

from dataclasses import replace
from typing import Any

import pytest

from card_profiles.model import PinState
from personalization.station.dgi import DataGrouping, install_for_personalization, store_data, tlv
from personalization.station.personalize import (
    certificate_commands,
    key_commands,
    perso_commands,
    pin_commands,
)
from personalization.station.scp03 import largest_plain_bytes


def test_lengths_of_data_groupings() -> None:
    assert DataGrouping(0x0101, b"", 0).encode().hex() == "010100"
    assert DataGrouping(0x0101, bytes(254), 0).encode()[:3].hex() == "0101fe"
    assert DataGrouping(0x0101, bytes(255), 0).encode()[:5].hex() == "0101ff00ff"
    assert DataGrouping(0x0101, bytes(65_535), 0).encode()[:5].hex() == "0101ffffff"
    with pytest.raises(ValueError, match=r"65,535"):
        DataGrouping(0x0101, bytes(65_536), 0).encode()


def test_lengths_of_data_objects() -> None:
    assert tlv(0x82, bytes(127))[:2].hex() == "827f"
    assert tlv(0x82, bytes(128))[:3].hex() == "828180"
    assert tlv(0x82, bytes(256))[:4].hex() == "82820100"


def test_install_for_personalization_names_the_application() -> None:
    apdu = install_for_personalization(bytes.fromhex("A0000002471001")).encode()
    assert apdu.hex().upper() == "80E620000D000007A000000247100100000000"


def test_blocks_are_full_and_the_last_is_marked() -> None:
    blocks = list(store_data([DataGrouping(0x0101, bytes(10), 10), DataGrouping(0x0102, bytes(4), 4)], 8))
    assert [(block.p1, block.p2, len(block.data)) for block in blocks] == [(0x08, 0, 8), (0x08, 1, 8), (0x88, 2, 4)]
    assert b"".join(block.data for block in blocks) == b"\x01\x01\x0a" + bytes(10) + b"\x01\x02\x04" + bytes(4)


def test_a_stream_that_ends_with_a_block_has_no_empty_one() -> None:
    blocks = list(store_data([DataGrouping(0x0101, bytes(13), 13)], 8))
    assert [(block.p1, len(block.data)) for block in blocks] == [(0x08, 8), (0x88, 8)]


def test_block_numbers_wrap() -> None:
    numbers = [block.p2 for block in store_data([DataGrouping(0x0101, bytes(300), 300)], 1)]
    assert numbers[:2] == [0, 1]
    assert numbers[254:258] == [254, 255, 0, 1]


def test_no_block_is_larger_than_the_profile_allows_and_no_function_writes_for_another(card: Any) -> None:
    profile, image = card.profile, card.image
    largest = largest_plain_bytes(profile.chip.security_level, profile.chip.maximum_command_data_bytes)
    cert = certificate_commands(profile, image)
    perso = perso_commands(profile, image, locked=frozenset())
    assert all(len(each.apdu.data) <= largest for each in (*cert, *perso))
    assert {each.apdu.data[:2].hex() for each in cert if each.apdu.ins == 0xE2} == {"3401", "341f"}
    assert [each.apdu.data.hex().upper() for each in perso if each.apdu.ins == 0xF0] == [
        "A000000077010800070000FE00000100",
        "E828BD080FF2504F5420415750",
        "51534344204170706C69636174696F6E",
        "A0000002471001",
        "",
    ]
    assert (perso[-1].apdu.p1, perso[-1].apdu.p2) == (0x80, 0x0F)


def test_locked_applications_are_left_out(card: Any) -> None:
    aids = frozenset(each.aid for each in card.image.applications)
    assert [each.purpose for each in perso_commands(card.profile, card.image, locked=aids)] == ["lock the card"]


def test_an_image_without_keys_and_certificates_needs_one_session(card: Any) -> None:
    bare = replace(card.image, keys=(), applications=card.image.applications[-1:])
    assert key_commands(card.profile, bare, {}) == ()
    assert certificate_commands(card.profile, bare) == ()


def test_keys_name_slot_and_algorithm(card: Any) -> None:
    commands = key_commands(card.profile, card.image, {"auth": bytes(200), "sign": b"\x01" * 200})
    assert [each.apdu.ins for each in commands] == [0xE6, 0xE2]
    value = "81010d8281c8"
    stored = commands[1].apdu.data
    assert stored[:9].hex() == "c281ce" + value
    assert stored[209:218].hex() == "c29fce" + value
    with pytest.raises(ValueError, match="slot sign"):
        key_commands(card.profile, card.image, {"auth": bytes(200)})


def test_pin_objects(card: Any) -> None:
    commands = pin_commands(card.profile, {"PIN1": PinState.ACTIVE, "PUK": PinState.BLOCKED}, {"PIN1": b"1234"})
    assert (
        commands[1].apdu.data.hex()
        == "c10117810103820104830c31323334ffffffffffffffff840100" + "c10209810103820108840101"
    )
    assert commands[1].content_bytes == 12


@pytest.mark.parametrize(
    "value", [b"123", b"1234567890123", b"12a4", b"", b"\xff" * 12, b"12\xff\xff34", "١٢٣٤".encode()]
)
def test_a_pin_that_its_rules_do_not_permit_is_refused_and_not_told(card: Any, value: bytes) -> None:
    with pytest.raises(ValueError, match="the value for PIN1 does not fit the rules of its profile"):
        pin_commands(card.profile, {"PIN1": PinState.ACTIVE}, {"PIN1": value})


def test_an_unknown_pin_is_refused(card: Any) -> None:
    with pytest.raises(ValueError, match="does not know"):
        pin_commands(card.profile, {"PIN9": PinState.ACTIVE}, None)
    with pytest.raises(ValueError, match="without a state"):
        pin_commands(card.profile, {"PIN1": PinState.ACTIVE}, {"PIN2": b"123456"})

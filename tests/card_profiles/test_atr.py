"""Answers to reset: the chip's own, those of real cards, and broken ones (ISO/IEC 7816-3 §8.2)."""

import pytest

from card_profiles.codecs.atr import AtrError, parse_atr
from card_profiles.profile import load_profile

# Real cards of the Latvian eID (IDEMIA on Cosmo 8 and Cosmo X), as Web eID lists them
COSMO_8 = "3BDB960080B1FE451F830012428F536549440F900020"
COSMO_X = "3BDC960080B1FE451F830012428F54654944320F900012"


def test_the_simulated_chip() -> None:
    atr = parse_atr(load_profile("eid-citizen@1").chip.atr)
    assert atr.protocols == (0, 1, 15)
    assert atr.interface["TA1"] == 0x96  # 250 kbit/s at 4 MHz
    assert atr.historical == b"\x00SIM-eID 1"


@pytest.mark.parametrize(("atr", "historical"), [
    (COSMO_8, "0012428F536549440F9000"),
    (COSMO_X, "0012428F54654944320F9000"),
])  # fmt: skip
def test_real_cards(atr: str, historical: str) -> None:
    assert parse_atr(bytes.fromhex(atr)).historical.hex().upper() == historical


def test_a_card_of_protocol_0_has_no_check_byte() -> None:
    atr = parse_atr(bytes.fromhex("3B02 1450"))
    assert (atr.protocols, atr.historical) == ((0,), b"\x14\x50")


@pytest.mark.parametrize("atr", [
    "", "3B", "3A00", "3BDB", "3BDB9600", COSMO_8[:-2], COSMO_8[:-2] + "21", COSMO_8 + "00", "3B0214",
])  # fmt: skip
def test_broken_ones(atr: str) -> None:
    with pytest.raises(AtrError):
        parse_atr(bytes.fromhex(atr))

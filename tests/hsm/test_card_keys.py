"""Holders' keys from their making to the chip, judged by `cryptography` as the chip."""

from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute

from hsm.errors import WrappedKeyDamaged
from hsm.pkcs11 import Pkcs11Hsm
from hsm.ports import CardFunction, ChannelKey, Curve
from tests.hsm import chip_maker

pytestmark = pytest.mark.services

KDD = bytes.fromhex("47906D49000100001234")


def session_objects(hsm: Pkcs11Hsm) -> int:
    with hsm._session.calls() as driver:
        return len(list(driver.get_objects({Attribute.TOKEN: False})))


@pytest.mark.parametrize("curve", Curve)
def test_chip_gets_the_key_that_was_told(hsm: Pkcs11Hsm, curve: Curve) -> None:
    (made,) = hsm.make_card_keys(curve, 1)
    assert made.public.curve is curve
    private = chip_maker.open_for_chip(KDD, hsm.rewrap_for_chip(KDD, made.wrapped))
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.curve.name == curve.value
    assert private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) == made.public.point


def test_pairs_are_fresh_and_leave_nothing_behind(hsm: Pkcs11Hsm) -> None:
    pairs = hsm.make_card_keys(Curve.P384, 20)
    assert len({pair.public.point for pair in pairs}) == len({pair.wrapped for pair in pairs}) == 20
    assert hsm.make_card_keys(Curve.P384, 0) == ()
    hsm.rewrap_for_chip(KDD, pairs[0].wrapped)
    hsm.cmac(CardFunction.PIN, ChannelKey.MAC, KDD, [b"message"])
    assert session_objects(hsm) == 0


def test_damaged_blobs_are_told_apart_from_a_dead_token(hsm: Pkcs11Hsm) -> None:
    wrapped = hsm.make_card_keys(Curve.P256, 1)[0].wrapped
    flipped = [
        wrapped[:position] + bytes([wrapped[position] ^ 1]) + wrapped[position + 1 :]
        for position in (0, len(wrapped) // 2, len(wrapped) - 1)
    ]
    for blob in (*flipped, b"", wrapped[:-1], wrapped[:-8], wrapped + bytes(8), bytes(len(wrapped))):
        with pytest.raises(WrappedKeyDamaged) as refusal:
            hsm.rewrap_for_chip(KDD, blob)
        assert refusal.value.__cause__ is None
    assert session_objects(hsm) == 0
    assert hsm.rewrap_for_chip(KDD, wrapped)


def test_each_chip_has_its_own_wrapping(hsm: Pkcs11Hsm) -> None:
    wrapped = hsm.make_card_keys(Curve.P256, 1)[0].wrapped
    blobs = [hsm.rewrap_for_chip(bytes([n]) * 10, wrapped) for n in range(3)]
    assert all(a != b for a, b in pairwise(blobs))
    assert wrapped not in blobs


@pytest.mark.parametrize("key", ChannelKey)
@pytest.mark.parametrize("function", CardFunction)
def test_cmac_agrees_with_the_chip_maker(hsm: Pkcs11Hsm, function: CardFunction, key: ChannelKey) -> None:
    number = {ChannelKey.ENC: chip_maker.ENC, ChannelKey.MAC: chip_maker.MAC}[key]
    static = chip_maker.static_key(chip_maker.MASTERS[function.value], KDD, number)
    messages = [b"", b"a", bytes(16), bytes(33), bytes(2000)]
    expected = tuple(chip_maker.aes_cmac(static, message) for message in messages)
    assert hsm.cmac(function, key, KDD, iter(messages)) == expected


def test_kdd_of_another_length_is_refused(hsm: Pkcs11Hsm) -> None:
    with pytest.raises(ValueError, match="diversification data"):
        hsm.cmac(CardFunction.PERSO, ChannelKey.ENC, bytes(9), [b""])
    with pytest.raises(ValueError, match="diversification data"):
        hsm.rewrap_for_chip(bytes(11), b"")

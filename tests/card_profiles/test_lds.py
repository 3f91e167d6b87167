"""EF.COM, DG1, DG2, DG3: bytes laid out by hand from ICAO 9303-10 and ISO/IEC 19794:2005, and round trips."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_profiles.codecs import lds, tlv
from card_profiles.codecs.errors import CodecError
from card_profiles.codecs.mrz import td1
from card_profiles.model import Fingerprint, MrzSpec, Portrait
from tests.card_profiles.holders import ANNA, LEFT_INDEX, PORTRAIT, RIGHT_INDEX


def test_ef_com() -> None:
    data = lds.build_ef_com([3, 1, 2])
    assert data == bytes.fromhex("6015 5F0104 30313038 5F3606 303430303030 5C03 617563")
    assert lds.parse_ef_com(data) == lds.EfCom("0108", "040000", (1, 2, 3))


@pytest.mark.parametrize("octets", ["6100", "600A 5F0104 30313038 5C01 99", "6000", "6015"])
def test_ef_com_refused(octets: str) -> None:
    with pytest.raises(CodecError):
        lds.parse_ef_com(bytes.fromhex(octets))


def test_dg1() -> None:
    lines = td1(MrzSpec("TD1", "I<", "UTO"), ANNA)
    data = lds.build_dg1(lines)
    assert data == bytes.fromhex("615D 5F1F5A") + "".join(lines).encode()
    assert lds.parse_dg1(data) == lines
    with pytest.raises(lds.LdsError):
        lds.build_dg1((lines[0], lines[1], ""))
    with pytest.raises(lds.LdsError):
        lds.parse_dg1(tlv.encode(0x61, tlv.encode(0x5F1F, b"\xff" * 90)))


def test_dg2_byte_by_byte() -> None:
    portrait = Portrait("image/jpeg", 240, 320, b"\xff\xd8JPEG\xff\xd9")
    record = (
        b"FAC\x00010\x00" + (14 + 32 + 8).to_bytes(4, "big") + b"\x00\x01"  # facial record header
        + (32 + 8).to_bytes(4, "big") + bytes(16)  # facial information block
        + bytes.fromhex("01 00 00F0 0140 01 00 0000 0000")  # full frontal, JPEG, 240 x 320, RGB24
        + portrait.data
    )  # fmt: skip
    header = bytes.fromhex("A112 80020101 810102 820100 87020101 88020008")
    template = tlv.encode(0x7F60, header + tlv.encode(0x5F2E, record))
    assert lds.build_dg2(portrait) == tlv.encode(0x75, tlv.encode(0x7F61, b"\x02\x01\x01" + template))


def test_dg3_byte_by_byte() -> None:
    finger = Fingerprint(7, 300, 400, b"\xff\xa0WSQ\xff\xa1")
    record = (
        b"FIR\x00010\x00" + (32 + 14 + 7).to_bytes(6, "big")
        + bytes.fromhex("0000 001F 01 01 01F4 01F4 01F4 01F4 08 02 0000")  # level 31, 1 finger, 500 ppi, 8 bits, WSQ
        + (14 + 7).to_bytes(4, "big") + bytes.fromhex("07 01 01 FE 00 012C 0190 00")
        + finger.data
    )  # fmt: skip
    header = bytes.fromhex("A112 80020101 810108 82010A 87020101 88020007")
    template = tlv.encode(0x7F60, header + tlv.encode(0x5F2E, record))
    assert lds.build_dg3((finger,), b"") == tlv.encode(0x63, tlv.encode(0x7F61, b"\x02\x01\x01" + template))


def test_sub_types_of_all_fingers() -> None:
    """ISO/IEC 7816-11 table C.3: 09 right index and 0A left index are those every reader knows."""
    right, left = [0x05, 0x09, 0x0D, 0x11, 0x15], [0x06, 0x0A, 0x0E, 0x12, 0x16]
    assert [lds.finger_subtype(position) for position in range(1, 11)] == right + left
    with pytest.raises(lds.BiometricsError):
        lds.finger_subtype(0)


def test_dg3_without_fingers_is_a_filler_nobody_can_guess() -> None:
    filler = bytes(range(53))
    data = lds.build_dg3((), filler)
    assert data == bytes.fromhex("633D 7F6103 020100 5335") + filler  # 9303-10 §4.7.3.2
    assert lds.parse_dg3(data) == lds.FingerTemplate((), filler)
    with pytest.raises(lds.BiometricsError, match="random"):
        lds.build_dg3((), b"")


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/jp2"])
def test_dg2_round_trip(media_type: str) -> None:
    portrait = replace(PORTRAIT, media_type=media_type)
    assert lds.parse_dg2(lds.build_dg2(portrait)) == portrait


def test_dg3_round_trip() -> None:
    data = lds.build_dg3((RIGHT_INDEX, LEFT_INDEX), b"")
    assert lds.parse_dg3(data) == lds.FingerTemplate((RIGHT_INDEX, LEFT_INDEX), b"")


@pytest.mark.parametrize("portrait", [
    replace(PORTRAIT, media_type="image/png"), replace(PORTRAIT, width_px=0), replace(PORTRAIT, height_px=70000),
    replace(PORTRAIT, data=b""),
])  # fmt: skip
def test_pictures_dg2_cannot_hold(portrait: Portrait) -> None:
    with pytest.raises(lds.FaceRecordError):
        lds.build_dg2(portrait)


@pytest.mark.parametrize("fingers", [
    (replace(LEFT_INDEX, position=11),), (replace(LEFT_INDEX, data=b""),), (LEFT_INDEX, LEFT_INDEX),
])  # fmt: skip
def test_fingers_dg3_cannot_hold(fingers: tuple[Fingerprint, ...]) -> None:
    with pytest.raises((lds.BiometricsError, lds.FingerRecordError)):
        lds.build_dg3(fingers, b"")


def test_records_of_wrong_length_are_refused() -> None:
    """Every length inside the records is checked against the bytes that are there."""
    for tag, record_at, lengths, data, parse in (
        (0x75, b"FAC\x00", (8, 14), lds.build_dg2(PORTRAIT), lds.parse_dg2),
        (0x63, b"FIR\x00", (10, 32), lds.build_dg3((LEFT_INDEX,), b""), lds.parse_dg3),
    ):
        assert data[0] == tag
        for offset in lengths:
            place = data.index(record_at) + offset + 3  # the last octet of the length
            with pytest.raises(CodecError, match="length"):
                parse(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        for end in range(len(data)):
            with pytest.raises(CodecError):
                parse(data[:end])


def test_groups_that_contradict_themselves_are_refused() -> None:
    data = lds.build_dg3((LEFT_INDEX,), b"")
    with pytest.raises(lds.BiometricsError, match="sub-type"):
        lds.parse_dg3(data.replace(bytes.fromhex("82010A"), bytes.fromhex("820109")))
    with pytest.raises(lds.BiometricsError, match="number of instances"):
        lds.parse_dg3(data.replace(bytes.fromhex("020101"), bytes.fromhex("020102")))
    with pytest.raises(lds.BiometricsError, match="type, owner or format"):
        lds.parse_dg3(data.replace(bytes.fromhex("88020007"), bytes.fromhex("88020008")))
    with pytest.raises(lds.BiometricsError, match="filler"):
        lds.parse_dg3(bytes.fromhex("630D 7F6103 020100 5302AAAA 5301AA"))


@given(st.binary(max_size=150))
def test_noise_raises_nothing_but_our_errors(data: bytes) -> None:
    for tag, parse in ((0x75, lds.parse_dg2), (0x63, lds.parse_dg3), (0x61, lds.parse_dg1), (0x60, lds.parse_ef_com)):
        with pytest.raises(CodecError):
            parse(data)
        with pytest.raises(CodecError):
            parse(tlv.encode(tag, data))
        with pytest.raises(CodecError):
            parse(tlv.encode(tag, tlv.encode(0x7F61, data)))

"""BER-TLV: examples of ICAO 9303-10, refusals, round trip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_profiles.codecs import tlv

TAGS = st.sampled_from([0x02, 0x04, 0x5C, 0x60, 0x77, 0xA1, 0x5F01, 0x5F1F, 0x5F2E, 0x7F60, 0x7F61, 0xBF8101])


def test_ef_com_of_the_standard() -> None:
    """ICAO 9303-10 §4.6.1, the example of EF.COM: LDS 1.7, Unicode 4.0.0, DG1, DG2, DG4, DG12."""
    data = bytes.fromhex("6016 5F0104 30313037 5F3606 303430303030 5C04 6175766C")
    com = tlv.decode(data, 0x60)
    assert com.child(0x5F01).value == b"0107"
    assert com.child(0x5C).value == bytes.fromhex("6175766C")
    assert [one.tag for one in com.children()] == [0x5F01, 0x5F36, 0x5C]


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65535, 65536])
def test_lengths_are_the_shortest(size: int) -> None:
    data = tlv.encode(0x5F2E, bytes(size))
    assert tlv.decode(data, 0x5F2E).value == bytes(size)
    header = len(data) - size - 2
    assert header == (1 if size < 128 else 2 if size < 256 else 3 if size < 65536 else 4)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("00", "no tag"),
        ("FF00", "no tag"),
        ("5F", "cut off"),
        ("5F8001", "not the shortest"),
        ("5F818181 00", "longer than 3"),
        ("04", "before a length"),
        ("0402AA", "inside the value"),
        ("0480", "indefinite"),
        ("04810100", "not the shortest"),
        ("0482007F", "not the shortest"),
        ("04850000000001AA", "too long"),
    ],
)
def test_refusals(octets: str, why: str) -> None:
    with pytest.raises(tlv.TlvError, match=why):
        tlv.decode_all(bytes.fromhex(octets))


def test_a_child_is_there_once() -> None:
    parent = tlv.decode(bytes.fromhex("3006 020101 020102"), 0x30)
    with pytest.raises(tlv.TlvError, match="2 data objects"):
        parent.child(0x02)
    with pytest.raises(tlv.TlvError, match="0 data objects"):
        parent.child(0x04)
    with pytest.raises(tlv.TlvError, match="primitive"):
        parent.children()[0].children()


@pytest.mark.parametrize("tag", [0, -1, 0x5F, 0x1234, 0x5F8001])
def test_what_is_no_tag(tag: int) -> None:
    with pytest.raises(tlv.TlvError):
        tlv.encode(tag, b"")


@given(st.lists(st.tuples(TAGS, st.binary(max_size=300))))
def test_round_trip(objects: list[tuple[int, bytes]]) -> None:
    data = b"".join(tlv.encode(tag, value) for tag, value in objects)
    assert [(one.tag, one.value) for one in tlv.decode_all(data)] == objects


@given(st.binary(max_size=200))
def test_what_was_read_is_what_stands_there(data: bytes) -> None:
    try:
        found = tlv.decode_all(data)
    except tlv.TlvError:
        return
    assert b"".join(tlv.encode(one.tag, one.value) for one in found) == data

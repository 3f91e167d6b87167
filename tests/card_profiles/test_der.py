"""DER: examples from X.690 and RFC 5280, refusals, and reading back whatever was written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_profiles.codecs import der


@pytest.mark.parametrize(
    ("value", "octets"),
    [(0, "020100"), (127, "02017F"), (128, "02020080"), (256, "02020100"), (-128, "020180"), (-129, "0202FF7F")],
)
def test_integers_of_a_laymans_guide_to_asn1(value: int, octets: str) -> None:
    """B. Kaliski, A Layman's Guide to a Subset of ASN.1, BER, and DER, §5.7 table 3."""
    assert der.integer(value).hex().upper() == octets
    assert der.read_integer(der.parse(bytes.fromhex(octets))) == value


def test_object_identifiers_of_x690() -> None:
    assert der.oid("2.999.3").hex() == "0603883703"  # X.690 §8.19.5
    assert der.oid("1.2.840.113549").hex() == "06062a864886f70d"  # Layman's Guide §5.9
    assert der.read_oid(der.parse(bytes.fromhex("0603883703"))) == "2.999.3"


def test_named_bits_drop_trailing_zeros() -> None:
    # RFC 5280 §4.2.1.3: keyCertSign(5) and cRLSign(6), as in the published roots: 03 02 01 06
    assert der.named_bits([5, 6]).hex() == "03020106"
    assert der.named_bits([]).hex() == "030100"
    assert der.named_bits([8]).hex() == "0303070080"
    assert der.read_named_bits(der.parse(bytes.fromhex("03020106"))) == {5, 6}


def test_set_of_is_sorted() -> None:
    assert der.set_of(b"\x02\x01\x05", b"\x02\x01\x03") == bytes.fromhex("3106 020103 020105")


def test_times_turn_at_2050() -> None:
    last, first = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)
    assert der.time(last) == b"\x17\x0d491231235959Z"
    assert der.time(first) == b"\x18\x0f20500101000000Z"
    assert der.read_time(der.parse(der.time(last))) == last
    assert der.read_time(der.parse(der.time(first))) == first
    assert der.read_time(der.parse(b"\x17\x0d500101000000Z")).year == 1950  # RFC 5280 §4.1.2.5.1


def test_times_are_utc_and_whole_seconds() -> None:
    riga = datetime(2026, 6, 1, 3, tzinfo=timezone(timedelta(hours=3)))
    assert der.utc_time(riga) == b"\x17\x0d260601000000Z"
    with pytest.raises(der.DerError, match="whole seconds"):
        der.utc_time(riga.replace(microsecond=1))
    with pytest.raises(der.DerError, match="time zone"):
        der.generalized_time(riga.replace(tzinfo=None))


def test_offsets_are_those_of_the_outermost_input() -> None:
    data = der.sequence(der.integer(1), der.sequence(der.null(), der.octet_string(b"abc")))
    inner = der.children(der.parse(data))[1]
    text = der.children(inner, der.SEQUENCE)[1]
    assert data[text.offset :] == text.whole
    assert data[text.content_offset :] == b"abc"


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("0201", "ends inside"),
        ("020100FF", "after the end"),
        ("3080020100", "indefinite"),
        ("30810302 0100", "not the shortest"),
        ("30820003020100", "not the shortest"),
        ("1F2101 00", "several octets"),
    ],
)
def test_what_der_refuses_of_ber(octets: str, why: str) -> None:
    with pytest.raises(der.DerError, match=why):
        der.parse(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("octets", "read"),
    [
        ("02020001", der.read_integer),
        ("0202FFFF", der.read_integer),
        ("0200", der.read_integer),
        ("010101", der.read_boolean),
        ("06028001", der.read_oid),
        ("060181", der.read_oid),
        ("03020101", der.read_bit_string),
        ("0300", der.read_bit_string),
        ("1301 40", der.read_text),
        ("0C02C328", der.read_text),
        ("170B3230303130313030303030", der.read_time),
        ("040100", der.read_integer),
    ],
)
def test_values_that_are_not_der(octets: str, read: object) -> None:
    assert callable(read)
    with pytest.raises(der.DerError):
        read(der.parse(bytes.fromhex(octets)))


def test_writer_refuses_what_has_no_der_form() -> None:
    with pytest.raises(der.DerError):
        der.printable("Rīga")
    with pytest.raises(der.DerError):
        der.ia5("Rīga")
    with pytest.raises(der.DerError):
        der.oid("3.1")
    with pytest.raises(der.DerError):
        der.oid("1")
    with pytest.raises(der.DerError):
        der.bit_string(b"\x01", 1)
    with pytest.raises(der.DerError):
        der.encode(0x1F, b"")


@given(st.integers())
def test_every_integer_comes_back(value: int) -> None:
    assert der.read_integer(der.parse(der.integer(value))) == value


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**64)))
def test_every_object_identifier_comes_back(root: int, second: int, rest: list[int]) -> None:
    dotted = ".".join(str(arc) for arc in (root, second, *rest))
    assert der.read_oid(der.parse(der.oid(dotted))) == dotted


@given(st.binary(max_size=300))
def test_what_was_read_is_what_stands_there(data: bytes) -> None:
    """Whatever bytes arrive: a `DerError`, or elements whose encodings are the input."""
    try:
        elements = der.parse_all(data)
    except der.DerError:
        return
    assert b"".join(der.encode(element.tag, element.content) for element in elements) == data

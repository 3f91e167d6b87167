"""Directory files, walked the way Web eID's LatEID v2 code walks them, and read whole as ISO/IEC 7816-15."""

import pytest

from card_profiles.codecs import der
from card_profiles.codecs import iso7816_15 as directory

AUTH = directory.KeyEntry("Authentication", 1, 1, 0x81, for_signature=False, made_on_chip=False)
SIGN = directory.KeyEntry("Signature", 2, 2, 0x9F, for_signature=True, made_on_chip=False)


def find(data: bytes, *path: int) -> bytes:
    """A client's walk: at each level the first data object of this tag (lengths up to 127), its value."""
    for tag in path:
        position = 0
        while data[position] != tag:
            position += 2 + data[position + 1]
        data = data[position + 2 : position + 2 + data[position + 1]]
    return data


def test_the_walk_to_the_certificate() -> None:
    ef_od = directory.build_ef_od(0x7001, 0x7005)
    assert find(ef_od, 0xA0, 0x30, 0x04) == bytes.fromhex("7001")
    assert find(ef_od, 0xA4, 0x30, 0x04) == bytes.fromhex("7005")
    ef_cd = directory.build_ef_cd("Authentication", 1, 0x3401)
    assert find(ef_cd, 0x30, 0xA1, 0x30, 0x30, 0x04) == bytes.fromhex("3401")


@pytest.mark.parametrize(("entry", "reference"), [(AUTH, "0081"), (SIGN, "009F")])
def test_the_walk_to_the_key_reference(entry: directory.KeyEntry, reference: str) -> None:
    ef_prkd = directory.build_ef_prkd(entry)
    assert ef_prkd[0] == 0xA0  # EC; 30 would be RSA
    inside = find(ef_prkd, 0xA0)
    first_length = 2 + inside[1]
    assert inside[0] == 0x30
    assert inside[first_length] == 0x30
    assert find(inside[first_length:], 0x30, 0x02) == bytes.fromhex(reference)


def test_ef_od_byte_by_byte() -> None:
    assert directory.build_ef_od(0x7001, 0x7005) == bytes.fromhex("A006 3004 04027001 A406 3004 04027005")


def test_key_attributes_of_iso_7816_15() -> None:
    common, key, value = der.children(der.parse(directory.build_ef_prkd(SIGN)))
    label, flags, pin, consent = der.children(common)
    assert der.read_text(label) == "Signature"
    assert der.read_named_bits(flags) == {0}  # private
    assert (der.read_octet_string(pin), der.read_integer(consent)) == (b"\x02", 1)
    identifier, usage, access, reference = der.children(key)
    assert der.read_octet_string(identifier) == b"\x02"
    assert der.read_named_bits(usage) == {2, 9}  # sign, nonRepudiation
    assert der.read_named_bits(access) == {0}  # sensitive; an imported key was not always on the card
    assert der.read_integer(reference) == 0x9F
    assert value.tag == 0xA1


def test_readers_read_what_was_built() -> None:
    assert directory.parse_ef_od(directory.build_ef_od(0x7002, 0x7006)) == (0x7002, 0x7006)
    assert directory.parse_ef_prkd(directory.build_ef_prkd(SIGN)) == 0x9F
    assert directory.parse_ef_cd(directory.build_ef_cd("Signature", 2, 0x341F)) == 0x341F
    assert directory.build_document_number("PA1234567") == b"\x04\x09PA1234567"
    assert directory.parse_document_number(b"\x04\x09PA1234567") == "PA1234567"


def test_other_shapes_are_refused() -> None:
    with pytest.raises(directory.DirectoryError):
        directory.parse_ef_od(bytes.fromhex("A006 3004 04027001"))
    with pytest.raises(directory.DirectoryError):
        directory.parse_ef_od(bytes.fromhex("A007 3005 0403300170 A406 3004 04027005"))
    with pytest.raises(directory.DirectoryError):
        directory.parse_ef_prkd(bytes.fromhex("A004 3000 3000"))
    with pytest.raises(der.DerError):
        directory.parse_ef_prkd(bytes.fromhex("3000"))
    with pytest.raises(directory.DirectoryError):
        directory.parse_ef_cd(bytes.fromhex("3004 30003000"))
    with pytest.raises(directory.DirectoryError):
        directory.build_document_number("PA 123456")
    with pytest.raises(directory.DirectoryError):
        directory.parse_document_number(b"\x04\x02\xff\xff")

"""What DER writer and reader share: identifier octets, alphabets, the error (ITU-T X.690, X.680 §8.4)."""

from card_profiles.codecs.errors import CodecError

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
UTF8_STRING = 0x0C
PRINTABLE_STRING = 0x13
IA5_STRING = 0x16
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

CONSTRUCTED = 0x20
CONTEXT = 0x80
PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")


class DerError(CodecError):
    """Not DER, or not the DER type that was asked for."""


def check_unused_bits(octets: bytes, unused_bits: int) -> None:
    """A bit string is whole octets but for unused bits, which are zero (X.690 §11.2.1). Raises `DerError`."""
    if not 0 <= unused_bits <= 7 or (unused_bits and not octets):
        raise DerError("a bit string has 0 to 7 unused bits, and none when empty")
    if unused_bits and octets[-1] & ((1 << unused_bits) - 1):
        raise DerError("unused bits are zero")

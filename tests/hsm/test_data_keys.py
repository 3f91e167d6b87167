"""Data keys and random bytes of a real token."""

import pytest

from hsm.errors import WrappedKeyDamaged
from hsm.pkcs11 import Pkcs11Hsm

pytestmark = pytest.mark.services


def test_data_key_comes_back(hsm: Pkcs11Hsm) -> None:
    key, wrapped = hsm.new_data_key()
    assert len(key) == 32
    assert key not in wrapped
    assert hsm.unwrap_data_key(wrapped) == key
    assert hsm.new_data_key()[0] != key


def test_every_changed_byte_is_noticed(hsm: Pkcs11Hsm) -> None:
    key, wrapped = hsm.new_data_key()
    for position in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[position] ^= 0x80
        with pytest.raises(WrappedKeyDamaged) as refusal:
            hsm.unwrap_data_key(bytes(changed))
        assert refusal.value.__cause__ is None
    for blob in (b"", wrapped[:-1], wrapped + b"\0"):
        with pytest.raises(WrappedKeyDamaged):
            hsm.unwrap_data_key(blob)
    assert hsm.unwrap_data_key(wrapped) == key


def test_random_bytes(hsm: Pkcs11Hsm) -> None:
    assert hsm.random_bytes(0) == b""
    assert [len(hsm.random_bytes(n)) for n in (1, 16, 53)] == [1, 16, 53]
    assert hsm.random_bytes(16) != hsm.random_bytes(16)
    with pytest.raises(ValueError, match="negative"):
        hsm.random_bytes(-1)

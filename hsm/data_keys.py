"""Data keys of records: random bytes, kept encrypted under a key of the HSM that does nothing else."""

from typing import Any

from pkcs11.constants import ObjectClass
from pkcs11.mechanisms import GCMParams, Mechanism

from hsm import labels, policy
from hsm.errors import WrappedKeyDamaged
from hsm.session import BLOB_REFUSED, TokenSession

DATA_KEY_BYTES = 32
_VERSION = b"\x01"
_IV_BYTES = 12  # SP 800-38D §8.2.2: random, at most 2^32 data keys under one record key
_TAG_BYTES = 16
_WRAPPED_BYTES = 1 + _IV_BYTES + DATA_KEY_BYTES + _TAG_BYTES


class TokenDataKeys:
    """`hsm.ports.DataKeys` over a session; wrapped form: version 01 | IV 12 | AES-256-GCM ciphertext 32 | tag 16.

    The version byte is authenticated too.
    """

    def __init__(self, session: TokenSession) -> None:
        self._session = session

    def new_data_key(self) -> tuple[bytes, bytes]:
        """The key (32 bytes) and its wrapped form (61 bytes). Raises `KeyNotFound`, `HsmUnavailable`."""
        with self._session.calls() as driver:
            key: bytes = driver.generate_random(DATA_KEY_BYTES * 8)
            iv: bytes = driver.generate_random(_IV_BYTES * 8)
            sealed = self._record_key().encrypt(key, mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(iv))
        return key, _VERSION + iv + sealed

    def unwrap_data_key(self, wrapped: bytes) -> bytes:
        """Raises `WrappedKeyDamaged`, `KeyNotFound`, `HsmUnavailable`."""
        if len(wrapped) != _WRAPPED_BYTES or wrapped[:1] != _VERSION:
            raise WrappedKeyDamaged("a wrapped data key has not our form")
        iv, sealed = wrapped[1 : 1 + _IV_BYTES], wrapped[1 + _IV_BYTES :]
        with self._session.calls():
            record_key = self._record_key()
            try:
                key: bytes = record_key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(iv))
            except BLOB_REFUSED:
                self._session.probe()
                raise WrappedKeyDamaged("a wrapped data key does not open under the record key") from None
        return key

    def _record_key(self) -> Any:
        return self._session.find(ObjectClass.SECRET_KEY, labels.RECORD_KEY, policy.RECORD_KEY)


def _parameters(iv: bytes) -> GCMParams:
    return GCMParams(iv, _VERSION, _TAG_BYTES * 8)

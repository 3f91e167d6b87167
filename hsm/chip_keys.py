"""Static keys of one chip: derived inside the HSM for one call, used there and destroyed."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pkcs11.constants import MechanismFlag, ObjectClass
from pkcs11.mechanisms import KeyType, Mechanism

from hsm import labels, policy
from hsm.diversification import KEY_BYTES, ZERO_IV, StaticKey, cbc_data_1
from hsm.errors import WrappedKeyDamaged
from hsm.ports import CardFunction, ChannelKey
from hsm.session import BLOB_REFUSED, TokenSession


@contextmanager
def derived(master: Any, kdd: bytes, key: StaticKey) -> Iterator[Any]:
    """The chip's static key as a session object: ENC and MAC compute CMACs, DEK wraps, none is ever readable."""
    role = policy.CHIP_WRAP_KEY if key is StaticKey.DEK else policy.CHIP_CMAC_KEY
    handle = master.derive_key(
        KeyType.AES,
        KEY_BYTES * 8,
        store=False,
        capabilities=role.may,
        mechanism=Mechanism.AES_CBC_ENCRYPT_DATA,
        mechanism_param=(ZERO_IV, cbc_data_1(kdd, key)),
        template=role.template(),
    )
    try:
        yield handle
    finally:
        handle.destroy()


class TokenChipKeys:
    """`hsm.ports.ChipKeys` over a session."""

    def __init__(self, session: TokenSession) -> None:
        self._session = session

    def cmac(self, function: CardFunction, key: ChannelKey, kdd: bytes, messages: Iterable[bytes]) -> Sequence[bytes]:
        """Raises `KeyNotFound`, `HsmUnavailable`; `ValueError` for a KDD that has not 10 bytes."""
        texts = tuple(messages)  # a caller's generator must not run, or fail, inside the driver
        with self._session.calls(), derived(self._master(function), kdd, StaticKey[key.value]) as chip_key:
            return tuple(chip_key.sign(text, mechanism=Mechanism.AES_CMAC) for text in texts)

    def rewrap_for_chip(self, kdd: bytes, wrapped: bytes) -> bytes:
        """PKCS#8 without public key, wrapped; SoftHSM 2.6.1 puts zeros up to a multiple of 8 bytes behind it.

        RFC 5649 would need none of them: they are inside the wrapped message, and its length counts them (P-384 has
        80 bytes and gets none, P-256 has 67 and gets 5). Raises `WrappedKeyDamaged`, `KeyNotFound`, `HsmUnavailable`;
        `ValueError` for a KDD that has not 10 bytes.
        """
        with self._session.calls(), derived(self._master(CardFunction.KEY), kdd, StaticKey.DEK) as dek:
            private = self._unwrap(wrapped)
            try:
                rewrapped: bytes = dek.wrap_key(private, mechanism=Mechanism.AES_KEY_WRAP_PAD)
            finally:
                private.destroy()
            return rewrapped

    def _master(self, function: CardFunction) -> Any:
        return self._session.find(ObjectClass.SECRET_KEY, labels.master_label(function), policy.MASTER)

    def _unwrap(self, wrapped: bytes) -> Any:
        storage = self._session.find(ObjectClass.SECRET_KEY, labels.STORAGE_KEY, policy.STORAGE_KEY)
        try:
            return storage.unwrap_key(
                ObjectClass.PRIVATE_KEY,
                KeyType.EC,
                wrapped,
                store=False,
                capabilities=MechanismFlag(0),
                mechanism=Mechanism.AES_KEY_WRAP_PAD,
                template=policy.CARD_KEY.template() | policy.UNWRAPPED_PRIVATE_KEY,
            )
        except BLOB_REFUSED:
            self._session.probe()
            raise WrappedKeyDamaged("a stored private key does not unwrap under the storage key") from None

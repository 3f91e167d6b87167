"""The PKCS#11 side of the ports: every port over one session with one token."""

from collections.abc import Iterable, Sequence

from hsm.card_keys import TokenCardKeyMaker
from hsm.chip_keys import TokenChipKeys
from hsm.data_keys import TokenDataKeys
from hsm.pkcs11_ceremony import open_ceremony
from hsm.ports import CardFunction, ChannelKey, Curve, Hsm, KeyLabel, PublicKey, WrappedCardKey
from hsm.randomness import TokenRandomness
from hsm.session import TokenSession
from hsm.settings import TokenSettings
from hsm.signing import TokenSigner

__all__ = ["Pkcs11Hsm", "open_ceremony", "open_hsm"]


def open_hsm(settings: TokenSettings) -> Hsm:
    """A read-only session: it can use keys of the token, never make or change one.

    Raises `HsmUnavailable`, `PinRefused`, or `SessionMisused` if this process has a session already.
    """
    return Pkcs11Hsm(TokenSession.open(settings, writable=False))


class Pkcs11Hsm:
    """`hsm.ports.Hsm`. After `HsmUnavailable` the session is dropped: close it and open a new one."""

    def __init__(self, session: TokenSession) -> None:
        self._session = session
        self._signer = TokenSigner(session)
        self._card_keys = TokenCardKeyMaker(session)
        self._chip_keys = TokenChipKeys(session)
        self._data_keys = TokenDataKeys(session)
        self._randomness = TokenRandomness(session)

    def public_key(self, label: KeyLabel) -> PublicKey:
        """`Signer.public_key`."""
        return self._signer.public_key(label)

    def sign(self, label: KeyLabel, digest: bytes) -> bytes:
        """`Signer.sign`."""
        return self._signer.sign(label, digest)

    def make_card_keys(self, curve: Curve, count: int) -> Sequence[WrappedCardKey]:
        """`CardKeyMaker.make_card_keys`."""
        return self._card_keys.make_card_keys(curve, count)

    def cmac(self, function: CardFunction, key: ChannelKey, kdd: bytes, messages: Iterable[bytes]) -> Sequence[bytes]:
        """`ChipKeys.cmac`."""
        return self._chip_keys.cmac(function, key, kdd, messages)

    def rewrap_for_chip(self, kdd: bytes, wrapped: bytes) -> bytes:
        """`ChipKeys.rewrap_for_chip`."""
        return self._chip_keys.rewrap_for_chip(kdd, wrapped)

    def new_data_key(self) -> tuple[bytes, bytes]:
        """`DataKeys.new_data_key`."""
        return self._data_keys.new_data_key()

    def unwrap_data_key(self, wrapped: bytes) -> bytes:
        """`DataKeys.unwrap_data_key`."""
        return self._data_keys.unwrap_data_key(wrapped)

    def random_bytes(self, count: int) -> bytes:
        """`Randomness.random_bytes`."""
        return self._randomness.random_bytes(count)

    def close(self) -> None:
        """`Hsm.close`; harmless when done twice."""
        self._session.close()

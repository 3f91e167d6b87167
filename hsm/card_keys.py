"""Holders' key pairs: made as session objects, gone at once, the private half kept only wrapped."""

from collections.abc import Sequence
from typing import Any

from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import KeyType, Mechanism

from hsm import labels, policy
from hsm.curves import CURVES, uncompressed_point
from hsm.ports import Curve, PublicKey, WrappedCardKey
from hsm.session import TokenSession

_PUBLIC = {Attribute.VERIFY_RECOVER: False}


class TokenCardKeyMaker:
    """`hsm.ports.CardKeyMaker` over a session."""

    def __init__(self, session: TokenSession) -> None:
        self._session = session
        self._private = policy.CARD_KEY.template()

    def make_card_keys(self, curve: Curve, count: int) -> Sequence[WrappedCardKey]:
        """Raises `KeyNotFound` (no storage key), `HsmUnavailable`; nothing is left in the HSM either way."""
        with self._session.calls() as driver:
            storage = self._session.find(ObjectClass.SECRET_KEY, labels.STORAGE_KEY, policy.STORAGE_KEY)
            parameters = {Attribute.EC_PARAMS: CURVES[curve].parameters}
            domain = driver.create_domain_parameters(KeyType.EC, parameters, local=True)
            return tuple(self._make(domain, storage, curve) for _ in range(count))

    def _make(self, domain: Any, storage: Any, curve: Curve) -> WrappedCardKey:
        public, private = domain.generate_keypair(
            store=False, capabilities=MechanismFlag(0), public_template=_PUBLIC, private_template=self._private
        )
        try:
            point = uncompressed_point(curve, public[Attribute.EC_POINT])
            wrapped = storage.wrap_key(private, mechanism=Mechanism.AES_KEY_WRAP_PAD)
        finally:
            private.destroy()
            public.destroy()
        return WrappedCardKey(PublicKey(curve, point), wrapped)

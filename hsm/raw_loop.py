"""The PKCS#11 calls of one card and nothing else: how fast this token can be at best, for the benchmarks.

What `perso bench prepare` compares the engine with; the benchmark prints this very loop.
"""

from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import GCMParams, KeyType, Mechanism

from hsm import labels, policy
from hsm.curves import CURVES
from hsm.pkcs11 import Pkcs11Hsm
from hsm.ports import Curve, Hsm, KeyLabel
from hsm.session import TokenSession


def raw_cards(hsm: Hsm, cards: int, *, issuing: KeyLabel, document_signer: KeyLabel, wrapped_data_key: bytes) -> None:
    """The calls that `cards` cards with two P-384 pairs cost the token, over the session of `hsm`.

    `issuing`: a P-384 key; `document_signer`: one on a curve of 256 bits. Raises the errors of `hsm.ports`.
    """
    session = _session_of(hsm)
    version, iv, sealed = wrapped_data_key[:1], wrapped_data_key[1:13], wrapped_data_key[13:]
    certificate_digest, security_object_digest = bytes(range(48)), bytes(range(32))
    with session.calls() as driver:
        storage = session.find(ObjectClass.SECRET_KEY, labels.STORAGE_KEY, policy.STORAGE_KEY)
        record = session.find(ObjectClass.SECRET_KEY, labels.RECORD_KEY, policy.RECORD_KEY)
        authority = session.find(ObjectClass.PRIVATE_KEY, issuing, policy.SIGNING_KEY)
        signer = session.find(ObjectClass.PRIVATE_KEY, document_signer, policy.SIGNING_KEY)
        template = policy.CARD_KEY.template()
        domain = driver.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: CURVES[Curve.P384].parameters}, local=True
        )
        for _ in range(cards):
            record.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(iv, version, 128))
            for _ in ("auth", "sign"):
                public, private = domain.generate_keypair(
                    store=False,
                    capabilities=MechanismFlag(0),
                    public_template={Attribute.VERIFY_RECOVER: False},
                    private_template=template,
                )
                public[Attribute.EC_POINT]
                storage.wrap_key(private, mechanism=Mechanism.AES_KEY_WRAP_PAD)
                private.destroy()
                public.destroy()
            for _ in ("auth", "sign"):
                driver.generate_random(20 * 8)
                authority.sign(certificate_digest, mechanism=Mechanism.ECDSA)
            driver.generate_random(53 * 8)
            signer.sign(security_object_digest, mechanism=Mechanism.ECDSA)
            driver.generate_random(12 * 8)


def raw_signatures(hsm: Hsm, label: KeyLabel, count: int) -> None:
    """`count` signatures with a P-384 key. Raises the errors of `hsm.ports`."""
    session = _session_of(hsm)
    digest = bytes(range(48))
    with session.calls():
        key = session.find(ObjectClass.PRIVATE_KEY, label, policy.SIGNING_KEY)
        for _ in range(count):
            key.sign(digest, mechanism=Mechanism.ECDSA)


def _session_of(hsm: Hsm) -> TokenSession:
    if not isinstance(hsm, Pkcs11Hsm):
        raise TypeError("the loops are of PKCS#11 calls")
    return hsm._session

"""The key ceremony on a PKCS#11 token."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import KeySizeRange, MechanismInvalid
from pkcs11.mechanisms import MGF, KeyType, Mechanism

from hsm import labels, policy
from hsm.ceremony import KeyCeremony, KeyLetter, TokenIdentity
from hsm.chip_keys import derived
from hsm.curves import CURVES
from hsm.diversification import CHECK_KDD, CHECK_MESSAGE, CHECK_VALUE_BYTES, KEY_BYTES, StaticKey
from hsm.errors import KeyAlreadyExists, KeyLetterRefused
from hsm.policy import KeyRole
from hsm.ports import CardFunction, Curve, KeyLabel, PublicKey, Signer
from hsm.randomness import TokenRandomness
from hsm.session import BLOB_REFUSED, TokenSession
from hsm.settings import TokenSettings
from hsm.signing import TokenSigner

_AES_BITS = 256
_RSA_BITS = 3072
_OAEP_SHA1 = (Mechanism.SHA_1, MGF.SHA1, None)  # no label
_PUBLIC = {Attribute.VERIFY_RECOVER: False, Attribute.MODIFIABLE: False}


def open_ceremony(settings: TokenSettings) -> KeyCeremony:
    """A session that may write keys. Raises `HsmUnavailable`, `PinRefused`, `SessionMisused`."""
    return Pkcs11Ceremony(TokenSession.open(settings, writable=True))


class Pkcs11Ceremony:
    """`hsm.ceremony.KeyCeremony` over one session."""

    def __init__(self, session: TokenSession) -> None:
        self._session = session
        self._signer = TokenSigner(session)
        self._randomness = TokenRandomness(session)

    def token(self) -> TokenIdentity:
        """`KeyCeremony.token`."""
        with self._session.calls() as driver:
            token = driver.token
            major, minor = token.firmware_version
            serial = token.serial.decode("ascii", "replace").strip("\0 ")
            return TokenIdentity(token.manufacturer_id, token.model, serial, f"{major}.{minor}")

    def labels(self) -> frozenset[str]:
        """`KeyCeremony.labels`: a public half alone is what a power cut left, and does not count."""
        with self._session.calls():
            return self._labels()

    def make_signing_key(self, label: KeyLabel, curve: Curve) -> PublicKey:
        """`KeyCeremony.make_signing_key`."""
        if not label or label in labels.FIXED_LABELS:
            raise ValueError(f"a signing key cannot be labelled {label!r}")
        with self._session.calls() as driver, self._session.alone():
            self._demand_free(label)
            parameters = {Attribute.EC_PARAMS: CURVES[curve].parameters}
            driver.create_domain_parameters(KeyType.EC, parameters, local=True).generate_keypair(
                label=label,
                store=True,
                capabilities=policy.SIGNING_KEY.may | MechanismFlag.VERIFY,
                public_template=_PUBLIC,
                private_template=policy.SIGNING_KEY.lasting_template(),
            )
        return self._signer.public_key(label)

    def make_storage_key(self) -> None:
        """`KeyCeremony.make_storage_key`."""
        self._make_secret_key(labels.STORAGE_KEY, policy.STORAGE_KEY)

    def make_record_key(self) -> None:
        """`KeyCeremony.make_record_key`."""
        self._make_secret_key(labels.RECORD_KEY, policy.RECORD_KEY)

    def make_exchange_key(self) -> bytes:
        """`KeyCeremony.make_exchange_key`."""
        with self._session.calls() as driver, self._session.alone():
            self._demand_free(labels.EXCHANGE_KEY)
            driver.generate_keypair(
                KeyType.RSA,
                _RSA_BITS,
                label=labels.EXCHANGE_KEY,
                store=True,
                capabilities=policy.EXCHANGE_KEY.may,  # the public half does nothing on the token
                public_template=_PUBLIC,
                private_template=policy.EXCHANGE_KEY.lasting_template(),
            )
        return self.exchange_public_key()

    def exchange_public_key(self) -> bytes:
        """`KeyCeremony.exchange_public_key`."""
        with self._session.calls():
            self._session.find(ObjectClass.PRIVATE_KEY, labels.EXCHANGE_KEY, policy.EXCHANGE_KEY)
            half = self._session.find(ObjectClass.PUBLIC_KEY, labels.EXCHANGE_KEY)
            modulus, exponent = (int.from_bytes(half[a]) for a in (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT))
        public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def import_masters(self, letter: KeyLetter) -> None:
        """`KeyCeremony.import_masters`: no key is kept before all have shown their check value.

        A key's length shows only on tokens that tell it (SoftHSM 2.6.1 says 0): there a short master passes if its
        check value was computed with it.
        """
        with self._session.calls(), self._session.alone():
            exchange = self._session.find(ObjectClass.PRIVATE_KEY, labels.EXCHANGE_KEY, policy.EXCHANGE_KEY)
            missing = self._missing_masters(letter)
            trials: dict[CardFunction, Any] = {}
            try:
                for function in missing:
                    trials[function] = self._unwrap(exchange, function, letter.masters[function].wrapped)
                    _demand_check_value(trials[function], function, letter.masters[function].check_value)
                for function, trial in trials.items():
                    _keep(trial, labels.master_label(function))
            finally:
                for trial in trials.values():
                    trial.destroy()

    def signer(self) -> Signer:
        """`KeyCeremony.signer`."""
        return self._signer

    def random_bytes(self, count: int) -> bytes:
        """`KeyCeremony.random_bytes`."""
        return self._randomness.random_bytes(count)

    def close(self) -> None:
        """`KeyCeremony.close`; harmless when done twice."""
        self._session.close()

    def _labels(self) -> frozenset[str]:
        kinds = (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)
        found = [key for kind in kinds for key in self._session.search({Attribute.CLASS: kind})]
        return frozenset(key[Attribute.LABEL] for key in found)

    def _demand_free(self, label: KeyLabel) -> None:
        if label in self._labels():
            raise KeyAlreadyExists(f"the token has a key labelled {label}")
        for orphan in self._session.search({Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.LABEL: label}):
            orphan.destroy()  # written before its private half, which a power cut prevented: nothing can need it

    def _make_secret_key(self, label: KeyLabel, role: KeyRole) -> None:
        with self._session.calls() as driver, self._session.alone():
            self._demand_free(label)
            driver.generate_key(
                KeyType.AES, _AES_BITS, label=label, store=True, capabilities=role.may, template=role.lasting_template()
            )

    def _missing_masters(self, letter: KeyLetter) -> list[CardFunction]:
        missing = []
        taken = self._labels()
        for function in CardFunction:
            label = labels.master_label(function)
            if label not in taken:
                missing.append(function)
            elif _check_value(self._session.find(ObjectClass.SECRET_KEY, label, policy.MASTER)) != (
                letter.masters[function].check_value
            ):
                raise KeyAlreadyExists(f"the token has another {label}")
        if not missing:
            raise KeyAlreadyExists("the token has all masters of the letter")
        return missing

    def _unwrap(self, exchange: Any, function: CardFunction, wrapped: bytes) -> Any:
        """A master out of its letter, as a session object."""
        try:
            return exchange.unwrap_key(
                ObjectClass.SECRET_KEY,
                KeyType.AES,
                wrapped,
                store=False,
                capabilities=policy.MASTER.may,
                mechanism=Mechanism.RSA_PKCS_OAEP,
                mechanism_param=_OAEP_SHA1,
                template=policy.MASTER.template(),
            )
        except BLOB_REFUSED:
            self._session.probe()
            raise KeyLetterRefused(f"the master of function {function} does not open") from None


def _demand_check_value(master: Any, function: CardFunction, expected: bytes) -> None:
    if master[Attribute.VALUE_LEN] not in (0, KEY_BYTES):
        raise KeyLetterRefused(f"the master of function {function} is no AES-256 key")
    try:
        found = _check_value(master)
    except (MechanismInvalid, KeySizeRange):  # answers of SoftHSM and of others when a key has no length of AES
        raise KeyLetterRefused(f"the master of function {function} is no AES-256 key") from None
    if found != expected:
        raise KeyLetterRefused(f"the master of function {function} has another check value")


def _keep(master: Any, label: KeyLabel) -> None:
    """The very key that was checked, as a token object that cannot be changed."""
    master.copy({Attribute.TOKEN: True, Attribute.LABEL: label, Attribute.MODIFIABLE: False})


def _check_value(master: Any) -> bytes:
    with derived(master, CHECK_KDD, StaticKey.ENC) as enc:
        cmac: bytes = enc.sign(CHECK_MESSAGE, mechanism=Mechanism.AES_CMAC)
    return cmac[:CHECK_VALUE_BYTES]

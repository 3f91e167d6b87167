"""Least privilege, tried from below: every attack here asks the token itself, past our own code."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, PKCS11Error
from pkcs11 import _pkcs11 as driver_module  # its stub names few of its classes
from pkcs11.exceptions import AttributeSensitive, KeyUnextractable, MechanismInvalid
from pkcs11.mechanisms import GCMParams

from hsm import policy
from hsm.chip_keys import derived
from hsm.diversification import StaticKey
from hsm.errors import KeyNotFound
from hsm.labels import FIXED_LABELS, STORAGE_KEY
from hsm.pkcs11 import Pkcs11Hsm
from hsm.pkcs11_ceremony import Pkcs11Ceremony
from hsm.ports import CardFunction, Curve

pytestmark = pytest.mark.services

KDD = bytes(10)
IV = bytes(16)
WrapMixin: type = vars(driver_module)["WrapMixin"]
DecryptMixin: type = vars(driver_module)["DecryptMixin"]
WRAPPINGS: dict[Mechanism, Any] = {
    Mechanism.AES_KEY_WRAP: None,
    Mechanism.AES_KEY_WRAP_PAD: None,
    Mechanism.AES_CBC: IV,
    Mechanism.AES_CBC_PAD: IV,
    Mechanism.RSA_PKCS: None,
    Mechanism.RSA_PKCS_OAEP: None,
}
DECRYPTIONS: dict[Mechanism, Any] = {
    Mechanism.AES_ECB: None,
    Mechanism.AES_CBC: IV,
    Mechanism.AES_CBC_PAD: IV,
    Mechanism.AES_GCM: GCMParams(bytes(12), b"", 128),
    Mechanism.RSA_PKCS: None,
    Mechanism.RSA_PKCS_OAEP: None,
}


@pytest.fixture
def driver(hsm: Pkcs11Hsm) -> Any:
    return hsm._session._driver


@pytest.fixture
def long_lived(driver: Any) -> list[Any]:
    """Every private and secret key of the token."""
    kinds = (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)
    keys = [key for kind in kinds for key in driver.get_objects({Attribute.CLASS: kind, Attribute.TOKEN: True})]
    assert len(keys) == len(FIXED_LABELS) + len(Curve)
    return keys


@pytest.fixture
def chip_keys(driver: Any) -> Iterator[list[Any]]:
    """All static keys of one chip, derived as our code derives them."""
    with ExitStack() as stack:
        keys = []
        for function in CardFunction:
            label = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: f"master-{function}"}
            (master,) = driver.get_objects(label)
            keys += [stack.enter_context(derived(master, KDD, key)) for key in StaticKey]
        yield keys


@pytest.fixture
def card_key(driver: Any) -> Iterator[Any]:
    """A holder's private key as our code makes it, before it is destroyed."""
    domain = driver.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}, local=True
    )
    public, private = domain.generate_keypair(
        capabilities=MechanismFlag(0), private_template=policy.CARD_KEY.template()
    )
    yield private
    private.destroy()
    public.destroy()


def capabilities_of(key: Any) -> set[Attribute]:
    found = set()
    for flag in (*policy._FLAGS, Attribute.SIGN_RECOVER):
        try:
            if key[flag]:
                found.add(flag)
        except PKCS11Error:
            continue  # the class has no such attribute
    return found


def test_what_each_long_lived_key_may_do(long_lived: list[Any]) -> None:
    allowed = {
        "storage-key": {Attribute.WRAP, Attribute.UNWRAP},
        "record-key": {Attribute.ENCRYPT, Attribute.DECRYPT},
        "exchange-key": {Attribute.UNWRAP},
    }
    allowed |= {f"master-{function}": {Attribute.DERIVE} for function in CardFunction}
    allowed |= {f"signing-{curve}": {Attribute.SIGN} for curve in Curve}
    assert {key[Attribute.LABEL]: capabilities_of(key) for key in long_lived} == allowed
    for key in long_lived:
        assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE], key[Attribute.PRIVATE]) == (True, False, True)
        assert len(key[Attribute.ALLOWED_MECHANISMS]) == 1


def test_capabilities_cannot_be_added(ceremony: Pkcs11Ceremony) -> None:
    ceremony.make_storage_key()
    with ceremony._session.calls():
        (key,) = ceremony._session.search({Attribute.LABEL: STORAGE_KEY})
        for change in (Attribute.DECRYPT, Attribute.SIGN, Attribute.DERIVE):
            with pytest.raises(PKCS11Error):
                key[change] = True


def test_no_key_can_be_read(long_lived: list[Any], chip_keys: list[Any], card_key: Any) -> None:
    for key in (*long_lived, *chip_keys, card_key):
        secret = Attribute.PRIVATE_EXPONENT if key.key_type is KeyType.RSA else Attribute.VALUE
        with pytest.raises(AttributeSensitive):
            key[secret]


def test_derived_keys_do_one_thing(chip_keys: list[Any]) -> None:
    encs_and_macs = [key for key in chip_keys if capabilities_of(key) == {Attribute.SIGN}]
    deks = [key for key in chip_keys if capabilities_of(key) == {Attribute.WRAP}]
    assert (len(encs_and_macs), len(deks)) == (8, 4)
    assert not any(key[Attribute.EXTRACTABLE] or key[Attribute.TOKEN] for key in chip_keys)


def forced(mixin: type, key: Any) -> Any:
    """The key with a driver method that its attributes do not offer: the call reaches the token all the same."""
    return type("Forced", (type(key), mixin), {})(key.wrapper)


def test_wrap_then_decrypt_with_any_pair(long_lived: list[Any], chip_keys: list[Any], card_key: Any) -> None:
    keys = (*long_lived, *chip_keys)
    blobs = []
    for wrapping in keys:
        for mechanism, parameter in WRAPPINGS.items():
            try:
                blobs.append(forced(WrapMixin, wrapping).wrap_key(card_key, mechanism, parameter))
            except PKCS11Error:
                continue
    assert len(blobs) == 1 + 4  # the storage key and one DEK a function, by AES_KEY_WRAP_PAD alone
    for blob in blobs:
        assert len(blob) % 16 == 0  # so that no block mode can refuse it for its length
        for decrypting in keys:
            for mechanism, parameter in DECRYPTIONS.items():
                with pytest.raises(PKCS11Error):
                    forced(DecryptMixin, decrypting).decrypt(blob, mechanism=mechanism, mechanism_param=parameter)


def test_the_attack_works_on_a_key_of_the_drivers_defaults(driver: Any, card_key: Any) -> None:
    """Shows that the test above would notice: an ECB decryption under the wrapping key undoes RFC 5649."""
    careless = driver.generate_key(KeyType.AES, 256)
    blob = forced(WrapMixin, careless).wrap_key(card_key, mechanism=Mechanism.AES_KEY_WRAP_PAD)
    assert forced(DecryptMixin, careless).decrypt(blob, mechanism=Mechanism.AES_ECB)
    careless.destroy()


def test_no_long_lived_key_leaves_wrapped(driver: Any, long_lived: list[Any], chip_keys: list[Any]) -> None:
    (storage,) = driver.get_objects({Attribute.LABEL: STORAGE_KEY})
    dek = next(key for key in chip_keys if key[Attribute.WRAP])
    for key in (*long_lived, *chip_keys):
        for wrapping in (storage, dek):
            with pytest.raises(KeyUnextractable):
                wrapping.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP_PAD)


@pytest.mark.parametrize(
    "change",
    [{Attribute.SENSITIVE: False}, {Attribute.SIGN: True}, {Attribute.DERIVE: True}, {Attribute.DECRYPT: True}],
)
def test_stored_card_key_cannot_be_unwrapped_to_be_read_or_used(
    driver: Any, hsm: Pkcs11Hsm, change: dict[Attribute, bool]
) -> None:
    wrapped = hsm.make_card_keys(Curve.P256, 1)[0].wrapped
    (storage,) = driver.get_objects({Attribute.LABEL: STORAGE_KEY})
    template = policy.CARD_KEY.template() | policy.UNWRAPPED_PRIVATE_KEY

    def unwrap(template: dict[Attribute, Any]) -> Any:
        return storage.unwrap_key(
            ObjectClass.PRIVATE_KEY,
            KeyType.EC,
            wrapped,
            mechanism=Mechanism.AES_KEY_WRAP_PAD,
            capabilities=MechanismFlag(0),
            template=template,
        )

    with pytest.raises(PKCS11Error):
        unwrap(template | change)
    key = unwrap(template)
    with pytest.raises(AttributeSensitive):
        key[Attribute.VALUE]
    key.destroy()


def test_masters_derive_by_one_mechanism(driver: Any) -> None:
    (master,) = driver.get_objects({Attribute.LABEL: "master-KEY"})
    with pytest.raises(MechanismInvalid):
        master.derive_key(
            KeyType.AES,
            256,
            capabilities=MechanismFlag.SIGN,
            mechanism=Mechanism.AES_ECB_ENCRYPT_DATA,
            mechanism_param=bytes(32),
        )


def test_key_with_more_permissions_than_ours_is_not_used(ceremony: Pkcs11Ceremony) -> None:
    with ceremony._session.calls() as driver:
        driver.generate_key(KeyType.AES, 256, label=STORAGE_KEY, store=True, template={Attribute.EXTRACTABLE: False})
    hsm = Pkcs11Hsm(ceremony._session)
    with pytest.raises(KeyNotFound, match="other things"):
        hsm.make_card_keys(Curve.P256, 1)

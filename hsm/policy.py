"""One purpose a key: what each kind of key may do, as PKCS#11 attributes.

The driver's defaults are never used: they give a key every capability at once, so that wrap-then-decrypt would yield
a private key in clear. Each role names its capabilities, the one mechanism it works by (CKA_ALLOWED_MECHANISMS) and,
where it unwraps, what the unwrapped key must be (CKA_UNWRAP_TEMPLATE); the token enforces all three.

What this does not stop: whoever holds the PIN and can run code against the token may derive from a master with a
template of their own, or wrap an extractable session key under a key they brought. PKCS#11 2.40 has no derive template
and CKA_WRAP_WITH_TRUSTED needs a security officer at every derivation; the PIN is therefore as secret as the keys.
"""

import ctypes
from dataclasses import dataclass
from struct import pack, unpack
from typing import Any

from pkcs11.attributes import ALL_CAPABILITIES, AttributeMapper
from pkcs11.constants import DEFAULT, Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import Mechanism

from hsm.errors import KeyNotFound

_NO_CAPABILITY = MechanismFlag(0)

_FLAGS = {
    Attribute.ENCRYPT: MechanismFlag.ENCRYPT,
    Attribute.DECRYPT: MechanismFlag.DECRYPT,
    Attribute.WRAP: MechanismFlag.WRAP,
    Attribute.UNWRAP: MechanismFlag.UNWRAP,
    Attribute.SIGN: MechanismFlag.SIGN,
    Attribute.VERIFY: MechanismFlag.VERIFY,
    Attribute.DERIVE: MechanismFlag.DERIVE,
}
_FLAGS_OF_CLASS = {
    ObjectClass.SECRET_KEY: ALL_CAPABILITIES,
    ObjectClass.PRIVATE_KEY: (Attribute.DECRYPT, Attribute.UNWRAP, Attribute.SIGN, Attribute.DERIVE),
    ObjectClass.PUBLIC_KEY: (Attribute.ENCRYPT, Attribute.WRAP, Attribute.VERIFY),
}

UNWRAPPED_PRIVATE_KEY = {
    # A private key has none of these; SoftHSM refuses the whole template when they are named, even as false.
    Attribute.ENCRYPT: DEFAULT,
    Attribute.WRAP: DEFAULT,
    Attribute.VERIFY: DEFAULT,
}


@dataclass(frozen=True, slots=True)
class KeyRole:
    """What a secret or private key is for."""

    name: str
    object_class: ObjectClass
    may: MechanismFlag
    mechanism: Mechanism | None
    """The only mechanism it works by; None when it does nothing itself."""
    extractable: bool = False
    """True only for a holder's private key, which leaves wrapped; it is sensitive all the same."""
    unwraps: "KeyRole | None" = None
    """The role that whatever this key unwraps must have."""

    def template(self) -> dict[Attribute, Any]:
        """Attributes to give, beside the capabilities, when such a key is made, derived or unwrapped for a moment."""
        template: dict[Attribute, Any] = {
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: self.extractable,
        }
        if self.mechanism is not None:
            template[Attribute.ALLOWED_MECHANISMS] = (self.mechanism,)
        if self.unwraps is not None:
            template[Attribute.UNWRAP_TEMPLATE] = self.unwraps.demands()
        if self.object_class is ObjectClass.PRIVATE_KEY:
            template[Attribute.SIGN_RECOVER] = False
        return template

    def lasting_template(self) -> dict[Attribute, Any]:
        """The same for a token object: what it may do can never be changed.

        SoftHSM 2.6.1 refuses CKA_MODIFIABLE false together with this policy when it derives or unwraps, so a key that
        is unwrapped to stay becomes a token object by C_CopyObject.
        """
        return self.template() | {Attribute.MODIFIABLE: False}

    def demands(self) -> dict[Attribute, Any]:
        """What CKA_UNWRAP_TEMPLATE of the unwrapping key says: class, secrecy and every capability."""
        return {
            Attribute.CLASS: self.object_class,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: self.extractable,
        } | self._capabilities()

    def check(self, key: Any) -> None:
        """Raises `KeyNotFound` if a key of the token is not what this role says: it was not made by our ceremony."""
        expected = self._capabilities() | {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: self.extractable}
        if any(key[attribute] != value for attribute, value in expected.items()):
            raise KeyNotFound(f"the key on the token may do other things than a {self.name}")

    def _capabilities(self) -> dict[Attribute, bool]:
        return {flag: bool(_FLAGS[flag] & self.may) for flag in _FLAGS_OF_CLASS[self.object_class]}


SIGNING_KEY = KeyRole("signing key", ObjectClass.PRIVATE_KEY, MechanismFlag.SIGN, Mechanism.ECDSA)
CARD_KEY = KeyRole("holder's private key", ObjectClass.PRIVATE_KEY, _NO_CAPABILITY, None, extractable=True)
"""The centre never signs with it: it may only be wrapped."""
STORAGE_KEY = KeyRole(
    "storage key",
    ObjectClass.SECRET_KEY,
    MechanismFlag.WRAP | MechanismFlag.UNWRAP,
    Mechanism.AES_KEY_WRAP_PAD,
    unwraps=CARD_KEY,
)
RECORD_KEY = KeyRole(
    "record key", ObjectClass.SECRET_KEY, MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT, Mechanism.AES_GCM
)
MASTER = KeyRole("chip master", ObjectClass.SECRET_KEY, MechanismFlag.DERIVE, Mechanism.AES_CBC_ENCRYPT_DATA)
EXCHANGE_KEY = KeyRole(
    "exchange key", ObjectClass.PRIVATE_KEY, MechanismFlag.UNWRAP, Mechanism.RSA_PKCS_OAEP, unwraps=MASTER
)
CHIP_CMAC_KEY = KeyRole("chip's MAC key", ObjectClass.SECRET_KEY, MechanismFlag.SIGN, Mechanism.AES_CMAC)
CHIP_WRAP_KEY = KeyRole("chip's DEK", ObjectClass.SECRET_KEY, MechanismFlag.WRAP, Mechanism.AES_KEY_WRAP_PAD)


class _Attribute(ctypes.Structure):
    """CK_ATTRIBUTE (PKCS#11 2.40 §3.5)."""

    _fields_ = (("type", ctypes.c_ulong), ("value", ctypes.c_void_p), ("value_bytes", ctypes.c_ulong))


class PolicyMapper(AttributeMapper):
    """Packs the two attributes of the policy that the driver knows by name only."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[Any] = []
        self.register_handler(
            Attribute.ALLOWED_MECHANISMS,
            lambda mechanisms: pack(f"{len(mechanisms)}L", *mechanisms),
            lambda data: unpack(f"{len(data) // ctypes.sizeof(ctypes.c_ulong)}L", data),
        )
        self.register_handler(Attribute.UNWRAP_TEMPLATE, self._pack_nested, bytes)

    def _pack_nested(self, template: dict[Attribute, Any]) -> bytes:
        """An array of CK_ATTRIBUTE; the buffers it points to live as long as the session (a ceremony makes few)."""
        array = (_Attribute * len(template))()
        for index, (attribute, value) in enumerate(template.items()):
            packed = self.pack_attribute(attribute, value)
            buffer = ctypes.create_string_buffer(packed, len(packed))
            self._held.append(buffer)
            array[index] = _Attribute(attribute, ctypes.addressof(buffer), len(packed))
        return bytes(array)

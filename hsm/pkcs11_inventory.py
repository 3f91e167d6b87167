"""Taking a token's inventory: its keys are looked at, none is used or changed."""

from collections.abc import Iterable

from pkcs11.constants import Attribute, ObjectClass

from hsm.ceremony import TokenIdentity
from hsm.curves import public_key_from_token
from hsm.inventory import Inventory
from hsm.ports import KeyLabel, PublicKey
from hsm.session import TokenSession
from hsm.settings import TokenSettings


def take_inventory(settings: TokenSettings, wanted: Iterable[KeyLabel]) -> Inventory:
    """Open the token read-only, look, close. One try of the PIN: a wrong one counts.

    Raises `HsmUnavailable`, `PinRefused`, or `SessionMisused` if this process has a session already.
    """
    session = TokenSession.open(settings, writable=False)
    try:
        with session.calls() as driver:
            token = driver.token
            major, minor = token.firmware_version
            serial = token.serial.decode("ascii", "replace").strip("\0 ")
            kinds = (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)
            keys = [key for kind in kinds for key in session.search({Attribute.CLASS: kind})]
            return Inventory(
                TokenIdentity(token.manufacturer_id, token.model, serial, f"{major}.{minor}"),
                frozenset(key[Attribute.LABEL] for key in keys),
                {label: half for label in wanted if (half := _public_half(session, label)) is not None},
            )
    finally:
        session.close()


def _public_half(session: TokenSession, label: KeyLabel) -> PublicKey | None:
    found = session.search({Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.LABEL: label})
    if len(found) != 1:
        return None
    return public_key_from_token(found[0][Attribute.EC_PARAMS], found[0][Attribute.EC_POINT])

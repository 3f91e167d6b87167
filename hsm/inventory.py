"""What lies on a token, without any means of using it."""

from collections.abc import Mapping
from dataclasses import dataclass

from hsm.ceremony import TokenIdentity
from hsm.ports import KeyLabel, PublicKey


@dataclass(frozen=True, slots=True)
class Inventory:
    """The token, the labels of its private and secret keys, and public halves by label (those asked for, if there)."""

    token: TokenIdentity
    labels: frozenset[str]
    public_keys: Mapping[KeyLabel, PublicKey]

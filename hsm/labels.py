"""Labels of the keys that every centre has; labels of signing keys come from the ceremony's plan."""

from hsm.ports import CardFunction, KeyLabel

STORAGE_KEY = KeyLabel("storage-key")
"""Wraps holders' private keys between their making and their card."""
RECORD_KEY = KeyLabel("record-key")
"""Encrypts the data keys of records."""
EXCHANGE_KEY = KeyLabel("exchange-key")
"""Takes the chip maker's masters in."""


def master_label(function: CardFunction) -> KeyLabel:
    """Label of the chip maker's master for one function, for example `master-PERSO`."""
    return KeyLabel(f"master-{function.value}")


FIXED_LABELS = frozenset({STORAGE_KEY, RECORD_KEY, EXCHANGE_KEY, *map(master_label, CardFunction)})
"""Labels that no signing key may take."""

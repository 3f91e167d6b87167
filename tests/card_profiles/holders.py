"""Made-up holders for the tests of this room."""

from dataclasses import replace

from card_profiles.model import CardHolder, Fingerprint, Portrait

PORTRAIT = Portrait("image/jpeg", 413, 531, bytes.fromhex("FFD8FFE0") + bytes(range(256)) + bytes.fromhex("FFD9"))
RIGHT_INDEX = Fingerprint(2, 300, 400, bytes.fromhex("FFA0FFA4") + b"right" + bytes.fromhex("FFA1"))
LEFT_INDEX = Fingerprint(7, 320, 410, bytes.fromhex("FFA0FFA4") + b"left" + bytes.fromhex("FFA1"))

ANNA = CardHolder(
    document_number="D23145890",
    surname="Eriksson",
    given_names="Anna Maria",
    birth_date="1974-08-12",
    sex="F",
    nationality="UTO",
    expiry_date="2012-04-15",
    personal_code=None,
    portrait=PORTRAIT,
    fingerprints=(RIGHT_INDEX, LEFT_INDEX),
)
"""The specimen holder of ICAO 9303."""


def named(surname: str, given_names: str) -> CardHolder:
    """Anna by another name."""
    return replace(ANNA, surname=surname, given_names=given_names)

"""An approved record in its checked form: what `check_record` makes of the wire form of a document information system.

Only `personalization.records` makes these; a function that is given a `CheckedRecord` need not check it again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib import resources
from pathlib import Path
from typing import NewType

RecordId = NewType("RecordId", str)
"""Unique at the source, for example `PADIS-2026-0000001`."""

PLACE_KINDS = ("branch", "embassy", "ministry")


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is wrong with a record.

    pointer: RFC 6901, at the offending value or at the object that lacks one; rule: a stable name;
    message: a sentence that says what is wrong and what is expected, and never quotes a value of the record.
    """

    pointer: str
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Places:
    """Where a finished document can be sent: kind (`branch`, `embassy`, `ministry`) -> code -> name."""

    names: Mapping[str, Mapping[str, str]]

    def known(self, kind: str, code: str) -> bool:
        """Whether this kind has a place of this code."""
        return code in self.names.get(kind, {})


def load_places(path: Path | None = None) -> Places:
    """The places of a configuration file, without one the default list. Raises `ValueError` naming what is wrong."""
    text = (
        path.read_text("utf-8")
        if path is not None
        else resources.files("personalization.rules").joinpath("data/places.json").read_text("utf-8")
    )
    read = json.loads(text)
    if not isinstance(read, dict) or not set(read) <= set(PLACE_KINDS):
        raise ValueError(f"a list of places is an object with the members {', '.join(PLACE_KINDS)} and no others")
    for kind, places in read.items():
        if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
            raise ValueError(f"the {kind} places are an object of codes with their names")
    return Places(read)


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approved and when; `day` is the instant's calendar day in Riga."""

    at: datetime
    day: date
    decision_id: str
    officer: str
    second_officer: str | None


@dataclass(frozen=True, slots=True)
class OrderDetails:
    """Why and how fast the document is wanted."""

    reason: str
    urgency: str
    service_identifier: str
    replaces_document_number: str | None


@dataclass(frozen=True, slots=True)
class DocumentDetails:
    """Which document; `expiry_date` is None only for a chipless card without term."""

    type: str
    issue_date: date
    expiry_date: date | None
    permit_remarks: str | None
    badge: bool


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose document; `birth_date` is ISO `YYYY-MM-DD` with 00 for an unknown month or day.

    Names are NFC, without spaces at their ends and with single ones inside, whatever the wire form had.
    """

    personal_code: str | None
    surname: str
    given_names: str
    name_original_form: str | None
    birth_date: str
    birth_place: str | None
    sex: str
    nationality: str
    height_cm: int | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as the record brought it: bytes, their SHA-256 in hex, and the size found by decoding them."""

    media_type: str
    sha256: str
    width_px: int
    height_px: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FingerprintPicture:
    """A WSQ fingerprint; position is the ISO/IEC 19794-2 finger code 1-10."""

    position: int
    picture: Picture


@dataclass(frozen=True, slots=True)
class Images:
    """Fingerprints are two, or none with the exemption that says why (none and no exemption on a chipless card)."""

    portrait: Picture
    signature: Picture | None
    fingerprints: tuple[FingerprintPicture, ...]
    fingerprint_exemption: str | None


@dataclass(frozen=True, slots=True)
class CertificateWish:
    """Whether the pair of certificates goes on the card, and how the trust service provider reaches the holder."""

    wanted: bool
    email: str | None
    phone: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the finished document goes: a kind and code of the list of places."""

    kind: str
    code: str


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """An approved record that broke no rule. Personal data: `repr` shows the record's id and revision alone."""

    record_id: RecordId
    revision: int
    approved: Approval = field(repr=False)
    order: OrderDetails = field(repr=False)
    document: DocumentDetails = field(repr=False)
    holder: Holder = field(repr=False)
    images: Images = field(repr=False)
    certificates: CertificateWish = field(repr=False)
    delivery: Delivery = field(repr=False)

"""What a card is: the checked form of a card profile, and what the chip image of one card holds.

What was written (TOML) and what was checked (these types) are two things; `card_profiles.profile` turns one into
the other and refuses unknown keys by name.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

ProfileId = NewType("ProfileId", str)
"""Name and version, for example `eid-citizen@1`."""


class Function(StrEnum):
    """Which of a chip's functions writes an object (data sheet §2)."""

    PERSO = "PERSO"
    PIN = "PIN"
    KEY = "KEY"
    CERT = "CERT"


class KeyOrigin(StrEnum):
    """Where the holder's key is made (docs/design.md, "The way of a record")."""

    HSM = "hsm"
    CHIP = "chip"


class PinState(StrEnum):
    """The state in which a finished card leaves the centre."""

    BLOCKED = "blocked"
    ACTIVE = "active"


class Access(StrEnum):
    """Who may read the files of an application on the finished card; PACE comes with a later profile version."""

    OPEN = "open"


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One elementary file: its name in the profile (`EF.SOD`, `DG1`, `auth.certificate`), FID and who writes it."""

    name: str
    fid: int
    written_by: Function


@dataclass(frozen=True, slots=True)
class ApplicationSpec:
    """One chip application: short name (`eid`, `auth`, `sign`, `travel`), AID, files in the order of writing."""

    name: str
    aid: bytes
    access: Access
    files: tuple[FileSpec, ...]


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key pair of the holder: slot (`auth`, `sign`), application, key reference, curve and certificate profile."""

    slot: str
    application: str
    reference: int
    curve: str
    origin: KeyOrigin
    certificate_profile: str
    certificate_file: str


@dataclass(frozen=True, slots=True)
class PinSpec:
    """A PIN or PUK object: name, reference, digits at least, tries, padded length in bytes, state when it leaves.

    `value` is set in specimen profiles alone.
    """

    name: str
    reference: int
    minimum_digits: int
    maximum_digits: int
    maximum_tries: int
    final_state: PinState
    value: str | None


@dataclass(frozen=True, slots=True)
class ChipSpec:
    """How the chip is talked to: ATR, key versions, channel level, sizes and DGI numbers (data sheet §1-3)."""

    atr: bytes
    card_manager_aid: bytes
    diversification: str
    key_versions: dict[Function, int]
    security_level: int
    maximum_command_data_bytes: int
    pin_application: str
    pin_dgi: int
    key_dgi: int
    key_algorithms: dict[str, int]


@dataclass(frozen=True, slots=True)
class MrzSpec:
    """Settings of the machine readable zone: format (`TD1`), document code (2 characters, `<` filled), state."""

    format: str
    document_code: str
    issuing_state: str


@dataclass(frozen=True, slots=True)
class ArtItem:
    """One thing drawn on a face: its box in millimetres, x and y from the top left corner of the side.

    kind: `text`, `field`, `label`, `portrait`, `signature`, `mrz`, `guilloche`, `rectangle`, `specimen`.
    side: `front`, `back`.
    `source` is the field drawn (field, signature, mrz), `portrait` or its pale copy `ghost` (portrait), the literal
    text (text, label, specimen), the pattern of a guilloche (`waves`, `rosette`), and empty for a rectangle, which
    is filled.
    `font` names a file of the released art (empty where nothing is written).
    `size_pt` is the type size, or the line width of a guilloche. The first baseline stands 0.8 type sizes below
    `y_mm`, also when a value is set smaller to fit; further lines follow inside the box.
    `colour` is `#RRGGBB`.
    """

    kind: str
    side: str
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float
    source: str
    font: str
    size_pt: float
    colour: str


@dataclass(frozen=True, slots=True)
class FaceSpec:
    """The print layout: page size, items in drawing order, and the digest of every font file (SHA-256, hex)."""

    width_mm: float
    height_mm: float
    items: tuple[ArtItem, ...]
    fonts: dict[str, str]


@dataclass(frozen=True, slots=True)
class CardProfile:
    """One published version of a document type."""

    id: ProfileId
    document_type: str
    specimen: bool
    title_lv: str
    title_en: str
    number_prefixes: tuple[str, ...]
    certificate_authorities: str
    chip: ChipSpec
    applications: tuple[ApplicationSpec, ...]
    keys: tuple[KeySpec, ...]
    pins: tuple[PinSpec, ...]
    mrz: MrzSpec
    portrait_maximum_bytes: int
    face: FaceSpec


@dataclass(frozen=True, slots=True)
class Portrait:
    """The portrait as it goes on the chip: `image/jpeg` or `image/jp2`, its size in pixels and its bytes."""

    media_type: str
    width_px: int
    height_px: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A WSQ fingerprint image passed through unchanged; position is the ISO/IEC 19794-2 finger code 1-10."""

    position: int
    width_px: int
    height_px: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CardHolder:
    """What the chip says of the holder and the document.

    Dates are ISO `YYYY-MM-DD`; month and day of `birth_date` may be 00. Names are NFC as on the document.
    """

    document_number: str
    surname: str
    given_names: str
    birth_date: str
    sex: str
    nationality: str
    expiry_date: str
    personal_code: str | None
    portrait: Portrait
    fingerprints: tuple[Fingerprint, ...]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file as it will stand on the chip."""

    name: str
    fid: int
    written_by: Function
    content: bytes


@dataclass(frozen=True, slots=True)
class ImageApplication:
    """One application of the chip image; files in the order of writing."""

    name: str
    aid: bytes
    files: tuple[ImageFile, ...]


@dataclass(frozen=True, slots=True)
class ImageKey:
    """A key slot that must be filled when the card is encoded."""

    slot: str
    reference: int
    curve: str


@dataclass(frozen=True, slots=True)
class ChipImage:
    """Everything that is written on one chip but keys and PINs, which exist only for the chip they are meant for."""

    profile_id: ProfileId
    document_number: str
    applications: tuple[ImageApplication, ...]
    keys: tuple[ImageKey, ...]

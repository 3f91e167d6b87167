"""The way of a job, in one direction: each stage takes one frozen type and returns the next.

A function that encodes can only be given an `ImagedJob`, and that only comes from a `CertifiedJob`. There is no code
for resuming: a restarted worker runs the same stage; a finished stage returns its stored result for ever.
`docs/flow.md` tells, stage by stage, what a power cut leaves behind; a test compares its list with `STAGES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NewType

from card_profiles.model import ChipImage, ProfileId
from hsm.ports import Curve, PublicKey
from personalization.records import CheckedRecord

JobId = NewType("JobId", str)
ChipSerial = NewType("ChipSerial", str)
"""20 capital hexadecimal digits: the chip's key diversification data."""
SerialNumber = NewType("SerialNumber", str)
"""A certificate's serial number, capital hexadecimal digits."""


class Stage(StrEnum):
    """The stages between an accepted record and a verified card, in their order."""

    KEYS = "keys"
    CERTIFY = "certify"
    IMAGE = "image"
    ENCODE = "encode"
    PRINT = "print"
    INSPECT = "inspect"


STAGES: tuple[Stage, ...] = tuple(Stage)
PREPARING = (Stage.KEYS, Stage.CERTIFY, Stage.IMAGE)
PHYSICAL = (Stage.ENCODE, Stage.PRINT, Stage.INSPECT)


class JobState(StrEnum):
    """Where a job stands within its stage."""

    READY = "ready"
    CLAIMED = "claimed"
    HELD = "held"
    RETRY = "retry"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNCLEAR = "unclear"


class Priority(IntEnum):
    """Lower is sooner. Remakes go before all but the same-day orders: their holders have waited already."""

    IMMEDIATE = 0
    REMAKE = 1
    FAST = 2
    STANDARD = 3


@dataclass(frozen=True, slots=True)
class JobRef:
    """A claimed job: what it is and by which fence it is held."""

    id: JobId
    record_id: str
    revision: int
    attempt: int
    profile_id: ProfileId
    document_number: str
    stage: Stage
    owner: str
    fence: int


@dataclass(frozen=True, slots=True)
class AcceptedJob:
    """A claimed job with its checked record opened."""

    ref: JobRef
    record: CheckedRecord


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A holder's key: the public half and the private half wrapped under the storage key."""

    public: PublicKey
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class KeyedJob:
    """Keys of every slot are stored; none where certificates are not wanted."""

    accepted: AcceptedJob
    keys: Mapping[str, StoredKey]


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A signed certificate of one slot."""

    serial: SerialNumber
    der: bytes


@dataclass(frozen=True, slots=True)
class CertifiedJob:
    """The pair is issued, both or neither."""

    keyed: KeyedJob
    certificates: Mapping[str, IssuedCertificate]


@dataclass(frozen=True, slots=True)
class CardArt:
    """What is printed: the two-page PDF, and the printed MRZ and CAN for whoever compares them with the chip."""

    document: bytes
    mrz: tuple[str, ...]
    can: str


@dataclass(frozen=True, slots=True)
class ImagedJob:
    """Chip image and faces are complete and signed: all that a station needs."""

    certified: CertifiedJob
    image: ChipImage
    art: CardArt

    @property
    def ref(self) -> JobRef:
        """The job."""
        return self.certified.keyed.accepted.ref


@dataclass(frozen=True, slots=True)
class Blank:
    """What a blank told at first contact: kept, for it cannot be had later."""

    chip_serial: ChipSerial
    atr: bytes
    cplc: bytes
    lot: str
    os_version: str


@dataclass(frozen=True, slots=True)
class EncodedCard:
    """The chip holds the image and is locked."""

    imaged: ImagedJob
    blank: Blank


@dataclass(frozen=True, slots=True)
class PrintedCard:
    """Both faces are printed; `print_job` is the printer's name for it."""

    encoded: EncodedCard
    print_job: str


@dataclass(frozen=True, slots=True)
class VerifiedCard:
    """Inspected by us and by the judges that are not ours; verdicts by judge."""

    printed: PrintedCard
    verdicts: Mapping[str, str]


CURVES = {curve.value: curve for curve in Curve}

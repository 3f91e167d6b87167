"""Stage `image`: data groups, EF.SOD, the chip image and both faces; all that a station needs, sealed.

Power cut: nothing is stored, and the image is built anew (its EF.SOD with a new signature: nothing refers to the
lost one); or it is stored, and kept for ever.
"""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Connection

from card_profiles.codecs.mrz import td1
from card_profiles.data_groups import build_data_groups
from card_profiles.image import build_chip_image, image_from_bytes, image_to_bytes
from card_profiles.model import CardHolder, CardProfile, Fingerprint
from card_profiles.profile import load_profile
from hsm.ports import Randomness, Signer
from personalization.acceptance import open_job
from personalization.audit import Event, record_events
from personalization.face import FaceContent, compose_face
from personalization.flow import CardArt, CertifiedJob, ImagedJob, JobId, KeyedJob, Stage
from personalization.portrait import chip_portrait
from personalization.records import CheckedRecord
from personalization.stages.certify import load_certificates
from personalization.store.database import Database
from personalization.store.job_batches import finish_stages
from personalization.store.jobs import job_ref
from personalization.store.sealing import RecordRef, Vault
from pki.authorities import Authorities
from pki.sod import build_ef_sod

FILLER_BYTES = 53
CAN_DIGITS = 6
STORED_AT_ONCE = 25
"""Images in one transaction: little is lost with a crash, and a commit waits for the disk however small it is."""
AUTHORITY = "PMLP / OCMA"


class Imaging:
    """Builds and signs what will stand on and in the card."""

    def __init__(
        self, *, database: Database, vault: Vault, signer: Signer, randomness: Randomness, authorities: Authorities
    ) -> None:
        self._database = database
        self._vault = vault
        self._signer = signer
        self._randomness = randomness
        self._authorities = authorities

    def build(self, jobs: Sequence[CertifiedJob], now: datetime) -> tuple[ImagedJob, ...]:
        """A few images at a time are built and stored: a station may begin while the last ones are being built."""
        chunks = (jobs[start : start + STORED_AT_ONCE] for start in range(0, len(jobs), STORED_AT_ONCE))
        return tuple(imaged for chunk in chunks for imaged in self._build_and_store(chunk, now))

    def _build_and_store(self, jobs: Sequence[CertifiedJob], now: datetime) -> tuple[ImagedJob, ...]:
        started = time.monotonic()
        imaged = tuple(self._build(job, now) for job in jobs)
        milliseconds = int((time.monotonic() - started) * 1000 / len(jobs))
        with self._database.begin() as connection:
            self._store(connection, imaged, now, milliseconds)
        return imaged

    def _build(self, job: CertifiedJob, now: datetime) -> ImagedJob:
        accepted = job.keyed.accepted
        ref, record = accepted.ref, accepted.record
        profile = load_profile(ref.profile_id)
        holder = card_holder(profile, ref.document_number, record)
        data_groups = build_data_groups(profile, holder, filler=self._randomness.random_bytes(FILLER_BYTES))
        ef_sod = build_ef_sod(self._signer, self._authorities.document_signer, data_groups, now=now)
        image = build_chip_image(
            profile,
            document_number=ref.document_number,
            data_groups=data_groups,
            ef_sod=ef_sod,
            certificates={slot: issued.der for slot, issued in job.certificates.items()},
        )
        mrz = td1(profile.mrz, holder)
        can = digits(self._randomness, CAN_DIGITS)
        document = compose_face(profile, face_content(record, ref.document_number, mrz, can))
        return ImagedJob(job, image, CardArt(document, mrz, can))

    def _store(self, connection: Connection, jobs: Sequence[ImagedJob], now: datetime, milliseconds: int) -> None:
        finish_stages(
            connection,
            Stage.IMAGE,
            [
                (job.ref, {"content_bytes": sum(len(f.content) for a in job.image.applications for f in a.files)})
                for job in jobs
            ],
            now=now,
            milliseconds=milliseconds,
            to=Stage.ENCODE,
            keep=False,
        )
        self._vault.seal_batch(
            connection, [(RecordRef(job.ref.record_id, job.ref.revision), job.ref.id, _bodies(job)) for job in jobs]
        )
        refs = [job.ref for job in jobs]
        record_events(connection, *(Event("job.imaged", now, ref.owner, ref.record_id, ref.id) for ref in refs))


def _bodies(job: ImagedJob) -> Mapping[str, bytes]:
    marks = json.dumps({"mrz": list(job.art.mrz), "can": job.art.can}).encode()
    return {"image": image_to_bytes(job.image), "face": job.art.document, "marks": marks}


def load_image(connection: Connection, vault: Vault, job: CertifiedJob) -> ImagedJob:
    """The stored image of a job that a station has claimed."""
    bodies: Mapping[str, bytes] = vault.open(connection, job.keyed.accepted.ref.id, ("image", "face", "marks"))
    marks = json.loads(bodies["marks"])
    art = CardArt(bodies["face"], tuple(marks["mrz"]), marks["can"])
    return ImagedJob(job, image_from_bytes(bodies["image"]), art)


def finished_job(connection: Connection, vault: Vault, job_id: JobId) -> ImagedJob:
    """The image of a job whatever its state, to look at; nothing is claimed. Raises `DataErased`, `SealBroken`."""
    ref = job_ref(connection, job_id)
    certified = CertifiedJob(KeyedJob(open_job(connection, vault, ref), {}), load_certificates(connection, vault, ref))
    return load_image(connection, vault, certified)


def card_holder(profile: CardProfile, document_number: str, record: CheckedRecord) -> CardHolder:
    """What the chip says of the holder; the portrait as small as the profile asks, the fingers unchanged."""
    holder = record.holder
    portrait = chip_portrait(record.images.portrait, profile.portrait_maximum_bytes).portrait
    return CardHolder(
        document_number=document_number,
        surname=holder.surname,
        given_names=holder.given_names,
        birth_date=holder.birth_date,
        sex=holder.sex,
        nationality=holder.nationality,
        expiry_date=_expiry(record).isoformat(),
        personal_code=holder.personal_code,
        portrait=portrait,
        fingerprints=tuple(
            Fingerprint(finger.position, finger.picture.width_px, finger.picture.height_px, finger.picture.data)
            for finger in record.images.fingerprints
        ),
    )


def face_content(record: CheckedRecord, document_number: str, mrz: Sequence[str], can: str) -> FaceContent:
    """What is printed: the original portrait, the record's words, the chip's MRZ."""
    holder, images = record.holder, record.images
    fields = {
        "surname": holder.surname,
        "given_names": holder.given_names,
        "nationality": holder.nationality,
        "sex": holder.sex,
        "birth_date": holder.birth_date,
        "personal_code": holder.personal_code or "",
        "document_number": document_number,
        "expiry_date": _expiry(record).isoformat(),
        "can": can,
        "birth_place": holder.birth_place or "",
        "height": f"{holder.height_cm} cm" if holder.height_cm else "",
        "issue_date": record.document.issue_date.isoformat(),
        "authority": AUTHORITY,
    }
    first, second, third = mrz
    return FaceContent(
        fields=fields,
        mrz=(first, second, third),
        portrait=images.portrait,
        signature=images.signature,
    )


def _expiry(record: CheckedRecord) -> date:
    if record.document.expiry_date is None:
        raise ValueError("the record rules let no chip document through without an expiry date")
    return record.document.expiry_date


def digits(randomness: Randomness, count: int) -> str:
    """Random decimal digits without bias: bytes over 249 are drawn again."""
    drawn = ""
    while len(drawn) < count:
        drawn += "".join(str(byte % 10) for byte in randomness.random_bytes(2 * count) if byte < 250)
    return drawn[:count]

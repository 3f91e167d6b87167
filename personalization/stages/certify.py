"""Stage `certify`: the signature and authentication pair; intent first, both or neither.

Power cut: before the intent nothing is known of any certificate; after it, serials and to-be-signed bytes are
stored, and the ordinary code signs exactly those bytes again under the same serial: never a second serial.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from card_profiles.profile import load_profile
from hsm.ports import Randomness, Signer
from personalization.approved_record import Holder
from personalization.audit import Event, record_events
from personalization.flow import CertifiedJob, IssuedCertificate, JobRef, KeyedJob, SerialNumber, Stage
from personalization.outgoing import report_document
from personalization.store.database import Database
from personalization.store.jobs import finish_stage, store_intent
from personalization.store.sealing import RecordRef, Vault
from personalization.store.tables import certificate
from pki.authorities import Authorities
from pki.certificate import Subject
from pki.issuance import new_serial, prepare_pair, sign_certificate, validity
from pki.names import holder_subject
from pki.profile import load_certificate_profile

SERIAL_BYTES = 20
SIGNATURE_BYTES = 128
"""At most what signing adds: outer header, algorithm, BIT STRING and a P-384 ECDSA-Sig-Value."""
LARGEST_CERTIFICATE_BYTES = 1536
"""OpenSC 0.23 reads no more of a certificate file; a larger one would spoil every card it is written on."""


class CertificateTooLarge(Exception):
    """The names are so long that readers in the field would cut the certificate: held before a blank is touched."""


class Certification:
    """Issues pairs under the authorities of the line."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        signer: Signer,
        randomness: Randomness,
        authorities: Authorities,
    ) -> None:
        self._database = database
        self._vault = vault
        self._signer = signer
        self._randomness = randomness
        self._authorities = authorities

    def certify(self, jobs: Sequence[KeyedJob], now: datetime) -> tuple[CertifiedJob, ...]:
        """Intents of the batch in one transaction, signatures one by one, results in one transaction."""
        started = time.monotonic()
        intents = self._store_intents(jobs, now)
        issuing = self._authorities.issuing
        signed = {
            job_id: {
                slot: (serial, sign_certificate(self._signer, issuing, tbs)) for slot, (serial, tbs) in pair.items()
            }
            for job_id, pair in intents.items()
        }
        milliseconds = int((time.monotonic() - started) * 1000 / max(len(jobs), 1))
        with self._database.begin() as connection:
            return tuple(
                self._store_pair(connection, job, signed[job.accepted.ref.id], now, milliseconds) for job in jobs
            )

    def _store_intents(
        self, jobs: Sequence[KeyedJob], now: datetime
    ) -> dict[str, dict[str, tuple[SerialNumber, bytes]]]:
        intents: dict[str, dict[str, tuple[SerialNumber, bytes]]] = {}
        with self._database.begin() as connection:
            for job in jobs:
                ref = job.accepted.ref
                stored = self._stored_intent(connection, ref)
                if not stored and job.keys:
                    stored = self._new_intent(connection, job, now)
                store_intent(connection, ref, Stage.CERTIFY, ",".join(s for s, _ in stored.values()), now)
                intents[ref.id] = stored
        return intents

    def _stored_intent(self, connection: Connection, ref: JobRef) -> dict[str, tuple[SerialNumber, bytes]]:
        rows = connection.execute(
            select(certificate.c.slot, certificate.c.serial).where(certificate.c.job_id == ref.id)
        ).all()
        bodies = self._vault.open(connection, ref.id, [f"tbs.{row.slot}" for row in rows])
        return {row.slot: (SerialNumber(row.serial), bodies[f"tbs.{row.slot}"]) for row in rows}

    def _new_intent(
        self, connection: Connection, job: KeyedJob, now: datetime
    ) -> dict[str, tuple[SerialNumber, bytes]]:
        accepted = job.accepted
        ref, record = accepted.ref, accepted.record
        if record.document.expiry_date is None:
            raise ValueError("the record rules let no chip document through without an expiry date")
        specs = {spec.slot: spec for spec in load_profile(ref.profile_id).keys}
        profiles = {slot: load_certificate_profile(specs[slot].certificate_profile) for slot in job.keys}
        serials = {slot: new_serial(self._randomness.random_bytes(SERIAL_BYTES)) for slot in job.keys}
        not_before, not_after = validity(
            record.document.issue_date, record.document.expiry_date, next(iter(profiles.values())), now
        )
        pair = prepare_pair(
            profiles,
            self._authorities.issuing,
            subject=subject_of(accepted.record.holder),
            public_keys={slot: key.public for slot, key in job.keys.items()},
            serials=serials,
            not_before=not_before,
            not_after=not_after,
        )
        if any(len(tbs) + SIGNATURE_BYTES > LARGEST_CERTIFICATE_BYTES for tbs in pair.values()):
            raise CertificateTooLarge(f"a certificate of job {ref.id} would be larger than readers take")
        named = {slot: SerialNumber(f"{serials[slot]:X}") for slot in pair}
        connection.execute(
            insert(certificate),
            [
                {
                    "serial": named[slot],
                    "job_id": ref.id,
                    "slot": slot,
                    "profile_id": specs[slot].certificate_profile,
                    "issuer_label": self._authorities.issuing.label,
                    "state": "intent",
                    "state_since": now,
                }
                for slot in pair
            ],
        )
        self._vault.seal(
            connection,
            RecordRef(ref.record_id, ref.revision),
            ref.id,
            {f"tbs.{slot}": tbs for slot, tbs in pair.items()},
        )
        return {slot: (named[slot], tbs) for slot, tbs in pair.items()}

    def _store_pair(
        self,
        connection: Connection,
        job: KeyedJob,
        pair: Mapping[str, tuple[SerialNumber, bytes]],
        now: datetime,
        milliseconds: int,
    ) -> CertifiedJob:
        ref = job.accepted.ref
        finish_stage(
            connection,
            ref,
            Stage.CERTIFY,
            {"serials": {slot: serial for slot, (serial, _) in pair.items()}},
            now=now,
            milliseconds=milliseconds,
            to=Stage.IMAGE,
            keep=True,
        )
        if pair:
            self._vault.seal(
                connection,
                RecordRef(ref.record_id, ref.revision),
                ref.id,
                {f"certificate.{slot}": der for slot, (_, der) in pair.items()},
            )
            # Born on hold: a card lost on its way is good for nothing; its certificates become good at handover.
            connection.execute(
                update(certificate).where(certificate.c.job_id == ref.id).values(state="on-hold", state_since=now)
            )
            serials = tuple((slot, serial) for slot, (serial, _) in sorted(pair.items()))
            record_events(
                connection,
                Event(
                    "certificates.issued",
                    now,
                    ref.owner,
                    ref.record_id,
                    ref.id,
                    key=self._authorities.issuing.label,
                    detail=serials,
                ),
            )
        issued = {slot: IssuedCertificate(serial, der) for slot, (serial, der) in pair.items()}
        report_document(connection, ref.id, "certified", now)
        return CertifiedJob(job, issued)


def subject_of(holder: Holder) -> Subject:
    """The certificate subject: names as on the document, the personal code as `PNOLV-…` (EN 319 412-1 §5.1.3)."""
    if holder.personal_code is None:
        raise ValueError("the record rules let no certificates be wanted without a personal code")
    return holder_subject("LV", holder.surname, holder.given_names or None, holder.personal_code)


def load_certificates(connection: Connection, vault: Vault, ref: JobRef) -> Mapping[str, IssuedCertificate]:
    """The issued pair of a job by slot; empty where none is wanted."""
    rows = connection.execute(
        select(certificate.c.slot, certificate.c.serial).where(certificate.c.job_id == ref.id)
    ).all()
    bodies = vault.open(connection, ref.id, [f"certificate.{row.slot}" for row in rows])
    return {row.slot: IssuedCertificate(SerialNumber(row.serial), bodies[f"certificate.{row.slot}"]) for row in rows}

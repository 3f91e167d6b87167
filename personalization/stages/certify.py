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
from personalization.flow import CertifiedJob, IssuedCertificate, JobId, JobRef, KeyedJob, SerialNumber, Stage
from personalization.outgoing import report_documents
from personalization.store.database import Database
from personalization.store.job_batches import finish_stages, store_intents
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


_Pair = Mapping[str, tuple[SerialNumber, bytes]]
"""Slot -> serial number and octets: to be signed, or the signed certificate."""


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
            return self._store_pairs(
                connection, [(job, signed[job.accepted.ref.id]) for job in jobs], now, milliseconds
            )

    def _store_intents(self, jobs: Sequence[KeyedJob], now: datetime) -> dict[JobId, _Pair]:
        with self._database.begin() as connection:
            intents = self._stored_intents(connection, [job.accepted.ref for job in jobs])
            new = {
                job.accepted.ref.id: (job.accepted.ref, self._new_intent(job, now))
                for job in jobs
                if job.keys and not intents[job.accepted.ref.id]
            }
            intents |= {job_id: pair for job_id, (_, pair) in new.items()}
            effects = [
                (job.accepted.ref, ",".join(serial for serial, _ in intents[job.accepted.ref.id].values()))
                for job in jobs
            ]
            store_intents(connection, Stage.CERTIFY, effects, now)
            self._insert_intents(connection, list(new.values()), now)
        return intents

    def _stored_intents(self, connection: Connection, refs: Sequence[JobRef]) -> dict[JobId, _Pair]:
        """What an earlier try was going to sign; an empty pair where there was none."""
        intents: dict[JobId, _Pair] = {ref.id: {} for ref in refs}
        rows = connection.execute(
            select(certificate.c.job_id, certificate.c.slot, certificate.c.serial).where(
                certificate.c.job_id.in_(list(intents))
            )
        ).all()
        for job_id in {row.job_id for row in rows}:
            serials = {row.slot: row.serial for row in rows if row.job_id == job_id}
            bodies = self._vault.open(connection, job_id, [f"tbs.{slot}" for slot in serials])
            intents[job_id] = {slot: (SerialNumber(serial), bodies[f"tbs.{slot}"]) for slot, serial in serials.items()}
        return intents

    def _new_intent(self, job: KeyedJob, now: datetime) -> _Pair:
        """Fresh serials and linted octets. Raises what `prepare_pair` raises, `CertificateTooLarge`."""
        ref, record = job.accepted.ref, job.accepted.record
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
            subject=subject_of(record.holder),
            public_keys={slot: key.public for slot, key in job.keys.items()},
            serials=serials,
            not_before=not_before,
            not_after=not_after,
        )
        if any(len(tbs) + SIGNATURE_BYTES > LARGEST_CERTIFICATE_BYTES for tbs in pair.values()):
            raise CertificateTooLarge(f"a certificate of job {ref.id} would be larger than readers take")
        return {slot: (SerialNumber(f"{serials[slot]:X}"), tbs) for slot, tbs in pair.items()}

    def _insert_intents(self, connection: Connection, new: Sequence[tuple[JobRef, _Pair]], now: datetime) -> None:
        rows = []
        for ref, pair in new:
            specs = {spec.slot: spec for spec in load_profile(ref.profile_id).keys}
            rows += [
                {
                    "serial": serial,
                    "job_id": ref.id,
                    "slot": slot,
                    "profile_id": specs[slot].certificate_profile,
                    "issuer_label": self._authorities.issuing.label,
                    "state": "intent",
                    "state_since": now,
                }
                for slot, (serial, _) in pair.items()
            ]
        if rows:
            connection.execute(insert(certificate), rows)
        self._seal(connection, "tbs", new)

    def _store_pairs(
        self, connection: Connection, signed: Sequence[tuple[KeyedJob, _Pair]], now: datetime, milliseconds: int
    ) -> tuple[CertifiedJob, ...]:
        """`signed`: jobs with serial and certificate by slot."""
        finish_stages(
            connection,
            Stage.CERTIFY,
            [
                (job.accepted.ref, {"serials": {slot: serial for slot, (serial, _) in pair.items()}})
                for job, pair in signed
            ],
            now=now,
            milliseconds=milliseconds,
            to=Stage.IMAGE,
            keep=True,
        )
        issued = [(job.accepted.ref, pair) for job, pair in signed if pair]
        self._seal(connection, "certificate", issued)
        # Born on hold: a card lost on its way is good for nothing; its certificates become good at handover.
        connection.execute(
            update(certificate)
            .where(certificate.c.job_id.in_([ref.id for ref, _ in issued]))
            .values(state="on-hold", state_since=now)
        )
        record_events(connection, *(self._issued_event(ref, pair, now) for ref, pair in issued))
        report_documents(connection, [job.accepted.ref.id for job, _ in signed], "certified", now)
        return tuple(
            CertifiedJob(job, {slot: IssuedCertificate(serial, der) for slot, (serial, der) in pair.items()})
            for job, pair in signed
        )

    def _seal(self, connection: Connection, kind: str, pairs: Sequence[tuple[JobRef, _Pair]]) -> None:
        self._vault.seal_batch(
            connection,
            [
                (
                    RecordRef(ref.record_id, ref.revision),
                    ref.id,
                    {f"{kind}.{slot}": octets for slot, (_, octets) in pair.items()},
                )
                for ref, pair in pairs
            ],
        )

    def _issued_event(self, ref: JobRef, pair: _Pair, now: datetime) -> Event:
        serials = tuple((slot, serial) for slot, (serial, _) in sorted(pair.items()))
        label = self._authorities.issuing.label
        return Event("certificates.issued", now, ref.owner, ref.record_id, ref.id, key=label, detail=serials)


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

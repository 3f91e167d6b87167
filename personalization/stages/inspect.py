"""Stage `inspect`: the finished card is judged by our own steps, by OpenSC and by OpenSSL; then its PINs are blocked.

Power cut: before the commit the card is inspected again, with new one-time PINs; after it the blank counts as good
and the card in position is ejected.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from card_profiles.model import CardProfile, PinState
from card_profiles.profile import load_profile
from hsm.ports import Hsm
from personalization.audit import Event, record_events
from personalization.centre import stock
from personalization.flow import IssuedCertificate, PrintedCard, Stage, VerifiedCard
from personalization.inspection import opensc, openssl
from personalization.inspection.own import Expected, OwnReport, check_final_pin_state, inspect_card
from personalization.inspection.report import InspectionReport, report_to_html, report_to_json
from personalization.inspection.steps import JudgeReport, Step, Verdict
from personalization.intake import queue_message
from personalization.portrait import chip_portrait
from personalization.settings import StationSettings
from personalization.stages.certify import document_report
from personalization.stages.image import digits
from personalization.station.contact import Contact
from personalization.station.encode import set_pins
from personalization.station.ports import Terminal
from personalization.store.database import Database
from personalization.store.jobs import check_fence, finish_stage
from personalization.store.sealing import RecordRef, Vault
from personalization.withdrawal import destroy_keys
from pki.authorities import Authorities
from pki.certificate import read_certificate

ONE_TIME_PIN_DIGITS = 12


class CardFailed(Exception):
    """The card is not good; `reason_code` says by which judge."""

    def __init__(self, reason_code: str) -> None:
        super().__init__(reason_code)
        self.reason_code = reason_code


class Inspecting:
    """Judges cards at one station."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        hsm: Hsm,
        terminal: Terminal,
        station: StationSettings,
        pcsc_socket: Path | None,
        authorities: Authorities,
        source_name: str,
        third_party_judges: bool,
    ) -> None:
        self._database = database
        self._vault = vault
        self._hsm = hsm
        self._terminal = terminal
        self._station = station
        self._pcsc_socket = pcsc_socket
        self._authorities = authorities
        self._source_name = source_name
        self._third_party_judges = third_party_judges

    def inspect(self, card: PrintedCard, contact: Contact, clock: Callable[[], datetime]) -> VerifiedCard:
        """Judge, set the final PIN state, store all of it. Raises `CardFailed`, and the station's errors."""
        started = time.monotonic()
        ref = card.encoded.imaged.ref
        with self._database.begin() as connection:
            check_fence(connection, ref, clock())
        report = self._judge(card, contact, clock())
        verdicts = {judge.judge: judge.verdict.value for judge in report.judges}
        failed = sorted(name for name, verdict in verdicts.items() if verdict == Verdict.FAILED)
        if failed:
            raise CardFailed(f"inspection-{failed[0]}")
        verified = VerifiedCard(card, verdicts)
        with self._database.begin() as connection:
            milliseconds = int((time.monotonic() - started) * 1000)
            self._store(connection, verified, report, clock(), milliseconds)
        return verified

    def _judge(self, card: PrintedCard, contact: Contact, now: datetime) -> InspectionReport:
        imaged = card.encoded.imaged
        ref = imaged.ref
        profile = load_profile(ref.profile_id)
        expected = self._expected(card, profile)
        pins = {pin.name: (pin.value or digits(self._hsm, ONE_TIME_PIN_DIGITS)).encode("ascii") for pin in profile.pins}
        prefix = f"{ref.id}/{ref.fence}/inspect"
        self._set_pins(profile, contact, f"{prefix}/set", ref.fence, pins)
        own = inspect_card(
            self._terminal,
            expected,
            pins=pins,
            random_bytes=self._hsm.random_bytes,
            script_prefix=prefix,
            fence=ref.fence,
        )
        judges = [own.report]
        if self._third_party_judges:
            judges += self._third_parties(expected, own, pins, now)
        self._terminal.power_on()
        self._set_pins(profile, contact, f"{prefix}/final", ref.fence, None)
        final = check_final_pin_state(self._terminal, profile, script_prefix=f"{prefix}/final-state", fence=ref.fence)
        judges[0] = _with_step(own.report, final)
        return InspectionReport(
            job_id=ref.id,
            document_number=ref.document_number,
            chip_serial=contact.chip_serial,
            inspected_at=now,
            judges=tuple(judges),
        )

    def _third_parties(
        self, expected: Expected, own: OwnReport, pins: Mapping[str, bytes], now: datetime
    ) -> list[JudgeReport]:
        judges = []
        signatures = dict(own.report.signatures)
        if self._pcsc_socket is not None and self._station.reader is not None:
            self._terminal.release()
            judged = opensc.judge(
                reader_name=self._station.reader,
                pcsc_socket=str(self._pcsc_socket),
                other_readers=self._station.other_readers,
                atr=expected.atr,
                certificates=expected.certificates,
                pins=pins,
            )
            judges.append(judged)
            signatures.update(judged.signatures)
        read = own.files.certificates(expected.profile)
        begins = [read_certificate(der).not_before for der in expected.certificates.values()]
        judges.append(
            openssl.judge(
                certificates=read,
                issuing_ca=expected.issuing_ca,
                root=expected.root,
                csca=expected.csca,
                ef_sod=own.files.ef_sod,
                data_groups=own.files.data_groups,
                card_signatures=signatures,
                # A document may be issued ahead of its first day; its chain is judged at the first moment it is valid.
                at=max([now, *begins]),
            )
        )
        return judges

    def _set_pins(
        self, profile: CardProfile, contact: Contact, prefix: str, fence: int, values: Mapping[str, bytes] | None
    ) -> None:
        states = {pin.name: PinState.ACTIVE if values else pin.final_state for pin in profile.pins}
        set_pins(
            self._terminal,
            self._hsm,
            profile=profile,
            kdd=contact.kdd,
            states=states,
            values=values,
            host_challenge=self._hsm.random_bytes,
            script_prefix=prefix,
            fence=fence,
        )

    def _expected(self, card: PrintedCard, profile: CardProfile) -> Expected:
        imaged = card.encoded.imaged
        blank = card.encoded.blank
        record = imaged.certified.keyed.accepted.record
        ordered = record.images.portrait
        chip = chip_portrait(ordered, profile.portrait_maximum_bytes)
        if record.document.expiry_date is None:
            raise ValueError("the record rules let no chip document through without an expiry date")
        return Expected(
            profile=profile,
            image=imaged.image,
            atr=blank.atr,
            chip_serial=blank.chip_serial,
            cplc=blank.cplc,
            mrz=imaged.art.mrz,
            certificates=_ders(imaged.certified.certificates),
            issuing_ca=self._authorities.issuing.certificate,
            root=self._authorities.root.certificate,
            csca=self._authorities.csca.certificate,
            portrait_digest=bytes.fromhex(chip.chip_sha256),
            portrait_reencoded=chip.encoded_anew,
            fingerprints={
                finger.position: hashlib.sha256(finger.picture.data).digest() for finger in record.images.fingerprints
            },
            expires=record.document.expiry_date,
        )

    def _store(
        self,
        connection: Connection,
        verified: VerifiedCard,
        report: InspectionReport,
        now: datetime,
        milliseconds: int,
    ) -> None:
        encoded = verified.printed.encoded
        ref, blank = encoded.imaged.ref, encoded.blank
        finish_stage(
            connection,
            ref,
            Stage.INSPECT,
            {"verdicts": dict(verified.verdicts)},
            now=now,
            milliseconds=milliseconds,
            to=None,
            keep=False,
        )
        self._vault.seal(
            connection,
            RecordRef(ref.record_id, ref.revision),
            ref.id,
            {"report": report_to_json(report), "report-page": report_to_html(report)},
        )
        stock.settle(connection, blank.chip_serial, self._station.name, good=True, now=now)
        destroy_keys(connection, ref.id, now)
        detail = tuple(sorted(verified.verdicts.items()))
        record_events(
            connection,
            Event("card.verified", now, self._station.name, ref.record_id, ref.id, blank.chip_serial, detail=detail),
        )
        record = encoded.imaged.certified.keyed.accepted.record
        body = document_report(ref, "verified", encoded.imaged.certified.certificates, now) | {
            "chip_serial": blank.chip_serial,
            "issue_date": record.document.issue_date.isoformat(),
            "expiry_date": record.document.expiry_date.isoformat() if record.document.expiry_date else None,
        }
        queue_message(connection, self._source_name, "document", body, now)


def _ders(certificates: Mapping[str, IssuedCertificate]) -> dict[str, bytes]:
    return {slot: issued.der for slot, issued in certificates.items()}


def _with_step(report: JudgeReport, step: Step) -> JudgeReport:
    numbered = Step(len(report.steps) + 1, step.name, step.verdict, step.sentence)
    return JudgeReport(report.judge, (*report.steps, numbered), report.signatures)

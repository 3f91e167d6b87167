"""Stage `inspect`: the finished card is judged by our own steps, by OpenSC and by OpenSSL; then its PINs are blocked.

Power cut: before the commit the card is inspected again, with new one-time PINs; after it the blank counts as good
and the card in position is ejected.
"""

import hashlib
import logging
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
from personalization.flow import Blank, ImagedJob, PrintedCard, Stage, VerifiedCard
from personalization.inspection.judges import Bar, judge_card
from personalization.inspection.key_proof import check_final_pin_state
from personalization.inspection.own import Expected
from personalization.inspection.report import InspectionReport, report_to_html, report_to_json
from personalization.inspection.steps import JudgeReport, Verdict
from personalization.outgoing import report_document
from personalization.portrait import chip_portrait
from personalization.settings import StationSettings
from personalization.spoilage import FailedInspection
from personalization.stages.image import digits
from personalization.station.contact import Contact
from personalization.station.encode import set_pins
from personalization.station.ports import Terminal
from personalization.store.database import Database
from personalization.store.jobs import check_fence, finish_stage
from personalization.store.sealing import RecordRef, Vault
from personalization.withdrawal import destroy_keys
from pki.authorities import Authorities

ONE_TIME_PIN_DIGITS = 12

log = logging.getLogger("perso")


class CardFailed(Exception):
    """The card is not good; `reason_code` says by which judge, `inspection` is to be kept with the spoiled card."""

    def __init__(self, reason_code: str, inspection: FailedInspection) -> None:
        super().__init__(reason_code)
        self.reason_code = reason_code
        self.inspection = inspection


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
    ) -> None:
        self._database = database
        self._vault = vault
        self._hsm = hsm
        self._terminal = terminal
        self._station = station
        self._bar = Bar(terminal, pcsc_socket)
        self._authorities = authorities

    def inspect(
        self, card: PrintedCard, contact: Contact, clock: Callable[[], datetime], claimed: float
    ) -> VerifiedCard:
        """Judge, set the final PIN state, store all of it. Raises `CardFailed`, and the station's errors.

        `claimed`: when the job was claimed (`time.monotonic`); the whole time since is stored as `card_milliseconds`.
        """
        started = time.monotonic()
        ref = card.encoded.imaged.ref
        with self._database.begin() as connection:
            check_fence(connection, ref, clock())
        report = self._judge(card, contact, clock())
        verdicts = {name: verdict.value for name, verdict in report.verdicts().items()}
        bodies = {"report": report_to_json(report), "report-page": report_to_html(report)}
        if failed := sorted(name for name, verdict in verdicts.items() if verdict == Verdict.FAILED):
            _log_failed_steps(report)
            kept = FailedInspection(_result(verdicts, claimed), bodies, _milliseconds_since(started))
            raise CardFailed(f"inspection-{failed[0]}", kept)
        verified = VerifiedCard(card, verdicts)
        with self._database.begin() as connection:
            now = clock()
            finish_stage(
                connection,
                ref,
                Stage.INSPECT,
                _result(verdicts, claimed),
                now=now,
                milliseconds=_milliseconds_since(started),
                to=None,
                keep=False,
            )
            self._store(connection, verified, bodies, now)
        return verified

    def _judge(self, card: PrintedCard, contact: Contact, now: datetime) -> InspectionReport:
        imaged = card.encoded.imaged
        ref = imaged.ref
        profile = load_profile(ref.profile_id)
        pins = {pin.name: (pin.value or digits(self._hsm, ONE_TIME_PIN_DIGITS)).encode("ascii") for pin in profile.pins}
        prefix = f"{ref.id}/{ref.fence}/inspect"
        self._set_pins(profile, contact, f"{prefix}/set", ref.fence, pins)
        own, judges = judge_card(
            self._bar,
            expected_card(imaged, card.encoded.blank, self._authorities),
            pins=pins,
            random_bytes=self._hsm.random_bytes,
            script_prefix=prefix,
            fence=ref.fence,
            now=now,
        )
        self._terminal.power_on()
        self._set_pins(profile, contact, f"{prefix}/final", ref.fence, None)
        final = check_final_pin_state(self._terminal, profile, script_prefix=f"{prefix}/final-state", fence=ref.fence)
        judges.append(JudgeReport("own", (final,)))
        return InspectionReport(
            job_id=ref.id,
            document_number=ref.document_number,
            chip_serial=contact.chip_serial,
            inspected_at=now,
            judges=tuple(judges),
            files=own.files,
            certificates=own.files.certificates(profile),
        )

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

    def _store(
        self, connection: Connection, verified: VerifiedCard, bodies: Mapping[str, bytes], now: datetime
    ) -> None:
        encoded = verified.printed.encoded
        ref, blank = encoded.imaged.ref, encoded.blank
        self._vault.seal(connection, RecordRef(ref.record_id, ref.revision), ref.id, bodies)
        stock.settle(connection, blank.chip_serial, self._station.name, good=True, now=now)
        destroy_keys(connection, ref.id, now)
        detail = tuple(sorted(verified.verdicts.items()))
        record_events(
            connection,
            Event("card.verified", now, self._station.name, ref.record_id, ref.id, blank.chip_serial, detail=detail),
        )
        record = encoded.imaged.certified.keyed.accepted.record
        dates = {
            "issue_date": record.document.issue_date.isoformat(),
            "expiry_date": record.document.expiry_date.isoformat() if record.document.expiry_date else None,
        }
        report_document(connection, ref.id, "verified", now, dates)


def _result(verdicts: Mapping[str, str], claimed: float) -> dict[str, object]:
    return {"verdicts": dict(verdicts), "card_milliseconds": _milliseconds_since(claimed)}


def _milliseconds_since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)


def _log_failed_steps(report: InspectionReport) -> None:
    for judge in report.judges:
        for step in judge.steps:
            if step.verdict is Verdict.FAILED:
                log.warning("job %s: judge %s, step %d (%s) failed", report.job_id, judge.judge, step.number, step.name)


def expected_card(imaged: ImagedJob, blank: Blank, authorities: Authorities) -> Expected:
    """What a card must be, from its job, its blank and the authorities it was made under."""
    profile = load_profile(imaged.ref.profile_id)
    record = imaged.certified.keyed.accepted.record
    if record.document.expiry_date is None:
        raise ValueError("the record rules let no chip document through without an expiry date")
    chip = chip_portrait(record.images.portrait, profile.portrait_maximum_bytes)
    return Expected(
        profile=profile,
        image=imaged.image,
        atr=blank.atr,
        chip_serial=blank.chip_serial,
        cplc=blank.cplc,
        mrz=imaged.art.mrz,
        certificates={slot: issued.der for slot, issued in imaged.certified.certificates.items()},
        issuing_ca=authorities.issuing.certificate,
        root=authorities.root.certificate,
        csca=authorities.csca.certificate,
        portrait_digest=bytes.fromhex(chip.chip_sha256),
        portrait_reencoded=chip.encoded_anew,
        fingerprints={
            finger.position: hashlib.sha256(finger.picture.data).digest() for finger in record.images.fingerprints
        },
        expires=record.document.expiry_date,
    )

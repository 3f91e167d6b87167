"""The worker of one station: one process owns its reader, feeder and printer, and makes one card after the other.

At its start, and after every trouble, it asks the machine what stands in position and the ledger what that is; then
the ordinary code goes on from there. There is no other recovery: also a card that lost an answer is taken anew, under a
new fence, and counts as spoiled only when it went wrong again and again.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from card_profiles.model import CardProfile
from personalization.acceptance import open_job
from personalization.audit import Event, record_events
from personalization.centre import stock
from personalization.errors import FencedOut, Halt
from personalization.flow import (
    CertifiedJob,
    ChipSerial,
    ImagedJob,
    JobRef,
    KeyedJob,
    Stage,
)
from personalization.spoilage import FailedInspection, spoil_and_remake
from personalization.stages.certify import load_certificates
from personalization.stages.encode import Encoding, blank_of
from personalization.stages.image import load_image
from personalization.stages.inspect import CardFailed, Inspecting
from personalization.stages.printing import Printing
from personalization.station.contact import Contact
from personalization.station.errors import (
    AnswerUnreadable,
    CardAbsent,
    CardLost,
    ChannelBroken,
    ChipRefused,
    PrinterRefused,
    PrintGivenUp,
    WrongChip,
)
from personalization.station.ports import Feeder
from personalization.store.database import Database
from personalization.store.jobs import claim, held_by_station, next_fence, retake
from personalization.store.sealing import Vault

CARD_TRIES = 3
"""How often a card is taken anew, all from its first contact, before what went wrong counts against it."""

REFUSED_TRIES = 2
"""The same after a clear refusal by the chip."""

CONTACT_TRIES = 3
CONTACT_SECONDS = 3.0
"""A card that was just moved may be mute or mistaken for so long: it is asked again until then."""

CONTACT_PAUSE_SECONDS = 0.2
MOST_SPOILED_IN_A_ROW = 5
"""More than one document's attempts: then it is the machine, and every further blank would be lost too."""

UNHEARD = (CardAbsent, CardLost, ChipRefused, AnswerUnreadable)
TROUBLES = (*UNHEARD, ChannelBroken)

log = logging.getLogger("perso")


class StationWorker:
    """Makes cards at one station; the concrete parts are handed in by the assembly."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        feeder: Feeder,
        encoding: Encoding,
        printing: Printing,
        inspecting: Inspecting,
        station: str,
        owner: str,
        blank_profile: CardProfile,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._feeder = feeder
        self._encoding = encoding
        self._printing = printing
        self._inspecting = inspecting
        self._station = station
        self._owner = owner
        self._blank_profile = blank_profile
        self._clock = clock
        self._spoiled_in_a_row = 0
        self._blank_waits = False
        """A free blank stands in position (its job was withdrawn before they met): it is not asked again and again."""

    def run_once(self) -> bool:
        """Make one card, or clear the position; False where there is nothing to do now.

        Raises `Halt` where the line must stop; `StationUnavailable`, `StationJammed` and `HopperEmpty` where it waits.
        """
        claimed = time.monotonic()
        job = self._own_job()
        if job is None:
            machine = self._feeder.state()
            if machine.positioned and not self._blank_waits:
                self._clear_position()
            elif not machine.positioned and machine.hopper == 0:
                return False  # nothing is claimed that could not be started
            claimed = time.monotonic()
            job = self._next_job()
        if job is None:
            return False
        try:
            self._make(job, claimed)
        except FencedOut:
            # Cancelled while in hand: the ledger decides what becomes of the card.
            if self._feeder.state().positioned:
                self._clear_position()
        finally:
            self._vault.forget()
        return True

    def _own_job(self) -> JobRef | None:
        with self._database.begin() as connection:
            held = held_by_station(connection, self._station)
            return None if held is None else retake(connection, held, self._owner, self._database.now(connection))

    def _taken_anew(self, ref: JobRef) -> JobRef:
        with self._database.begin() as connection:
            return retake(connection, ref, self._owner, self._database.now(connection))

    def _next_job(self) -> JobRef | None:
        with self._database.begin() as connection:
            jobs = claim(
                connection,
                stage=Stage.ENCODE,
                owner=self._owner,
                limit=1,
                now=self._database.now(connection),
                station=self._station,
            )
        return jobs[0] if jobs else None

    def _make(self, ref: JobRef, claimed: float) -> None:
        imaged = self._open(ref)
        self._blank_waits = False
        self._feeder.load()
        for count in range(1, CARD_TRIES + 1):
            if count > 1:
                # A fence of its own makes the scripts of this try other scripts; the stages go on where they stood.
                ref = self._taken_anew(ref)
                imaged = self._open(ref)
            contact = self._contact(ref)
            try:
                encoded = self._encoding.encode(imaged, contact, self._clock)
                printed = self._printing.print(encoded, self._clock)
                self._inspecting.inspect(printed, contact, self._clock, claimed)
            except TROUBLES as error:
                log.warning("job %s, try %d: %s", ref.id, count, _what(error))
                if count >= (REFUSED_TRIES if isinstance(error, ChipRefused) else CARD_TRIES):
                    self._spoil(ref, ChipSerial(contact.chip_serial), _reason(error))
                    return
            except CardFailed as failed:
                self._spoil(ref, ChipSerial(contact.chip_serial), failed.reason_code, failed.inspection)
                return
            except PrintGivenUp as error:
                log.warning("job %s: %s", ref.id, error)
                self._spoil(ref, ChipSerial(contact.chip_serial), "print-given-up")
                return
            except PrinterRefused as error:
                raise Halt("printer-refused", f"station {self._station}: {error}") from None
            except WrongChip:
                raise Halt(
                    "wrong-chip", f"station {self._station} holds a chip that is not of the job's kind"
                ) from None
            else:
                self._spoiled_in_a_row = 0
                self._eject(good=True)
                return

    def _contact(self, ref: JobRef) -> Contact:
        """First contact; a card that stays mute is spoiled where it is known which one it is."""
        contact = self._ask(f"{ref.id}/{ref.fence}", ref.fence)
        if contact is not None:
            return contact
        with self._database.reading() as connection:
            bound = stock.bound_blank(connection, ref.id)
        if bound is None:
            raise self._mute()
        self._spoil(ref, bound.chip_serial, "card-mute")
        raise FencedOut(f"job {ref.id} ended: its card is mute")

    def _ask(self, script_prefix: str, fence: int) -> Contact | None:
        """What the card in position says of itself; None when it stays mute. An unknown one is asked again as well."""
        until = time.monotonic() + CONTACT_SECONDS
        contact, count = None, 0
        while count < CONTACT_TRIES or time.monotonic() < until:
            count += 1
            try:
                contact = self._encoding.first_contact(self._blank_profile, f"{script_prefix}/{count}", fence)
                with self._database.reading() as connection:
                    if stock.state_of(connection, ChipSerial(contact.chip_serial)) is not None:
                        return contact
            except UNHEARD as error:
                log.warning("first contact %s, try %d: %s", script_prefix, count, _what(error))
            self._encoding.release()
            time.sleep(CONTACT_PAUSE_SECONDS)
        return contact

    def _mute(self) -> Halt:
        return Halt("card-mute", f"station {self._station}: the card in position does not answer; take it out by hand")

    def _spoil(
        self, ref: JobRef, chip_serial: ChipSerial, reason: str, inspection: FailedInspection | None = None
    ) -> None:
        with self._database.begin() as connection:
            bound = stock.bound_blank(connection, ref.id)
            touched = chip_serial if bound is not None and bound.chip_serial == chip_serial else None
            spoil_and_remake(
                connection,
                ref,
                station=self._station,
                chip_serial=touched,
                reason=reason,
                now=self._clock(),
                inspection=inspection,
                vault=self._vault,
            )
        self._eject(good=False)
        self._spoiled_in_a_row += 1
        if self._spoiled_in_a_row == MOST_SPOILED_IN_A_ROW:
            raise Halt(
                "spoiled-in-a-row", f"{self._station} spoiled {MOST_SPOILED_IN_A_ROW} cards in a row, at last: {reason}"
            )

    def _eject(self, *, good: bool) -> None:
        self._encoding.release()  # a card that is moved while it is connected leaves the reader's service in doubt
        self._feeder.eject(good=good)

    def _clear_position(self) -> None:
        """A card stands in position and no job of ours holds it: the ledger says where it belongs."""
        with self._database.begin() as connection:
            fence = next_fence(connection)
        contact = self._ask(f"{self._station}/clear/{fence}", fence)
        if contact is None:
            raise self._mute()
        told = blank_of(contact)
        with self._database.begin() as connection:
            now = self._clock()
            state = stock.state_of(connection, told.chip_serial)
            if state is None:
                raise Halt("blank-unknown", f"station {self._station} holds a card that was never delivered")
            if state == "received":
                self._blank_waits = True  # loaded and not yet bound: the next job takes it
                return
            if state == "bound":
                if not stock.job_was_withdrawn(connection, told.chip_serial):
                    raise Halt(
                        "card-of-another-job", f"station {self._station} holds the card of a job it does not have"
                    )
                # Withdrawn while the card was in hand: destroyed as spoiled, not handed out.
                stock.settle(connection, told.chip_serial, self._station, good=False, now=now)
                record_events(connection, Event("card.spoiled", now, self._station, blank=told.chip_serial))
                state = stock.SPOILED
        self._eject(good=state == stock.GOOD)

    def _open(self, ref: JobRef) -> ImagedJob:
        with self._database.reading() as connection:
            accepted = open_job(connection, self._vault, ref)
            # The private halves are loaded by the stage that needs them, once the blank is bound.
            certified = CertifiedJob(KeyedJob(accepted, {}), load_certificates(connection, self._vault, ref))
            return load_image(connection, self._vault, certified)


def _reason(error: Exception) -> str:
    return {
        ChannelBroken: "channel-broken",
        ChipRefused: "chip-refused",
        CardLost: "card-lost",
        CardAbsent: "card-lost",
    }.get(type(error), "chip-unreadable")


def _what(error: Exception) -> str:
    # Purposes of commands, status words and the wire's words; never data (`station.errors`).
    return f"{_reason(error)} ({error})"

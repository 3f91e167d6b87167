"""Stage `encode`: one blank is bound to the job, then the chip is written and locked.

Power cut: the blank in position tells its serial; if it is bound to this job the same chip is written again from
the start (a chip takes a file again until it is locked) or, where it is locked already, goes to inspection as it is.
"""

import time
from collections.abc import Callable
from datetime import datetime

from card_profiles.model import CardProfile
from card_profiles.profile import load_profile
from hsm.ports import Hsm
from personalization.audit import Event, record_events
from personalization.centre import stock
from personalization.errors import Halt
from personalization.flow import Blank, ChipSerial, EncodedCard, ImagedJob, Stage
from personalization.stages.keys import load_keys
from personalization.station.contact import Contact, read_contact
from personalization.station.encode import check_chip, encode_card
from personalization.station.ports import Terminal
from personalization.store.database import Database
from personalization.store.jobs import check_fence, finish_stage, results, store_intent


class Encoding:
    """Writes chips at one station."""

    def __init__(self, *, database: Database, hsm: Hsm, terminal: Terminal, station: str) -> None:
        self._database = database
        self._hsm = hsm
        self._terminal = terminal
        self._station = station

    def first_contact(self, profile: CardProfile, script_prefix: str, fence: int) -> Contact:
        """Power the card in position and ask what it is."""
        return read_contact(self._terminal, profile.chip, script_prefix=script_prefix, fence=fence)

    def release(self) -> None:
        """Let the card in position go, unpowered: it may be moved."""
        self._terminal.release()

    def encode(self, job: ImagedJob, contact: Contact, clock: Callable[[], datetime]) -> EncodedCard:
        """Bind, write, lock.

        Raises `CardLost`, `ChannelBroken`, `ChipRefused`, `WrongChip`, `StationUnavailable`, `Halt`, `FencedOut`.
        """
        started = time.monotonic()
        ref = job.ref
        told = blank_of(contact)
        profile = load_profile(ref.profile_id)
        check_chip(profile, job.image, contact)  # before the blank is bound: a wrong one stays free
        with self._database.begin() as connection:
            now = clock()
            check_fence(connection, ref, now)
            bound = stock.bound_blank(connection, ref.id)
            if bound is not None and bound.chip_serial != told.chip_serial:
                raise Halt("card-swapped", f"station {self._station} holds another card than the one bound to {ref.id}")
            stock.bind(connection, told, ref.id, self._station, now)
            store_intent(connection, ref, Stage.ENCODE, told.chip_serial, now)
            if Stage.ENCODE in results(connection, ref.id, (Stage.ENCODE,)):
                return EncodedCard(job, told)
            keys = load_keys(connection, ref.id)
        report = encode_card(
            self._terminal,
            self._hsm,
            profile=profile,
            image=job.image,
            contact=contact,
            chip_keys_blobs={slot: key.wrapped for slot, key in keys.items()},
            host_challenge=self._hsm.random_bytes,
            script_prefix=f"{ref.id}/{ref.fence}",
            fence=ref.fence,
        )
        with self._database.begin() as connection:
            now = clock()
            finish_stage(
                connection,
                ref,
                Stage.ENCODE,
                {
                    "content_bytes": report.content_bytes,
                    "line_bytes": report.line_bytes,
                    "exchanges": report.exchanges,
                },
                now=now,
                milliseconds=int((time.monotonic() - started) * 1000),
                to=Stage.PRINT,
                keep=True,
            )
            record_events(
                connection, Event("card.encoded", now, self._station, ref.record_id, ref.id, told.chip_serial)
            )
        return EncodedCard(job, told)


def blank_of(contact: Contact) -> Blank:
    """What the engine keeps of a first contact."""
    return Blank(ChipSerial(contact.chip_serial), contact.atr, contact.cplc, contact.lot, contact.os_version)

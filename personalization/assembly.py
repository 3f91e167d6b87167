"""The one place that picks the concrete parts; nothing else knows which HSM, database, reader or printer runs."""

import functools
from datetime import UTC, datetime
from typing import Self

from card_profiles.model import CardProfile
from card_profiles.profile import load_profile, profile_for, published
from hsm.pkcs11 import open_hsm
from hsm.ports import Hsm
from personalization.acceptance import Acceptance
from personalization.centre import stock
from personalization.clerk import Clerk
from personalization.errors import Halt
from personalization.flow import JobId
from personalization.inspection.judges import Bar, judge_card
from personalization.inspection.report import InspectionReport, report_to_json
from personalization.intake import Intake
from personalization.preparing import Preparation
from personalization.records import load_places
from personalization.settings import Settings, StationSettings
from personalization.sources.http import HttpDocumentSystem
from personalization.stages.certify import Certification
from personalization.stages.encode import Encoding
from personalization.stages.image import Imaging, finished_job
from personalization.stages.inspect import Inspecting, expected_card
from personalization.stages.keys import make_keys
from personalization.stages.printing import Printing
from personalization.station.direct import DirectTerminal
from personalization.station.feeder import FeederClient
from personalization.station.pcsc import PcscTerminal
from personalization.station.ports import Terminal
from personalization.station.printer import IppPrinter
from personalization.station.trace import TracedTerminal
from personalization.station_worker import StationWorker
from personalization.store.database import Database
from personalization.store.sealing import Vault
from personalization.store.wakeups import Wakeups
from pki.authorities import load_authorities


def now() -> datetime:
    """The centre's clock."""
    return datetime.now(UTC)


class Parts:
    """What every worker process has: one database, one key store, one HSM session."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database_url)
        self.key_store = Database(settings.key_store_url)
        self.hsm: Hsm = open_hsm(settings.token)
        self.vault = Vault(self.key_store, self.hsm)
        self.clock = self.database.clock()
        self.wakeups = Wakeups(self.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let everything go."""
        self.hsm.close()
        self.wakeups.close()
        self.database.close()
        self.key_store.close()


def acceptance(parts: Parts) -> Acceptance:
    """What takes records in, however they come."""
    return Acceptance(
        database=parts.database,
        vault=parts.vault,
        places=load_places(),
        profile_for=functools.partial(profile_for, specimen=parts.settings.specimen),
    )


def clerk(parts: Parts) -> Clerk:
    """The clerk of the settings' source."""
    settings = parts.settings
    source = HttpDocumentSystem(settings.source_url)
    intake = Intake(
        database=parts.database,
        vault=parts.vault,
        acceptance=acceptance(parts),
        source=source,
        source_name=settings.source_name,
    )
    return Clerk(
        database=parts.database,
        intake=intake,
        source=source,
        source_name=settings.source_name,
        signer=parts.hsm,
        clock=parts.clock,
    )


def preparation(parts: Parts, owner: str) -> Preparation:
    """A preparing worker under this name."""
    settings = parts.settings
    authorities = load_authorities(settings.authorities)
    return Preparation(
        database=parts.database,
        vault=parts.vault,
        make=functools.partial(make_keys, parts.database, parts.hsm),
        certification=Certification(
            database=parts.database,
            vault=parts.vault,
            signer=parts.hsm,
            randomness=parts.hsm,
            authorities=authorities,
        ),
        imaging=Imaging(
            database=parts.database,
            vault=parts.vault,
            signer=parts.hsm,
            randomness=parts.hsm,
            authorities=authorities,
        ),
        owner=owner,
        clock=parts.clock,
    )


def station_worker(parts: Parts, station: StationSettings) -> StationWorker:
    """The worker that owns this station's reader, feeder and printer."""
    settings = parts.settings
    terminal = open_terminal(station)
    printer = IppPrinter(station.printer_uri)
    return StationWorker(
        database=parts.database,
        vault=parts.vault,
        feeder=FeederClient(station.feeder_socket),
        encoding=Encoding(
            database=parts.database, hsm=parts.hsm, terminal=encoding_terminal(terminal, station), station=station.name
        ),
        printing=Printing(database=parts.database, printer=printer, station=station.name),
        inspecting=Inspecting(
            database=parts.database,
            vault=parts.vault,
            hsm=parts.hsm,
            terminal=terminal,
            station=station,
            pcsc_socket=settings.pcsc_socket,
            authorities=load_authorities(settings.authorities),
        ),
        station=station.name,
        owner=station.name,
        blank_profile=blank_profile(specimen=settings.specimen),
        clock=parts.clock,
    )


def open_terminal(station: StationSettings) -> Terminal:
    """The station's reader over PC/SC, or its chip directly where there is no PC/SC."""
    if station.reader is not None:
        return PcscTerminal(station.reader)
    if station.chip_socket is None:
        raise ValueError(f"station {station.name} has neither a reader nor a chip socket")
    return DirectTerminal(station.chip_socket)


def encoding_terminal(terminal: Terminal, station: StationSettings) -> Terminal:
    """The terminal for encoding alone: where traces are wanted it writes them; the inspection's never does."""
    return terminal if station.trace_directory is None else TracedTerminal(terminal, station.trace_directory)


def blank_profile(*, specimen: bool) -> CardProfile:
    """How a blank of this line is talked to before its job is known: all profiles of a line share one chip."""
    profiles = (load_profile(profile_id) for profile_id in published())
    return next(profile for profile in profiles if profile.specimen is specimen)


def inspect_again(parts: Parts, station: StationSettings, job_id: str, chip_serial: str) -> bytes:
    """Judge a finished card in this station; the report as JSON. Specimen PINs are known, others blocked."""
    settings = parts.settings
    authorities = load_authorities(settings.authorities)
    with parts.database.reading() as connection:
        imaged = finished_job(connection, parts.vault, JobId(job_id))
        blank = stock.bound_blank(connection, imaged.ref.id)
    if blank is None or blank.chip_serial != chip_serial:
        raise Halt("card-swapped", "another card is bound to this job")
    profile = load_profile(imaged.ref.profile_id)
    pins = {pin.name: pin.value.encode("ascii") for pin in profile.pins if pin.value is not None}
    at = now()
    own, judges = judge_card(
        Bar(open_terminal(station), settings.pcsc_socket),
        expected_card(imaged, blank, authorities),
        pins=pins or None,
        random_bytes=parts.hsm.random_bytes,
        script_prefix=f"{job_id}/again",
        fence=imaged.ref.fence,
        now=at,
    )
    report = InspectionReport(
        job_id=job_id,
        document_number=imaged.ref.document_number,
        chip_serial=chip_serial,
        inspected_at=at,
        judges=tuple(judges),
        files=own.files,
        certificates=own.files.certificates(profile),
    )
    return report_to_json(report)

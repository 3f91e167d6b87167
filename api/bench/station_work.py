"""What a station's worker of a benchmark does: a card written, read and judged, and the bare wire beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from api.bench.engine_work import authorities_of, claim_and_open
from api.bench.workbench import Bench, Spent, spend
from card_profiles.model import PinState
from card_profiles.profile import load_profile
from personalization.flow import CertifiedJob, ImagedJob, KeyedJob, Stage
from personalization.inspection.own import inspect_card
from personalization.inspection.reading import read_card
from personalization.inspection.steps import Verdict
from personalization.stages.certify import load_certificates
from personalization.stages.encode import blank_of
from personalization.stages.image import load_image
from personalization.stages.inspect import expected_card
from personalization.stages.keys import load_keys
from personalization.station.contact import Contact, read_contact
from personalization.station.direct import DirectTerminal
from personalization.station.encode import EncodeReport, encode_card, set_pins
from personalization.station.feeder import FeederClient
from personalization.station.ports import Command, Outcome, Played, Script, ScriptId, Terminal

ANY_STATUS = frozenset(range(0x10000))
CARD_WAIT = timedelta(seconds=10)
KEPT_PINS = {"PIN1": b"1234", "PIN2": b"123456", "PUK": b"12345678"}
"""Of cards that no holder ever sees."""


class BenchFailed(Exception):
    """A card of the benchmark did not become what it should."""


@dataclass(frozen=True, slots=True)
class CardCost:
    """What one card cost at a station.

    `buffer_bytes`: the profile's largest command data; `largest_script`: commands in the longest script, all wrapped
    before the first is sent; `wire` and `raw_reading`: the same bytes without any work of ours.
    """

    content_bytes: int
    line_bytes: int
    exchanges: int
    buffer_bytes: int
    scripts: int
    largest_script: int
    encoding: Spent
    wire: Spent
    inspecting: Spent
    reading: Spent
    raw_reading: Spent


class _Listening:
    """A terminal that remembers what was played through it."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.scripts: list[Script] = []
        self.answers: list[Outcome] = []

    @property
    def reader_name(self) -> str | None:
        return self._terminal.reader_name

    def other_readers(self) -> tuple[str, ...]:
        return self._terminal.other_readers()

    def power_on(self) -> bytes:
        return self._terminal.power_on()

    def play(self, script: Script) -> Outcome:
        self.scripts.append(script)
        self.answers.append(self._terminal.play(script))
        return self.answers[-1]

    def release(self) -> None:
        self._terminal.release()


def make_card(bench: Bench, chip_socket: Path, control: Path) -> CardCost:
    """The next prepared job on the next blank: written, judged, and put out."""
    terminal: DirectTerminal = bench.keep("terminal", lambda: DirectTerminal(chip_socket, card_wait=CARD_WAIT))
    feeder = bench.keep("feeder", lambda: FeederClient(control))
    job = _next_job(bench)
    feeder.load()
    try:
        contact = _contact(terminal, job, "contact")
        listening = _Listening(terminal)
        encoding, report = _encode(bench, listening, job, contact)
        inspecting = _inspect(bench, terminal, job, contact)
        reading, raw_reading = _read(terminal, job)
        return CardCost(
            content_bytes=report.content_bytes,
            line_bytes=report.line_bytes,
            exchanges=report.exchanges,
            buffer_bytes=load_profile(job.ref.profile_id).chip.maximum_command_data_bytes,
            scripts=len(listening.scripts),
            largest_script=max(len(script.commands) for script in listening.scripts),
            encoding=encoding,
            wire=_bare_wire(terminal, job, listening.scripts),
            inspecting=inspecting,
            reading=reading,
            raw_reading=raw_reading,
        )
    finally:
        bench.parts.vault.forget()
        terminal.release()
        feeder.eject(good=True)


def _next_job(bench: Bench) -> ImagedJob:
    accepted = claim_and_open(bench, Stage.ENCODE, 1)
    if not accepted:
        raise BenchFailed("no job is prepared")
    with bench.parts.database.reading() as connection:
        ref = accepted[0].ref
        keyed = KeyedJob(accepted[0], load_keys(connection, ref.id))
        certified = CertifiedJob(keyed, load_certificates(connection, bench.parts.vault, ref))
        return load_image(connection, bench.parts.vault, certified)


def _contact(terminal: Terminal, job: ImagedJob, name: str) -> Contact:
    chip = load_profile(job.ref.profile_id).chip
    return read_contact(terminal, chip, script_prefix=f"{job.ref.id}/{name}", fence=job.ref.fence)


def _encode(bench: Bench, terminal: _Listening, job: ImagedJob, contact: Contact) -> tuple[Spent, EncodeReport]:
    def encode() -> EncodeReport:
        return encode_card(
            terminal,
            bench.parts.hsm,
            profile=load_profile(job.ref.profile_id),
            image=job.image,
            contact=contact,
            chip_keys_blobs={slot: key.wrapped for slot, key in job.certified.keyed.keys.items()},
            host_challenge=bench.parts.hsm.random_bytes,
            script_prefix=f"{job.ref.id}/encode",
            fence=job.ref.fence,
        )

    reports: list[EncodeReport] = []
    return _once(lambda: reports.append(encode())), reports[0]


def _bare_wire(terminal: Terminal, job: ImagedJob, scripts: Sequence[Script]) -> Spent:
    """As many commands of the same lengths, in clear, to the card that now refuses them: what the wire alone costs."""
    terminal.power_on()
    plain = tuple(
        Command(b"\x80\xe2" + command.apdu[2:], "bare wire", ANY_STATUS)
        for script in scripts
        for command in script.commands
    )
    return _once(lambda: terminal.play(Script(ScriptId(f"{job.ref.id}/wire"), job.ref.fence, plain)))


def _inspect(bench: Bench, terminal: Terminal, job: ImagedJob, contact: Contact) -> Spent:
    """Our own judge with all its steps, PINs and signatures of the card too. Raises `BenchFailed`."""
    profile = load_profile(job.ref.profile_id)
    pins = {pin.name: KEPT_PINS[pin.name] for pin in profile.pins}
    set_pins(
        terminal,
        bench.parts.hsm,
        profile=profile,
        kdd=contact.kdd,
        states=dict.fromkeys(pins, PinState.ACTIVE),
        values=pins,
        host_challenge=bench.parts.hsm.random_bytes,
        script_prefix=f"{job.ref.id}/pins",
        fence=job.ref.fence,
    )
    expected = expected_card(job, blank_of(contact), authorities_of(bench))

    def inspect() -> None:
        own = inspect_card(
            terminal,
            expected,
            pins=pins,
            random_bytes=bench.parts.hsm.random_bytes,
            script_prefix=f"{job.ref.id}/inspect",
            fence=job.ref.fence,
        )
        if failed := [step.name for step in own.report.steps if step.verdict is Verdict.FAILED]:
            raise BenchFailed(f"the inspection failed at {', '.join(failed)}")

    return _once(inspect)


def _read(terminal: Terminal, job: ImagedJob) -> tuple[Spent, Spent]:
    """Our reading of all files, then the same commands again as one bare script."""
    profile = load_profile(job.ref.profile_id)
    terminal.power_on()
    listening = _Listening(terminal)
    reading = _once(lambda: read_card(listening, profile, script_prefix=f"{job.ref.id}/read", fence=job.ref.fence))
    terminal.power_on()
    commands = tuple(Command(c.apdu, c.purpose, ANY_STATUS) for script in listening.scripts for c in script.commands)
    script = Script(ScriptId(f"{job.ref.id}/read-again"), job.ref.fence, commands)
    answers: list[Outcome] = []
    raw = _once(lambda: answers.append(terminal.play(script)))
    if _data_bytes(answers) != _data_bytes(listening.answers):
        raise BenchFailed("reading again gave other bytes")
    return reading, raw


def _data_bytes(outcomes: Sequence[Outcome]) -> int:
    return sum(len(r.data) for outcome in outcomes if isinstance(outcome, Played) for r in outcome.responses)


def _once(work: Callable[[], object]) -> Spent:
    def once() -> int:
        work()
        return 1

    return spend(once)

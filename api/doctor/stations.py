"""What stations are made of: the PC/SC service, readers, card printers. Nothing is connected, moved or printed."""

from collections.abc import Sequence
from datetime import timedelta

from api.apart import run_apart_within
from api.doctor.finding import Finding, failed, not_applicable, ok, warning
from api.doctor.looking import look_for_readers
from api.doctor.patient import Patient
from api.failure import CommandFailed
from personalization.station.errors import StationError
from personalization.station.pcsc_readers import reader_named
from personalization.station.printer import IppPrinter
from personalization.station.printer_status import PrinterState, PrinterStatus, printer_status

PCSC_SECONDS = 15.0
PRINTER_WAIT = timedelta(seconds=5)
START_PCSCD = "systemctl start pcscd.socket; where it runs, look at PCSCLITE_CSOCK_NAME or name its --pcsc-socket"


def check_pcsc(patient: Patient) -> Sequence[Finding]:
    """The service answers and lists the readers. They are not touched: a station may have a card in hand."""
    environment = {"PCSCLITE_CSOCK_NAME": str(patient.pcsc_socket)} if patient.pcsc_socket else {}
    try:
        listed = run_apart_within(PCSC_SECONDS, environment, look_for_readers)
    except CommandFailed as error:
        return [_no_service(patient, str(error)), *(_reader(name, None) for name in patient.readers)]
    said = ", ".join(listed) if listed else "no reader"
    service = ok("pcscd", "the PC/SC service answers")
    if not patient.readers:
        return [service, not_applicable("readers", f"listed: {said}; none was named by --reader")]
    return [service, *(_reader(name, listed) for name in patient.readers)]


def _no_service(patient: Patient, sentence: str) -> Finding:
    version = patient.answer_of("pcscd", "--version")
    if version is None:
        what_to_do = "apt-get install pcscd (or `make setup`), then systemctl start pcscd.socket"
        return failed("pcscd", f"{sentence}; pcscd is not installed", what_to_do)
    if patient.readers or patient.pcsc_socket:
        return failed("pcscd", sentence, START_PCSCD)
    installed = version.text.splitlines()[0] if version.text else "installed"
    what_to_do = f"simulated stations bring one of their own; for readers of this machine: {START_PCSCD}"
    return warning("pcscd", f"{sentence} ({installed})", what_to_do)


def _reader(name: str, listed: tuple[str, ...] | None) -> Finding:
    if listed is None:
        return failed(f"reader {name}", "not to be seen without the PC/SC service", "see pcscd")
    if reader_named(name, listed) is not None:
        return ok(f"reader {name}", "listed (not touched)")
    what_to_do = (
        "look at its cable and power; pcscd forgets a reader that failed: then restart it, with all stations idle"
    )
    return failed(f"reader {name}", f"not among the readers: {', '.join(listed) or 'there is none'}", what_to_do)


def check_printers(patient: Patient) -> Sequence[Finding]:
    """Each printer named by --printer."""
    if not patient.printers:
        return [not_applicable("printers", "none was named by --printer")]
    return [_printer(uri) for uri in patient.printers]


def _printer(uri: str) -> Finding:
    check = f"printer {uri}"
    try:
        printer = IppPrinter(uri, answer_wait=PRINTER_WAIT)
    except ValueError as error:
        return failed(check, str(error), "write it as ipp://HOST:PORT/PATH, or ipps for TLS")
    try:
        return judge_printer(check, printer_status(printer))
    except StationError as error:
        return failed(check, str(error), "is it switched on, and in this network? is the path of the URI right?")
    finally:
        printer.close()


def judge_printer(check: str, status: PrinterStatus) -> Finding:
    """What a printer's own words mean for the shift (RFC 8011 §5.4.11, §5.4.12)."""
    reasons = ", ".join(status.reasons)
    low = ", ".join(f"{each.name} {each.percent} %" for each in status.supplies if each.low)
    if status.state == PrinterState.STOPPED or any(each.endswith("-error") for each in status.reasons):
        sentence = f"{status.model} has stopped: {reasons or 'it does not say why'}"
        return failed(check, sentence, _mend(reasons))
    if not status.accepting:
        return failed(check, f"{status.model} takes no jobs", "let it take jobs again at its panel or queue")
    if status.state not in tuple(PrinterState):
        return warning(check, f"{status.model} tells no state", "look at the printer itself")
    if low:
        return warning(check, f"{status.model} is low on {low}", "lay new ribbon, film or laminate beside it")
    waiting = [each for each in status.reasons if not each.endswith("-report")]
    if waiting:
        return warning(check, f"{status.model} says {', '.join(waiting)}", _mend(reasons))
    supplies = ", ".join(f"{each.name} {each.percent} %" for each in status.supplies if each.percent is not None)
    how = "at work" if status.state == PrinterState.PROCESSING else "idle"
    return ok(check, f"{status.model}, {how}; {supplies or 'it tells no supply levels'}")


def _mend(reasons: str) -> str:
    for word, what_to_do in (
        ("jam", "take the jammed card out and look which job it was; it is a spoiled one"),
        ("cover", "close its cover"),
        ("door", "close its door"),
        ("media", "fill its card feeder with the right blanks"),
        ("marker-supply", "put new ribbon or film in"),
        ("paused", "resume it at its panel or queue"),
    ):
        if word in reasons:
            return what_to_do
    return "look at the printer's panel"

"""All checks, one after the other: each runs whatever the others found."""

from collections.abc import Callable, Sequence

from api.doctor.audit_log import check_audit
from api.doctor.certificates import check_certificates
from api.doctor.clock import check_clock
from api.doctor.finding import Finding, Status, failed
from api.doctor.machine import check_disk, check_permissions, check_programs, check_state
from api.doctor.patient import Patient
from api.doctor.stations import check_pcsc, check_printers
from api.doctor.stores import check_database, check_key_store
from api.doctor.token import check_token
from api.doctor.work import check_blanks, check_jobs
from api.failure import CommandFailed, sentence_of
from personalization.errors import EngineError, StoreUnavailable, place_of
from personalization.station.errors import StationError
from pki.errors import PkiError

Check = Callable[[Patient], Sequence[Finding]]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("state", check_state),
    ("programs", check_programs),
    ("permissions", check_permissions),
    ("disk", check_disk),
    ("database", check_database),
    ("key store", check_key_store),
    ("clock", check_clock),
    ("token", check_token),
    ("certificates", check_certificates),
    ("pcscd", check_pcsc),
    ("printers", check_printers),
    ("jobs", check_jobs),
    ("blanks", check_blanks),
    ("audit", check_audit),
)


def examine(patient: Patient, checks: Sequence[tuple[str, Check]] = CHECKS) -> tuple[Finding, ...]:
    """Everything that was found, in the order of the checks; a check that cannot be made is a finding itself."""
    return tuple(finding for name, check in checks for finding in _found(name, check, patient))


def all_well(findings: Sequence[Finding]) -> bool:
    """Nothing failed; warnings let the shift begin."""
    return all(finding.status is not Status.FAILED for finding in findings)


def _found(name: str, check: Check, patient: Patient) -> Sequence[Finding]:
    try:
        return check(patient)
    except StoreUnavailable as error:
        return [failed(name, f"not examined: {error}", "see database")]
    except (CommandFailed, EngineError, PkiError, StationError) as error:
        return [failed(name, f"not examined: {error}", "do what the sentence says, then examine again")]
    except OSError as error:
        return [failed(name, f"not examined: {sentence_of(error)}", "see permissions; is the file there?")]
    except Exception as error:  # noqa: BLE001 - the other checks are to run; its text may quote data: name the place
        sentence = f"not examined: {type(error).__name__} at {place_of(error)}"
        return [failed(name, sentence, "a fault of this program or data of another kind: tell its makers the sentence")]

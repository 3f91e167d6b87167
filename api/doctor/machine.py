"""The machine under the line: state directory, programs, permissions, disk."""

import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from api.doctor.finding import Finding, failed, not_applicable, ok, warning
from api.doctor.patient import Patient, file_of
from api.line import JUDGING_PROGRAMS

VERSIONS = {"openssl": ("openssl", "version"), "pkcs11-tool": ("opensc-tool", "--info")}
"""How the judging programs tell their versions; pkcs11-tool itself tells none and comes with opensc-tool."""
MIB = 1024**2


def check_state(patient: Patient) -> Sequence[Finding]:
    """Is there a line at all?"""
    root = patient.state.root
    if not root.is_dir() or not patient.state.softhsm_conf.exists():
        what_to_do = "name another --state, or make a line: `perso run`, or `perso ceremony FILE.toml`"
        return [failed("state", f"{root} holds no line", what_to_do)]
    return [ok("state", f"{root}, for {'specimen' if patient.state.specimen else 'production'} cards")]


def check_programs(patient: Patient) -> Sequence[Finding]:
    """The judges that are not ours."""
    return [_program(patient, name) for name in JUDGING_PROGRAMS]


def _program(patient: Patient, name: str) -> Finding:
    check = f"program {name}"
    asked = VERSIONS[name]
    if patient.answer_of(name, "--help" if name not in asked else asked[1]) is None:
        return failed(check, f"{name} is not installed", "apt-get install opensc openssl (or `make setup`)")
    answer = patient.answer_of(*asked)
    if answer is None or answer.code != 0 or not answer.text:
        return warning(check, f"{name} is there but {asked[0]} tells no version", "install the packages anew")
    return ok(check, answer.text.splitlines()[0])


def check_permissions(patient: Patient) -> Sequence[Finding]:
    """Token, PIN, key store, database and logs are for the line's user alone."""
    state = patient.state
    modes = {path: status for path in _private(patient) if (status := _status(path)) is not None}
    open_to_others = [path for path, status in modes.items() if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    of_others = [path for path, status in modes.items() if status.st_uid != patient.user]
    findings = []
    if not state.pin_file.exists():
        findings.append(failed("permissions", f"the PIN file {state.pin_file} is missing", "bring it back; see token"))
    if open_to_others:
        what_to_do = f"chmod -R go-rwx {state.root}; whoever could read the PIN or the keys' store is to be asked about"
        findings.append(failed("permissions", f"open to other users: {_listed(open_to_others)}", what_to_do))
    if of_others:
        owner = _name(modes[of_others[0]].st_uid)
        what_to_do = f"run this as {owner}, or give the files to the line's user: chown -R USER {state.root}"
        findings.append(failed("permissions", f"of another user ({owner}): {_listed(of_others)}", what_to_do))
    return findings or [ok("permissions", "token, PIN, databases and logs are for their user alone")]


def _private(patient: Patient) -> Iterator[Path]:
    state = patient.state
    yield from (state.root, state.softhsm_conf, state.pin_file, state.log_file, state.locks)
    yield state.token_directory
    yield from state.token_directory.rglob("*")
    for url in (patient.database_url, state.key_store_url):
        file = file_of(url)
        if file is not None:
            yield from (file, *(file.with_name(file.name + tail) for tail in ("-wal", "-shm", "-journal")))


def _status(path: Path) -> os.stat_result | None:
    """None for what is not there: a line at work makes and removes files beside its databases all the time."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths[:3])) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def check_disk(patient: Patient) -> Sequence[Finding]:
    """Free space on each file system that the line writes to."""
    places: dict[int, Path] = {}
    file = file_of(patient.database_url)
    for directory in (patient.state.root, *([file.parent] if file else [])):
        if directory.is_dir():
            places.setdefault(directory.stat().st_dev, directory)
    if not places:
        return [not_applicable("disk", "there is no directory of the line yet")]
    return [_disk(patient, directory) for directory in places.values()]


def _disk(patient: Patient, directory: Path) -> Finding:
    free = patient.free_bytes(directory)
    sentence = f"{free // MIB} MiB free where {directory} lies"
    what_to_do = (
        "make room: take old exports and logs away, or enlarge the file system; the state itself is never thinned"
    )
    if free < patient.limits.least_disk_bytes:
        return failed("disk", f"only {sentence}: a full disk stops the line in the middle of cards", what_to_do)
    if free < patient.limits.low_disk_bytes:
        return warning("disk", f"only {sentence}", what_to_do)
    return ok("disk", sentence)

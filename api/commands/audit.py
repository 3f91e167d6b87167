"""`perso audit export|verify`: the audit log, proven without trust in the database that holds it."""

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DatabaseError

from api.commands.opened_state import OpenedState, add_state_options, opened_state
from api.commands.terminal import console, plain, print_json
from api.failure import CommandFailed
from personalization.audit import last_checkpoint, log_entries, pending_count, verify_database
from personalization.audit_file import entries_of, lines_of, refuse_unsigned
from personalization.audit_verification import AuditBroken, Proven, read_anchors, verify_log
from pki.audit_key import AuditKey, evidenced_audit_key, read_audit_key


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the commands."""
    group = commands.add_parser("audit", help="export and prove the audit log").add_subparsers(
        required=True, metavar="ACTION"
    )
    export = group.add_parser("export", help="write the log up to its last checkpoint, for whoever proves it elsewhere")
    export.add_argument("file", type=Path, metavar="FILE.jsonl", help="must not exist yet")
    export.add_argument("--with-unsigned", action="store_true", help="also the events after the last checkpoint")
    add_state_options(export)
    export.set_defaults(command=export_log)
    verify = group.add_parser("verify", help="numbers, chain and signed checkpoints, of an export or of the database")
    verify.add_argument("file", type=Path, nargs="?", metavar="FILE.jsonl", help="an export (default: the database)")
    key = verify.add_mutually_exclusive_group()
    key.add_argument("--key", type=Path, metavar="FILE.der", help="public audit key, a ceremony's audit.spki.der")
    key.add_argument("--evidence", type=Path, metavar="DIR", help="a ceremony's directory: key and evidence.json")
    verify.add_argument(
        "--anchor", action="append", default=[], metavar="NUMBER:HASH", help="written down earlier; may be repeated"
    )
    verify.add_argument("--accept-unsigned", action="store_true", help="an export may go on after its last checkpoint")
    add_state_options(verify)
    verify.set_defaults(command=verify_audit)


def export_log(options: argparse.Namespace) -> int:
    """Write the log; a file without its last line was broken off. What is written has not been proven here."""
    with _opened(options) as opened, opened.database.reading() as connection:
        signed = last_checkpoint(connection)
        entries = log_entries(connection, through=None if options.with_unsigned else signed)
        descriptor = os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(lines_of(entries))
            file.flush()
            os.fsync(file.fileno())
    if options.json:
        print_json({"file": str(options.file), "checkpoint": signed})
    else:
        console().print(plain(f"{options.file}: last checkpoint {signed}"), soft_wrap=True)
    return 0


def verify_audit(options: argparse.Namespace) -> int:
    """0 only when everything that was asked for is proven; else the number and the kind of the break."""
    anchors = read_anchors(options.anchor)
    key, waiting = None, None
    try:
        if options.file is not None:
            key = _key(options)
            proven = _verify_file(options, key, anchors)
        else:
            with _opened(options) as opened:
                key = _key(options, opened)
                proven = verify_database(opened.database, key.public, anchors)
                with opened.database.reading() as connection:
                    waiting = pending_count(connection)
    except AuditBroken as broken:
        return _print_broken(options, broken)
    _print_proven(options, proven, key, waiting)
    return 0


def _verify_file(options: argparse.Namespace, key: AuditKey, anchors: Mapping[int, str]) -> Proven:
    with options.file.open("rb") as file:
        entries = entries_of(file)
        return verify_log(entries if options.accept_unsigned else refuse_unsigned(entries), key.public, anchors)


def _key(options: argparse.Namespace, opened: OpenedState | None = None) -> AuditKey:
    if options.key is not None:
        return read_audit_key(options.key)
    if options.evidence is not None:
        return evidenced_audit_key(options.evidence)
    if opened is None:
        raise CommandFailed("a file is proven under a public key: name it by --key FILE or --evidence DIR")
    return evidenced_audit_key(opened.directory.authorities(specimen=opened.directory.specimen))


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[OpenedState]:
    """The state; a database file that is gone is not made anew, for that one would hold a whole and empty log."""
    with opened_state(options) as opened:
        url = opened.database.engine.url
        if opened.database.is_sqlite and url.database and not Path(url.database).is_file():
            raise CommandFailed(f"there is no database {url.database}")
        try:
            yield opened
        except DatabaseError:
            raise CommandFailed("the database is damaged, or is none: it cannot be read") from None


def _print_broken(options: argparse.Namespace, broken: AuditBroken) -> int:
    if options.json:
        told = {"number": broken.number, "kind": broken.fault.value, "sentence": str(broken)}
        print_json({"ok": False, "broken": told})
    else:
        console().print(plain(f"BROKEN at number {broken.number} ({broken.fault.value}): {broken}"), soft_wrap=True)
    return 1


def _print_proven(options: argparse.Namespace, proven: Proven, key: AuditKey, waiting: int | None) -> None:
    if options.json:
        print_json(
            {
                "ok": True,
                "last": proven.last,
                "checkpoint": proven.signed,
                "unsigned": proven.unsigned,
                "unnumbered": waiting,
                "anchor": proven.anchor,
                "key_sha256": key.fingerprint,
            }
        )
        return
    lines = [f"numbers and chain hold from 1 to {proven.last}", f"signed up to the checkpoint of {proven.signed}"]
    if proven.unsigned:
        first = proven.signed + 1
        lines.append(f"{proven.unsigned} events from {first} on are chained but not signed yet: not proven to be ours")
    if waiting:
        lines.append(f"{waiting} events wait for a number: in no chain yet")
    lines.append(f"under the key with SHA-256 {key.fingerprint}; compare it with the ceremony's report")
    if proven.anchor:
        lines.append(f"write down elsewhere, and prove with it tomorrow: --anchor {proven.anchor}")
    for line in lines:
        console().print(plain(line), soft_wrap=True)

"""Holding a key ceremony: keys, certificates, evidence, by a plan that was checked whole.

Every step is whole or not done, and what is done is found again: a ceremony killed midway and started again with the
same plan, directory and token goes on where it was.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from card_profiles.codecs import ec_parameters
from card_profiles.codecs.errors import CodecError
from hsm.ceremony import KeyCeremony, KeyLetter
from hsm.ports import CardFunction, Curve, PublicKey
from pki.authorities import AUDIT_KEY, AUTHORITIES_FILE, CERTIFICATE_FILES, Authorities, Authority, authorities_json
from pki.ceremony_journal import Journal, write_whole
from pki.ceremony_plan import CeremonyPlan, PlannedAuthority, load_plan, plan_file
from pki.certificate import build_tbs, read_certificate, read_tbs, utc_seconds
from pki.errors import CeremonyRefused, LintRefused
from pki.evidence import REFERENCES, CertificateEvidence, Evidence, KeyEvidence, evidence_json, read_evidence
from pki.issuance import SERIAL_BYTES, new_serial, self_sign_certificate, sign_certificate
from pki.lint import lint_tbs

__all__ = [
    "AUDIT_FILE",
    "AUDIT_KEY",
    "EVIDENCE_FILE",
    "CeremonyPlan",
    "Evidence",
    "KeyLetterSource",
    "audit_public_key",
    "hold_ceremony",
    "load_plan",
    "masters_taken",
    "plan_file",
]

EVIDENCE_FILE = "evidence.json"
AUDIT_FILE = "audit.spki.der"
"""Public key of the audit log's checkpoints, DER SubjectPublicKeyInfo."""
_STORAGE_KEY, _RECORD_KEY, _EXCHANGE_KEY = "storage-key", "record-key", "exchange-key"
_MASTERS = tuple(f"master-{function}" for function in CardFunction)
_ISSUERS = {"root": "root", "issuing": "root", "csca": "csca", "document_signer": "csca"}

KeyLetterSource = Callable[[bytes], bytes]
"""Gives the chip maker's key letter (JSON) for an exchange key (DER SubjectPublicKeyInfo)."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A ceremony under way."""

    ceremony: KeyCeremony
    journal: Journal
    now: datetime

    def record(self, name: str, what: str) -> None:
        self.journal.record(name, self.now, what)

    def origin(self, label: str) -> str:
        found = label in self.journal.found
        return "found on the token, made by an earlier ceremony" if found else "made in this ceremony"


def hold_ceremony(
    plan: CeremonyPlan,
    ceremony: KeyCeremony,
    *,
    now: datetime,
    directory: Path,
    key_letter: KeyLetterSource | None,
) -> Evidence:
    """Make what the plan names and write certificates, `authorities.json` and `evidence.json` to `directory`.

    Shared keys (storage, record, exchange, audit, masters) are made once for each token: a second ceremony finds them
    and says so. Without `key_letter` missing masters stay missing until a later ceremony on the token
    brings a letter: then the same ceremony takes them in. A finished ceremony answers its kept evidence.
    Raises `CeremonyRefused`, `LintRefused`, and what the token raises (`hsm.errors`).
    """
    kept = _kept_evidence(plan, directory)
    complete = (directory / AUDIT_FILE).exists() and (key_letter is None or masters_taken(directory))
    if kept is not None and complete:
        return kept
    held = _Held(ceremony, Journal.open(plan, ceremony, directory, now), now)
    shared = _make_shared_keys(held, directory) + _take_masters(held, key_letter)
    keys = {field: _make_signing_key(held, planned) for field, planned in plan.authorities().items()}
    issued: dict[str, Authority] = {}
    for field, planned in plan.authorities().items():
        path = directory / CERTIFICATE_FILES[field]
        issued[field] = _issue(held, planned, keys[field], issued.get(_ISSUERS[field]), path)
    authorities = Authorities(plan.name, plan.specimen, **issued)
    write_whole(directory / AUTHORITIES_FILE, authorities_json(authorities))
    held.record("end", "set of authorities written")
    evidence = _evidence(plan, held, shared, authorities)
    write_whole(directory / EVIDENCE_FILE, evidence_json(evidence))
    return evidence


def masters_taken(directory: Path) -> bool:
    """Whether the ceremony of a directory is over and had the card masters. Raises `CeremonyRefused`."""
    path = directory / EVIDENCE_FILE
    return path.exists() and {key.label for key in read_evidence(path.read_bytes()).keys}.issuperset(_MASTERS)


def audit_public_key(directory: Path) -> PublicKey:
    """The key that checkpoints of the audit log verify under. Raises `CeremonyRefused`."""
    try:
        curve, point = ec_parameters.read_public_key_info((directory / AUDIT_FILE).read_bytes())
    except (OSError, CodecError):
        raise CeremonyRefused(
            f"{directory} has no readable {AUDIT_FILE}, so checkpoints cannot be checked; "
            "`perso ceremony` with the plan of these authorities writes it"
        ) from None
    return PublicKey(Curve(curve), point)


def _kept_evidence(plan: CeremonyPlan, directory: Path) -> Evidence | None:
    path = directory / EVIDENCE_FILE
    if not path.exists():
        return None
    evidence = read_evidence(path.read_bytes())
    if evidence.plan_sha256 != plan.sha256:
        raise CeremonyRefused("the directory holds the evidence of a ceremony by another plan")
    return evidence


def _make_shared_keys(held: _Held, directory: Path) -> list[KeyEvidence]:
    ceremony = held.ceremony
    there = ceremony.labels()
    makers: tuple[tuple[str, Callable[[], object]], ...] = (
        (_STORAGE_KEY, ceremony.make_storage_key),
        (_RECORD_KEY, ceremony.make_record_key),
        (_EXCHANGE_KEY, ceremony.make_exchange_key),
        (AUDIT_KEY, lambda: ceremony.make_signing_key(AUDIT_KEY, Curve.P256)),
    )
    for label, make in makers:
        if label not in there:
            make()
        held.record(f"key {label}", held.origin(label))
    audit = ceremony.signer().public_key(AUDIT_KEY)
    audit_info = ec_parameters.public_key_info(audit.curve, audit.point, False)
    write_whole(directory / AUDIT_FILE, audit_info)
    exchange = _sha256(ceremony.exchange_public_key())
    return [
        KeyEvidence(_STORAGE_KEY, "AES-256", "wraps holders' private keys", held.origin(_STORAGE_KEY), None),
        KeyEvidence(_RECORD_KEY, "AES-256", "encrypts data keys of records", held.origin(_RECORD_KEY), None),
        KeyEvidence(_EXCHANGE_KEY, "RSA-3072", "takes the masters in", held.origin(_EXCHANGE_KEY), exchange),
        KeyEvidence(AUDIT_KEY, audit.curve, "signs the audit log", held.origin(AUDIT_KEY), _sha256(audit_info)),
    ]


def _take_masters(held: _Held, key_letter: KeyLetterSource | None) -> list[KeyEvidence]:
    ceremony = held.ceremony
    missing = not ceremony.labels().issuperset(_MASTERS)
    if missing and key_letter is None:
        held.record("masters left out", "no key letter was given; cards cannot be made before one is")
        return []
    if missing and key_letter is not None:
        ceremony.import_masters(KeyLetter.from_json(key_letter(ceremony.exchange_public_key())))
    taken = any(label not in held.journal.found for label in _MASTERS)
    origin = "taken from the chip maker's key letter" if taken else "found on the token, taken in earlier"
    held.record("masters", f"masters of the chips: {origin}")
    return [KeyEvidence(label, "AES-256", "derives static keys of chips", origin, None) for label in _MASTERS]


def _make_signing_key(held: _Held, planned: PlannedAuthority) -> PublicKey:
    if planned.label in held.ceremony.labels():  # the journal accounts for it: made before this ceremony was broken off
        public = held.ceremony.signer().public_key(planned.label)
    else:
        public = held.ceremony.make_signing_key(planned.label, planned.curve)
    if public.curve != planned.curve:
        raise CeremonyRefused(f"the key under '{planned.label}' is on another curve than the plan's")
    held.record(f"key {planned.label}", "signing key made in this ceremony")
    return public


def _issue(
    held: _Held, planned: PlannedAuthority, public: PublicKey, issuer: Authority | None, path: Path
) -> Authority:
    """The authority of the certificate kept in `path`, or of a new one."""
    if not path.exists():
        write_whole(path, _sign(held, planned, public, issuer, path.with_suffix(".tbs")))
    certificate = path.read_bytes()
    if read_certificate(certificate).public_key() != public:
        raise CeremonyRefused(f"{path.name} is not the certificate of '{planned.label}'")
    held.record(f"certificate {planned.label}", "certificate linted, signed and written")
    return Authority(planned.label, certificate)


def _sign(held: _Held, planned: PlannedAuthority, public: PublicKey, issuer: Authority | None, intent: Path) -> bytes:
    """A certificate whose linted octets were kept in `intent` before they were signed: one serial number, one key."""
    if not intent.exists():
        write_whole(intent, _to_be_signed(held, planned, public, issuer))
    tbs = intent.read_bytes()
    if read_tbs(tbs).public_key() != public:
        raise CeremonyRefused(f"{intent.name} is not of the key '{planned.label}'")
    if issuer is None:
        return self_sign_certificate(held.ceremony.signer(), planned.label, tbs)
    return sign_certificate(held.ceremony.signer(), issuer, tbs)


def _to_be_signed(held: _Held, planned: PlannedAuthority, public: PublicKey, issuer: Authority | None) -> bytes:
    not_before = utc_seconds(held.now)
    not_after = planned.term.last_second(not_before)
    if issuer is not None:  # nothing outlives its issuer, also when the issuer was made on an earlier day
        not_after = min(not_after, read_certificate(issuer.certificate).not_after)
    issuer_der = None if issuer is None else issuer.certificate
    tbs = build_tbs(
        planned.profile,
        serial=new_serial(held.ceremony.random_bytes(SERIAL_BYTES)),
        subject=planned.subject,
        not_before=not_before,
        not_after=not_after,
        public_key=public,
        issuer=issuer_der,
    )
    findings = lint_tbs(planned.profile, tbs, issuer_der)
    if findings:
        raise LintRefused(findings)
    return tbs


def _evidence(plan: CeremonyPlan, held: _Held, shared: list[KeyEvidence], authorities: Authorities) -> Evidence:
    keys, certificates = list(shared), []
    for field, planned in plan.authorities().items():
        authority: Authority = getattr(authorities, field)
        read = read_certificate(authority.certificate)
        made = "made in this ceremony"
        keys.append(
            KeyEvidence(planned.label, planned.curve, planned.profile.title, made, _sha256(read.public_key_info))
        )
        certificates.append(
            CertificateEvidence(
                file=CERTIFICATE_FILES[field],
                label=planned.label,
                profile=planned.profile.id,
                serial=f"{read.serial:040x}",
                not_before=read.not_before.isoformat(),
                not_after=read.not_after.isoformat(),
                sha256=_sha256(authority.certificate),
            )
        )
    return Evidence(
        ceremony=plan.name,
        title=plan.title,
        specimen=plan.specimen,
        plan_sha256=plan.sha256,
        token=held.ceremony.token(),
        custodians_needed=plan.custodians_needed,
        people=plan.people,
        steps=held.journal.steps,
        keys=tuple(keys),
        certificates=tuple(certificates),
        references=REFERENCES,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

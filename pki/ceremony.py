"""Holding a key ceremony: keys, certificates, evidence, by a plan that was checked whole.

Every step is whole or not done, and what is done is found again: a ceremony killed midway and started again with the
same plan, directory and token goes on where it was.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from card_profiles.codecs import ec_parameters
from hsm.ceremony import KeyCeremony, KeyLetter
from hsm.ports import CardFunction, Curve, KeyLabel, PublicKey
from pki.authorities import AUTHORITIES_FILE, CERTIFICATE_FILES, Authorities, Authority, authorities_json
from pki.ceremony_journal import Journal, write_whole
from pki.ceremony_plan import CeremonyPlan, PlannedAuthority, load_plan, plan_file
from pki.certificate import build_tbs, read_certificate, read_tbs, utc_seconds
from pki.errors import CeremonyRefused, LintRefused
from pki.evidence import REFERENCES, CertificateEvidence, Evidence, KeyEvidence, evidence_json, read_evidence
from pki.issuance import SERIAL_BYTES, new_serial, self_sign_certificate, sign_certificate
from pki.lint import lint_tbs

__all__ = ["AUDIT_KEY", "CeremonyPlan", "Evidence", "KeyLetterSource", "hold_ceremony", "load_plan", "plan_file"]

AUDIT_KEY = KeyLabel("audit")
"""Signs checkpoints of the audit log; one for each token."""
EVIDENCE_FILE = "evidence.json"
_STORAGE_KEY, _RECORD_KEY, _EXCHANGE_KEY = "storage-key", "record-key", "exchange-key"
_MASTERS = tuple(f"master-{function}" for function in CardFunction)
_ISSUERS = {"root": "root", "issuing": "root", "csca": "csca", "document_signer": "csca"}

KeyLetterSource = Callable[[bytes], bytes]
"""Gives the chip maker's key letter (JSON) for an exchange key (DER SubjectPublicKeyInfo)."""


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
    and says so. Without `key_letter` missing masters stay missing. A finished ceremony answers its kept evidence.
    Raises `CeremonyRefused`, `LintRefused`, and what the token raises (`hsm.errors`).
    """
    kept = _kept_evidence(plan, directory)
    if kept is not None:
        return kept
    journal = Journal.open(plan, ceremony, directory, now)
    shared = _make_shared_keys(ceremony, journal, now)
    shared += _take_masters(ceremony, journal, now, key_letter)
    keys = {field: _make_signing_key(ceremony, journal, now, item) for field, item in plan.authorities().items()}
    issued: dict[str, Authority] = {}
    for field, planned in plan.authorities().items():
        issuer = issued.get(_ISSUERS[field])
        certificate = _issue(ceremony, planned, keys[field], issuer, now, directory / CERTIFICATE_FILES[field])
        issued[field] = Authority(planned.label, certificate)
        journal.record(f"certificate {planned.label}", now, "certificate linted, signed and written")
    authorities = Authorities(plan.name, plan.specimen, **issued)
    write_whole(directory / AUTHORITIES_FILE, authorities_json(authorities))
    journal.record("end", now, "set of authorities written")
    evidence = _evidence(plan, ceremony, journal, shared, authorities)
    write_whole(directory / EVIDENCE_FILE, evidence_json(evidence))
    return evidence


def _kept_evidence(plan: CeremonyPlan, directory: Path) -> Evidence | None:
    path = directory / EVIDENCE_FILE
    if not path.exists():
        return None
    evidence = read_evidence(path.read_bytes())
    if evidence.plan_sha256 != plan.sha256:
        raise CeremonyRefused("the directory holds the evidence of a ceremony by another plan")
    return evidence


def _make_shared_keys(ceremony: KeyCeremony, journal: Journal, now: datetime) -> list[KeyEvidence]:
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
        journal.record(f"key {label}", now, _how(label, journal))
    audit = ceremony.signer().public_key(AUDIT_KEY)
    audit_info = ec_parameters.public_key_info(audit.curve, audit.point, False)
    exchange = _sha256(ceremony.exchange_public_key())
    return [
        KeyEvidence(_STORAGE_KEY, "AES-256", "wraps holders' private keys", _how(_STORAGE_KEY, journal), None),
        KeyEvidence(_RECORD_KEY, "AES-256", "encrypts data keys of records", _how(_RECORD_KEY, journal), None),
        KeyEvidence(_EXCHANGE_KEY, "RSA-3072", "takes the masters in", _how(_EXCHANGE_KEY, journal), exchange),
        KeyEvidence(AUDIT_KEY, audit.curve, "signs the audit log", _how(AUDIT_KEY, journal), _sha256(audit_info)),
    ]


def _how(label: str, journal: Journal) -> str:
    return "found on the token, made by an earlier ceremony" if label in journal.found else "made in this ceremony"


def _take_masters(
    ceremony: KeyCeremony, journal: Journal, now: datetime, key_letter: KeyLetterSource | None
) -> list[KeyEvidence]:
    missing = not ceremony.labels().issuperset(_MASTERS)
    if missing and key_letter is None:
        return []
    if missing and key_letter is not None:
        ceremony.import_masters(KeyLetter.from_json(key_letter(ceremony.exchange_public_key())))
    taken = any(label not in journal.found for label in _MASTERS)
    origin = "taken from the chip maker's key letter" if taken else "found on the token, taken in earlier"
    journal.record("masters", now, f"masters of the chips: {origin}")
    return [KeyEvidence(label, "AES-256", "derives static keys of chips", origin, None) for label in _MASTERS]


def _make_signing_key(ceremony: KeyCeremony, journal: Journal, now: datetime, planned: PlannedAuthority) -> PublicKey:
    if planned.label in ceremony.labels():  # the journal accounts for it: made before this ceremony was broken off
        public = ceremony.signer().public_key(planned.label)
    else:
        public = ceremony.make_signing_key(planned.label, planned.curve)
    if public.curve != planned.curve:
        raise CeremonyRefused(f"the key under '{planned.label}' is on another curve than the plan's")
    journal.record(f"key {planned.label}", now, "signing key made in this ceremony")
    return public


def _issue(
    ceremony: KeyCeremony,
    planned: PlannedAuthority,
    public: PublicKey,
    issuer: Authority | None,
    now: datetime,
    path: Path,
) -> bytes:
    """The certificate kept in `path`, or a new one: linted, its octets kept as intent, then signed."""
    if path.exists():
        certificate = path.read_bytes()
        if read_certificate(certificate).public_key() != public:
            raise CeremonyRefused(f"{path.name} is not the certificate of '{planned.label}'")
        return certificate
    intent = path.with_suffix(".tbs")
    if not intent.exists():
        write_whole(intent, _to_be_signed(ceremony, planned, public, issuer, now))
    tbs = intent.read_bytes()
    if read_tbs(tbs).public_key() != public:
        raise CeremonyRefused(f"{intent.name} is not of the key '{planned.label}'")
    if issuer is None:
        certificate = self_sign_certificate(ceremony.signer(), planned.label, tbs)
    else:
        certificate = sign_certificate(ceremony.signer(), issuer, tbs)
    write_whole(path, certificate)
    return certificate


def _to_be_signed(
    ceremony: KeyCeremony, planned: PlannedAuthority, public: PublicKey, issuer: Authority | None, now: datetime
) -> bytes:
    not_before = utc_seconds(now)
    not_after = planned.term.last_second(not_before)
    if issuer is not None:  # nothing outlives its issuer, also when the issuer was made on an earlier day
        not_after = min(not_after, read_certificate(issuer.certificate).not_after)
    issuer_der = None if issuer is None else issuer.certificate
    tbs = build_tbs(
        planned.profile,
        serial=new_serial(ceremony.random_bytes(SERIAL_BYTES)),
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


def _evidence(
    plan: CeremonyPlan,
    ceremony: KeyCeremony,
    journal: Journal,
    shared: list[KeyEvidence],
    authorities: Authorities,
) -> Evidence:
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
        token=ceremony.token(),
        custodians_needed=plan.custodians_needed,
        people=plan.people,
        steps=journal.steps,
        keys=tuple(keys),
        certificates=tuple(certificates),
        references=REFERENCES,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

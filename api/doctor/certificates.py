"""Certificates of the authorities: unchanged since the ceremony, valid, long enough for what is issued under them."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from api.doctor.finding import Finding, failed, ok, warning
from api.doctor.patient import Patient
from card_profiles.profile import load_profile, published
from pki import object_identifiers as oids
from pki.audit_key import evidenced_audit_key
from pki.authorities import CERTIFICATE_FILES, Authority, load_authorities
from pki.ceremony import EVIDENCE_FILE
from pki.certificate import Certificate, read_certificate
from pki.errors import PkiError
from pki.evidence import read_evidence
from pki.lint.extension_values import usage_period
from pki.profile import load_certificate_profile

NEW_CEREMONY = "plan a key ceremony for its successor: `perso ceremony FILE.toml`"


def check_certificates(patient: Patient) -> Sequence[Finding]:
    """Each authority's certificate, and the evidence they came with."""
    try:
        authorities = load_authorities(patient.authorities)
        read = {field: read_certificate(getattr(authorities, field).certificate) for field in CERTIFICATE_FILES}
    except PkiError as error:
        what_to_do = (
            "hold the ceremony, or go on with it: `perso ceremony FILE.toml` (`perso run` holds the demonstration's)"
        )
        return [failed("certificates", str(error), what_to_do)]
    labels = {field: _label(getattr(authorities, field)) for field in read}
    return [_evidence(patient), *(_certificate(patient, field, read, labels[field]) for field in read)]


def _label(authority: Authority) -> str:
    return authority.label


def _evidence(patient: Patient) -> Finding:
    check, directory = "evidence", patient.authorities
    try:
        evidence = read_evidence((directory / EVIDENCE_FILE).read_bytes())
        evidenced_audit_key(directory)
    except (PkiError, OSError) as error:
        return failed(check, f"{error}", f"bring {directory} back as the ceremony left it")
    changed = [
        each.file
        for each in evidence.certificates
        if hashlib.sha256((directory / each.file).read_bytes()).hexdigest() != each.sha256
    ]
    if changed:
        what_to_do = f"somebody changed them: stop, and bring {directory} back as the ceremony left it"
        return failed(check, f"not the certificates of the ceremony: {', '.join(changed)}", what_to_do)
    return ok(check, "certificates and audit key are those of the ceremony's evidence")


def _certificate(patient: Patient, field: str, read: dict[str, Certificate], label: str) -> Finding:
    check, certificate, at = f"certificate {field.replace('_', ' ')}", read[field], patient.clock()
    ends, key_ends = certificate.not_after, _key_use_end(certificate)
    if at < certificate.not_before:
        sentence = f"{label} is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC"
        return failed(check, sentence, "look at the clock: the certificate is of the future")
    if at > ends:
        return failed(check, f"{label} ended on {ends:%Y-%m-%d}", f"nothing may be issued under it: {NEW_CEREMONY}")
    if key_ends is not None and at > key_ends:
        sentence = (
            f"the key of {label} may sign no more since {key_ends:%Y-%m-%d}; the certificate ends {ends:%Y-%m-%d}"
        )
        return failed(check, sentence, f"no document can be signed with it: {NEW_CEREMONY}")
    needed, why = _needed(patient, field, read)
    if ends < needed:
        sentence = f"{label} ends on {ends:%Y-%m-%d}, but {why} lasts until {needed:%Y-%m-%d}"
        return warning(check, sentence, f"what is issued now would be cut short: {NEW_CEREMONY}")
    limits = patient.limits
    # A document signer is changed every few months, at short notice; all others take a ceremony that must be planned.
    days = limits.key_use_notice_days if field == "document_signer" else limits.certificate_notice_days
    if key_ends is not None and key_ends - at < timedelta(days=days):
        sentence = f"the key of {label} may sign until {key_ends:%Y-%m-%d} only"
        return warning(check, sentence, NEW_CEREMONY)
    signing = f", its key signs until {key_ends:%Y-%m-%d}" if key_ends else ""
    return ok(check, f"{label} until {ends:%Y-%m-%d}{signing}")


def _key_use_end(certificate: Certificate) -> datetime | None:
    """End of the private key's use, where the certificate states one (ICAO 9303-12 §7.1.1.2)."""
    period = certificate.extensions.get(oids.PRIVATE_KEY_USAGE_PERIOD)
    return None if period is None else usage_period(period.value)[1]


def _needed(patient: Patient, field: str, read: dict[str, Certificate]) -> tuple[datetime, str]:
    """Until when the certificate must last for what is issued today, and what that is."""
    at = patient.clock()
    notice = at + timedelta(days=patient.limits.certificate_notice_days)
    if field in ("root", "issuing"):
        profiles = [load_profile(each) for each in published()]
        terms = [
            load_certificate_profile(key.certificate_profile).term
            for profile in profiles
            if profile.specimen is patient.state.specimen
            for key in profile.keys
        ]
        return max([notice, *(term.last_second(at) for term in terms)]), "a holder's certificate issued today"
    if field == "csca":
        signer = read["document_signer"]
        return max(notice, at + (signer.not_after - signer.not_before)), "a document signer certified today"
    key_ends = _key_use_end(read[field])
    # A document signer is made to outlive, from its key's last day on, the longest document.
    return (notice if key_ends is None else max(notice, at + (read[field].not_after - key_ends))), "a document of today"

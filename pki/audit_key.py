"""The audit log's public key, out of a file alone or held against a ceremony's evidence."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from card_profiles.codecs import ec_parameters
from card_profiles.codecs.errors import CodecError
from hsm.ports import Curve, PublicKey
from pki.authorities import AUDIT_KEY
from pki.ceremony import AUDIT_FILE, EVIDENCE_FILE
from pki.errors import CeremonyRefused
from pki.evidence import read_evidence


@dataclass(frozen=True, slots=True)
class AuditKey:
    """The key, and SHA-256 over its SubjectPublicKeyInfo in hex: what a ceremony's report prints."""

    public: PublicKey
    fingerprint: str


def read_audit_key(path: Path) -> AuditKey:
    """The key of a file (DER SubjectPublicKeyInfo). Raises `CeremonyRefused`."""
    try:
        octets = path.read_bytes()
        curve, point = ec_parameters.read_public_key_info(octets)
    except (OSError, CodecError):
        raise CeremonyRefused(f"{path} is not readable as a public key of an audit log") from None
    return AuditKey(PublicKey(Curve(curve), point), hashlib.sha256(octets).hexdigest())


def evidenced_audit_key(directory: Path) -> AuditKey:
    """The key of a ceremony's directory, if it is the one that the ceremony's evidence names.

    Raises `CeremonyRefused`. What this does not show: that nobody changed key and evidence together; whoever has the
    signed report on paper compares the fingerprint with that.
    """
    key = read_audit_key(directory / AUDIT_FILE)
    try:
        evidence = read_evidence((directory / EVIDENCE_FILE).read_bytes())
    except OSError:
        raise CeremonyRefused(f"{directory} has no readable {EVIDENCE_FILE}") from None
    named = {each.label: each.fingerprint for each in evidence.keys}
    if named.get(AUDIT_KEY) != key.fingerprint:
        raise CeremonyRefused(f"{directory / AUDIT_FILE} is not the key that the ceremony's evidence names")
    return key

"""The report of a key ceremony (EN 319 411-1 §6.5.1): who was there, what was done, what exists now."""

import json
from dataclasses import asdict, dataclass

from hsm.ceremony import TokenIdentity
from pki.ceremony_plan import Participant
from pki.errors import CeremonyRefused


@dataclass(frozen=True, slots=True)
class Step:
    """One finished step: name, when it was finished (ISO 8601, UTC), and one sentence."""

    name: str
    at: str
    what: str


@dataclass(frozen=True, slots=True)
class KeyEvidence:
    """One key on the token. `fingerprint` is SHA-256 over its SubjectPublicKeyInfo, hex; None for secret keys."""

    label: str
    algorithm: str
    purpose: str
    origin: str
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class CertificateEvidence:
    """One certificate made: file, profile, serial number (hex), ends (ISO 8601) and SHA-256 (hex)."""

    file: str
    label: str
    profile: str
    serial: str
    not_before: str
    not_after: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A clause, and where this ceremony answers it."""

    clause: str
    answer: str


REFERENCES = (
    Reference("EN 319 411-1 §6.5.1 (CA key pair generation: documented procedure)", "the plan, named by its SHA-256"),
    Reference("EN 319 411-1 §6.5.1 (roles, functions and responsibilities; dual control)", "people, custodians_needed"),
    Reference("EN 319 411-1 §6.5.1 (evidence and report of the ceremony)", "this report: steps, keys, certificates"),
    Reference("EN 319 411-1 §6.5.2 (keys made and kept in a secure cryptographic device)", "token, keys"),
    Reference("EN 319 411-1 §6.5.3 (periods for which keys and certificates are used)", "certificates"),
    Reference("EN 319 411-1 §6.5.4 (activation data under the custodians)", "people, custodians_needed"),
    Reference("ICAO Doc 9303-12 §4.1 (country signing CA and document signer keys)", "keys, certificates"),
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The whole report."""

    ceremony: str
    title: str
    specimen: bool
    plan_sha256: str
    token: TokenIdentity
    custodians_needed: int
    people: tuple[Participant, ...]
    steps: tuple[Step, ...]
    keys: tuple[KeyEvidence, ...]
    certificates: tuple[CertificateEvidence, ...]
    references: tuple[Reference, ...]


def evidence_json(evidence: Evidence) -> bytes:
    """The report as it is kept."""
    return json.dumps(asdict(evidence), indent=2, ensure_ascii=False).encode() + b"\n"


def read_evidence(data: bytes) -> Evidence:
    """The report as it was kept. Raises `CeremonyRefused`."""
    try:
        kept = json.loads(data)
        return Evidence(
            ceremony=kept["ceremony"],
            title=kept["title"],
            specimen=kept["specimen"],
            plan_sha256=kept["plan_sha256"],
            token=TokenIdentity(**kept["token"]),
            custodians_needed=kept["custodians_needed"],
            people=tuple(Participant(**item) for item in kept["people"]),
            steps=tuple(Step(**item) for item in kept["steps"]),
            keys=tuple(KeyEvidence(**item) for item in kept["keys"]),
            certificates=tuple(CertificateEvidence(**item) for item in kept["certificates"]),
            references=tuple(Reference(**item) for item in kept["references"]),
        )
    except (ValueError, KeyError, TypeError):
        raise CeremonyRefused("the kept evidence of the ceremony cannot be read") from None

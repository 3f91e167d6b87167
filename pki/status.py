"""The states of an issued certificate, as the engine keeps them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class CertificateState(StrEnum):
    """Intent is stored before the signature; a certificate is born on hold and good only at handover."""

    INTENT = "intent"
    ON_HOLD = "on-hold"
    GOOD = "good"
    REVOKED = "revoked"


class RevocationReason(StrEnum):
    """RFC 5280 §5.3.1, those a certificate on a card can meet; `certificateHold` is the state on-hold."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"


REASON_CODES: dict[RevocationReason, int] = {
    RevocationReason.UNSPECIFIED: 0,
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
}
"""CRLReason numbers, RFC 5280 §5.3.1."""

_NEXT: dict[CertificateState, frozenset[CertificateState]] = {
    CertificateState.INTENT: frozenset({CertificateState.ON_HOLD, CertificateState.REVOKED}),
    CertificateState.ON_HOLD: frozenset({CertificateState.GOOD, CertificateState.REVOKED}),
    CertificateState.GOOD: frozenset({CertificateState.ON_HOLD, CertificateState.REVOKED}),
    CertificateState.REVOKED: frozenset(),  # Regulation (EU) 910/2014 Art. 28(4): never reverted
}


class StateRefused(Exception):
    """A certificate cannot go from its state to the one asked for."""


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """State of one certificate since a moment (aware UTC); `reason` stands exactly when it is revoked."""

    serial: int
    state: CertificateState
    since: datetime
    reason: RevocationReason | None = None

    def __post_init__(self) -> None:
        if (self.state is CertificateState.REVOKED) != (self.reason is not None):
            raise StateRefused("a reason stands with a revoked certificate and with no other")


def advance(
    status: CertificateStatus, state: CertificateState, now: datetime, reason: RevocationReason | None = None
) -> CertificateStatus:
    """The next status. Raises `StateRefused`; a certificate whose storing failed is still revocable."""
    if state not in _NEXT[status.state]:
        raise StateRefused(f"a certificate cannot go from {status.state} to {state}")
    return CertificateStatus(status.serial, state, now, reason)

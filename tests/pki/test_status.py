"""States of certificates: what may follow what."""

import pytest

from pki.status import REASON_CODES, CertificateState, CertificateStatus, RevocationReason, StateRefused, advance
from tests.pki.made_up import NOW

BORN = CertificateStatus(1, CertificateState.INTENT, NOW)


def test_a_certificate_is_born_on_hold_and_good_at_handover() -> None:
    held = advance(BORN, CertificateState.ON_HOLD, NOW)
    good = advance(held, CertificateState.GOOD, NOW)
    assert advance(good, CertificateState.ON_HOLD, NOW).state is CertificateState.ON_HOLD
    with pytest.raises(StateRefused):
        advance(BORN, CertificateState.GOOD, NOW)


def test_a_revocation_is_never_reverted() -> None:
    revoked = advance(BORN, CertificateState.REVOKED, NOW, RevocationReason.SUPERSEDED)
    for state in CertificateState:
        with pytest.raises(StateRefused):
            advance(revoked, state, NOW, RevocationReason.SUPERSEDED)


def test_a_reason_stands_with_a_revocation_alone() -> None:
    with pytest.raises(StateRefused):
        advance(BORN, CertificateState.REVOKED, NOW)
    with pytest.raises(StateRefused):
        advance(BORN, CertificateState.ON_HOLD, NOW, RevocationReason.UNSPECIFIED)


def test_reason_codes_are_those_of_rfc_5280() -> None:
    assert set(REASON_CODES) == set(RevocationReason)
    assert REASON_CODES[RevocationReason.KEY_COMPROMISE] == 1

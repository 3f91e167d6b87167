"""Our own rules, run on every to-be-signed certificate before it may be signed.

One rule is one small function with its clause beside it. They catch what public linters pass over; public linters are
run beside them on every new shape of certificate.
"""

from collections.abc import Sequence
from types import MappingProxyType

from card_profiles.codecs.errors import CodecError
from pki.certificate_reading import TbsCertificate
from pki.errors import CertificateRefused
from pki.findings import Finding, Rule
from pki.lint.authorities import AUTHORITY_RULES
from pki.lint.basics import BASIC_RULES
from pki.lint.holders import HOLDER_RULES
from pki.lint.icao import CSCA_RULES, DOCUMENT_SIGNER_RULES
from pki.lint.linted import Linted, read_linted
from pki.lint.pairs import check_pair
from pki.lint.qualified import QUALIFIED_RULES
from pki.profile import CertificateProfile, Role

__all__ = ["RULES", "Finding", "Rule", "lint_pair", "lint_tbs"]

RULES = MappingProxyType(
    {
        Role.ROOT: (*BASIC_RULES, *AUTHORITY_RULES),
        Role.ISSUING_CA: (*BASIC_RULES, *AUTHORITY_RULES),
        Role.CSCA: (*BASIC_RULES, *AUTHORITY_RULES, *CSCA_RULES),
        Role.DOCUMENT_SIGNER: (*BASIC_RULES, *DOCUMENT_SIGNER_RULES),
        Role.SIGNATURE: (*BASIC_RULES, *HOLDER_RULES, *QUALIFIED_RULES),
        Role.AUTHENTICATION: (*BASIC_RULES, *HOLDER_RULES, *QUALIFIED_RULES),
    }
)
"""Rules by the role of a certificate's profile."""

_NOT_DER = "X.690; RFC 5280 §4.1"


def lint_tbs(profile: CertificateProfile, tbs: bytes, issuer_der: bytes | None) -> tuple[Finding, ...]:
    """What is wrong with to-be-signed octets under `profile`; empty when nothing is.

    `issuer_der` is the issuer's certificate, None for a self-signed one. Octets that cannot be read are one finding.
    """
    return _lint(profile, tbs, issuer_der)[1]


def lint_pair(pair: Sequence[tuple[CertificateProfile, bytes]], issuer_der: bytes) -> tuple[Finding, ...]:
    """What is wrong with the to-be-signed certificates of one card, one by one and together."""
    bodies: list[TbsCertificate] = []
    findings: list[Finding] = []
    for profile, tbs in pair:
        body, found = _lint(profile, tbs, issuer_der)
        findings += found
        bodies += [body] if body is not None else []
    return (*findings, *check_pair(bodies))


def _lint(
    profile: CertificateProfile, tbs: bytes, issuer_der: bytes | None
) -> tuple[TbsCertificate | None, tuple[Finding, ...]]:
    try:
        linted = read_linted(profile, tbs, issuer_der)
    except (CertificateRefused, CodecError) as error:
        return None, (Finding("der", _NOT_DER, str(error)),)
    return linted.tbs, tuple(found for rule in RULES[profile.role] if (found := _run(rule, linted)) is not None)


def _run(rule: Rule, linted: Linted) -> Finding | None:
    try:
        message = rule.check(linted)
    except (CertificateRefused, CodecError, ValueError) as error:
        message = f"the part this rule reads is not what it should be ({error})"
    return None if message is None else Finding(rule.name, rule.citation, message)

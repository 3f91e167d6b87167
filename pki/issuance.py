"""Issuing certificates: build, lint, (the caller stores the intent,) sign, check what came back.

The order matters: nothing reaches the HSM that was not linted, and nothing leaves that is not exactly the
linted octets under a signature that verifies.
"""

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache

from hsm.errors import SignatureMismatch
from hsm.ports import KeyLabel, PublicKey, Signer
from pki.authorities import Authority
from pki.certificate import Subject, assemble, build_tbs, read_certificate, read_tbs, utc_seconds
from pki.certificate_reading import signature_algorithm_of, split_certificate
from pki.ecdsa import digest, verify
from pki.errors import LintRefused, SignatureInvalid, ValidityRefused
from pki.lint import lint_pair
from pki.object_identifiers import SIGNATURE_HASHES
from pki.profile import CertificateProfile
from pki.terms import day_begins, day_ends

SERIAL_BYTES = 20


def new_serial(random_bytes: bytes) -> int:
    """A serial number of exactly 20 octets, positive, from 20 random octets (158 bits stay random).

    RFC 5280 §4.1.2.2: at most 20 octets, positive: the top bit is cleared; the next is set, so that none is short.
    """
    if len(random_bytes) != SERIAL_BYTES:
        raise ValueError(f"a serial number is made of {SERIAL_BYTES} random octets")
    return int.from_bytes(bytes([random_bytes[0] & 0x7F | 0x40]) + random_bytes[1:], "big")


def validity(
    issue_date: date, expiry_date: date, profile: CertificateProfile, now: datetime
) -> tuple[datetime, datetime]:
    """First and last second of a holder's certificate, UTC.

    It begins now, or with the document when that is issued later; it ends with the profile's term or with the
    document's last day in the country of issue, whichever is earlier. Raises `ValidityRefused`.
    """
    not_before = max(utc_seconds(now), day_begins(issue_date))
    not_after = min(profile.term.last_second(not_before), day_ends(expiry_date))
    if not_after <= not_before:
        raise ValidityRefused("the document ends before its certificates would begin")
    return not_before, not_after


def prepare_pair(
    profiles: Mapping[str, CertificateProfile],
    issuing: Authority,
    *,
    subject: Subject,
    public_keys: Mapping[str, PublicKey],
    serials: Mapping[str, int],
    not_before: datetime,
    not_after: datetime,
) -> Mapping[str, bytes]:
    """To-be-signed octets of one card's certificates by slot, linted one by one and as a pair.

    Raises `LintRefused`, `SubjectRefused`, and `ValueError` when the slots of the three mappings differ.
    """
    if not profiles.keys() == public_keys.keys() == serials.keys():
        raise ValueError("profiles, public keys and serial numbers are of the same slots")
    prepared = {
        slot: build_tbs(
            profile,
            serial=serials[slot],
            subject=subject,
            not_before=not_before,
            not_after=not_after,
            public_key=public_keys[slot],
            issuer=issuing.certificate,
        )
        for slot, profile in profiles.items()
    }
    findings = lint_pair([(profiles[slot], tbs) for slot, tbs in prepared.items()], issuing.certificate)
    if findings:
        raise LintRefused(findings)
    return prepared


def sign_certificate(signer: Signer, authority: Authority, tbs: bytes) -> bytes:
    """The DER certificate of linted octets, signed by the authority's key.

    Raises `SignatureMismatch` when what came back does not verify under the authority's certificate or does not hold
    exactly `tbs` (the line must halt), and what the signer raises.
    """
    return _sign(signer, authority.label, _public_key(authority.certificate), tbs)


def self_sign_certificate(signer: Signer, label: KeyLabel, tbs: bytes) -> bytes:
    """As `sign_certificate`, for an authority whose own certificate these octets will be."""
    return _sign(signer, label, read_tbs(tbs).public_key(), tbs)


def _sign(signer: Signer, label: KeyLabel, public: PublicKey, tbs: bytes) -> bytes:
    algorithm = signature_algorithm_of(tbs)
    value = digest(SIGNATURE_HASHES[algorithm], tbs)
    certificate = assemble(tbs, algorithm, signer.sign(label, value))
    held, _, signature = split_certificate(certificate)
    if held != tbs:
        raise SignatureMismatch("the certificate does not hold the octets that were linted")
    try:
        verify(public, value, signature)
    except SignatureInvalid:
        raise SignatureMismatch("a certificate's signature does not verify under its issuer's key") from None
    return certificate


@lru_cache(maxsize=64)
def _public_key(certificate: bytes) -> PublicKey:
    return read_certificate(certificate).public_key()

"""Certificates read from a card against what was issued, who issued it, and the document they stand on."""

from collections.abc import Mapping, Sequence

from card_profiles.codecs.errors import CodecError
from card_profiles.codecs.transliteration import fit_name
from personalization.inspection.steps import InspectionFailed, NotApplicable
from pki.certificate_reading import Certificate, read_certificate
from pki.ecdsa import digest, verify
from pki.errors import CertificateRefused, SignatureInvalid
from pki.names import attribute_text
from pki.object_identifiers import SIGNATURE_HASHES

MRZ_NAME_CHARACTERS = 30


def check_certificates(
    on_card: Mapping[str, bytes], issued: Mapping[str, bytes], issuing_ca: bytes, mrz: Sequence[str]
) -> str:
    """Equal to the issued ones, signed by the issuing CA, and of the person in the MRZ.

    Raises `InspectionFailed`, or `NotApplicable` when none were ordered and none are there.
    """
    if not issued:
        if on_card:
            raise InspectionFailed("The card holds certificates that nobody ordered.")
        raise NotApplicable("No certificates were ordered, and none are on the card.")
    if on_card.keys() != issued.keys():
        raise InspectionFailed("The card does not hold the certificates of exactly the slots that were ordered.")
    for slot, der in issued.items():
        if on_card[slot] != der:
            raise InspectionFailed(f"The certificate of slot {slot} is not the issued one.")
    authority = _read(issuing_ca, "issuing CA")
    read = {slot: _read(der, f"slot {slot}") for slot, der in on_card.items()}
    for slot, certificate in read.items():
        _check_issuer(certificate, authority, slot)
    if len({certificate.subject for certificate in read.values()}) != 1:
        raise InspectionFailed("The certificates of the card have different subjects.")
    if len({certificate.public_key_info for certificate in read.values()}) != len(read):
        raise InspectionFailed("Two slots of the card have the same public key.")
    _check_holder(next(iter(read.values())).subject, mrz)
    return (
        f"{len(read)} certificates equal the issued ones, are signed by the issuing CA, and name the holder of the "
        "machine readable zone."
    )


def _read(der: bytes, what: str) -> Certificate:
    try:
        return read_certificate(der)
    except CertificateRefused:
        raise InspectionFailed(f"The certificate of {what} cannot be read.") from None


def _check_issuer(certificate: Certificate, authority: Certificate, slot: str) -> None:
    if certificate.issuer != authority.subject:
        raise InspectionFailed(f"The certificate of slot {slot} names another issuer.")
    try:
        hash_name = SIGNATURE_HASHES[certificate.body.signature_algorithm]
        verify(authority.public_key(), digest(hash_name, certificate.tbs), certificate.signature)
    except (SignatureInvalid, CertificateRefused):
        raise InspectionFailed(f"The certificate of slot {slot} is not signed by the issuing CA.") from None
    if certificate.not_after > authority.not_after:
        raise InspectionFailed(f"The certificate of slot {slot} ends after its issuing CA.")


def _check_holder(subject: bytes, mrz: Sequence[str]) -> None:
    try:
        surname = attribute_text(subject, "surname") or ""
        given_names = attribute_text(subject, "givenName") or ""
        name = fit_name(surname, given_names, MRZ_NAME_CHARACTERS) if surname else ""
    except CodecError:
        raise InspectionFailed("The subject of the certificates cannot be read.") from None
    if len(mrz) != 3 or name != mrz[2]:
        raise InspectionFailed("The certificates name another holder than the machine readable zone.")

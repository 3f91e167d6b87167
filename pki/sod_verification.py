"""Passive authentication of a finished card, step by step (ICAO Doc 9303-11 §5.1, 9303-12 §7.1).

Left to the caller: revocation of the document signer, and that `csca` itself is trusted.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime

from card_profiles.codecs import der
from card_profiles.codecs.errors import CodecError
from pki import object_identifiers as oids
from pki.certificate import Certificate, read_certificate
from pki.ecdsa import digest, verify
from pki.errors import CertificateRefused, SignatureInvalid, SodRefused
from pki.lint import extension_values as values
from pki.names import attribute_text, read_name
from pki.sod_reading import SecurityObject, SignedObject, read_ef_sod, read_security_object, read_signing_time
from pki.terms import day_ends

_DIRECTORY_NAME = 0xA4
_FILLER = "<"


def verify_ef_sod(
    ef_sod: bytes, data_groups: Mapping[int, bytes], csca: bytes, *, document_type_code: str, expires: date
) -> None:
    """Verify an EF.SOD against the files beside it and the country signing CA's certificate.

    `data_groups` are whole EFs by number; `document_type_code` the first field of the MRZ, filler allowed; `expires`
    the document's last day. Raises `SodRefused` with the step that failed.
    """
    signed, document_signer, authority = _step_1_structure(ef_sod, csca)
    listed = _step_2_security_object(signed)
    _step_3_data_groups(listed, data_groups)
    signing_time = _step_4_signed_attributes(signed)
    _step_5_signer_named(signed, document_signer)
    _step_6_signature(signed, document_signer)
    _step_7_chain(document_signer, authority)
    _step_8_authority(authority)
    _step_9_key_usage(document_signer, signing_time)
    _step_10_document_type(document_signer, document_type_code)
    _step_11_country(document_signer, authority, data_groups)
    _step_12_outlives(document_signer, expires)


@contextmanager
def _step(name: str) -> Iterator[None]:
    """What a step cannot read or verify is that step's refusal."""
    try:
        yield
    except (CodecError, CertificateRefused, SignatureInvalid) as error:
        raise SodRefused(name, str(error)) from None


@_step("1-structure")
def _step_1_structure(ef_sod: bytes, csca: bytes) -> tuple[SignedObject, Certificate, Certificate]:
    """One SignedData in DER with one signer, whose certificate is inside."""
    signed = read_ef_sod(ef_sod)
    return signed, read_certificate(signed.certificate), read_certificate(csca)


@_step("2-security-object")
def _step_2_security_object(signed: SignedObject) -> SecurityObject:
    """An LDS security object V1 with one hash algorithm."""
    if signed.content_type != oids.LDS_SECURITY_OBJECT:
        raise SodRefused("2-security-object", "the content is not an LDS security object")
    listed = read_security_object(signed.content)
    if (listed.lds_version, listed.unicode_version) != ("0108", "040000"):
        raise SodRefused("2-security-object", "the LDS or Unicode version is not 1.8 and 4.0.0")
    return listed


@_step("3-data-groups")
def _step_3_data_groups(listed: SecurityObject, data_groups: Mapping[int, bytes]) -> None:
    """The files present are the files listed, and every hash agrees."""
    if listed.hashes.keys() != data_groups.keys():
        raise SodRefused("3-data-groups", "the data groups present are not those listed")
    for number, content in sorted(data_groups.items()):
        if digest(listed.hash_name, content) != listed.hashes[number]:
            raise SodRefused("3-data-groups", f"data group {number} has another hash")


@_step("4-signed-attributes")
def _step_4_signed_attributes(signed: SignedObject) -> datetime:
    """Content type and message digest speak of this content; the signing time is there (RFC 5652 §5.4, §11)."""
    found = signed.attribute_values
    if not {oids.CONTENT_TYPE, oids.MESSAGE_DIGEST, oids.SIGNING_TIME} <= found.keys():
        raise SodRefused("4-signed-attributes", "a signed attribute is missing")
    if found[oids.CONTENT_TYPE] != der.oid(oids.LDS_SECURITY_OBJECT):
        raise SodRefused("4-signed-attributes", "the content type is another")
    if found[oids.MESSAGE_DIGEST] != der.octet_string(digest(signed.hash_name, signed.content)):
        raise SodRefused("4-signed-attributes", "the message digest is not the content's")
    return read_signing_time(found[oids.SIGNING_TIME])


@_step("5-signer-named")
def _step_5_signer_named(signed: SignedObject, document_signer: Certificate) -> None:
    """The signer is named by issuer and serial number, and they are those of the certificate inside."""
    if signed.issuer_and_serial != der.sequence(document_signer.issuer, der.integer(document_signer.serial)):
        raise SodRefused("5-signer-named", "the certificate inside is not the signer's")


@_step("6-signature")
def _step_6_signature(signed: SignedObject, document_signer: Certificate) -> None:
    """The document signer's key signed the attributes."""
    verify(document_signer.public_key(), digest(signed.signature_hash, signed.attributes), signed.signature)


@_step("7-chain")
def _step_7_chain(document_signer: Certificate, authority: Certificate) -> None:
    """The document signer's certificate is by the country signing CA (RFC 5280 §6.1.3)."""
    if document_signer.issuer != authority.subject:
        raise SodRefused("7-chain", "the document signer's issuer is another")
    named = document_signer.extensions.get(oids.AUTHORITY_KEY_IDENTIFIER)
    if named is None or values.authority_key_identifier(named.value) != authority.body.key_identifier():
        raise SodRefused("7-chain", "the authority key identifier is not the country signing CA's")
    hash_name = oids.SIGNATURE_HASHES[document_signer.body.signature_algorithm]
    verify(authority.public_key(), digest(hash_name, document_signer.tbs), document_signer.signature)
    if not authority.not_before <= document_signer.not_before <= authority.not_after:
        raise SodRefused("7-chain", "the document signer's certificate does not begin inside the CA's validity")


@_step("8-authority")
def _step_8_authority(authority: Certificate) -> None:
    """The country signing CA may sign certificates."""
    constraints = authority.extensions.get(oids.BASIC_CONSTRAINTS)
    usage = authority.extensions.get(oids.KEY_USAGE)
    if constraints is None or not values.basic_constraints(constraints.value)[0]:
        raise SodRefused("8-authority", "the issuer is not a CA")
    if usage is None or oids.KEY_USAGE_BITS["keyCertSign"] not in values.key_usage(usage.value):
        raise SodRefused("8-authority", "the issuer's key may not sign certificates")


@_step("9-key-usage")
def _step_9_key_usage(document_signer: Certificate, signing_time: datetime) -> None:
    """The key signs documents, and was in its usage period when it did (ICAO 9303-12 §7.1.1.3)."""
    usage = document_signer.extensions.get(oids.KEY_USAGE)
    if usage is None or values.key_usage(usage.value) != {oids.KEY_USAGE_BITS["digitalSignature"]}:
        raise SodRefused("9-key-usage", "the key usage is not digitalSignature")
    if not document_signer.not_before <= signing_time <= document_signer.not_after:
        raise SodRefused("9-key-usage", "the signing time is outside the certificate's validity")
    period = document_signer.extensions.get(oids.PRIVATE_KEY_USAGE_PERIOD)
    if period is None:
        raise SodRefused("9-key-usage", "the private key usage period is missing")
    start, end = values.usage_period(period.value)
    if (start is not None and signing_time < start) or (end is not None and signing_time > end):
        raise SodRefused("9-key-usage", "the signing time is outside the private key usage period")


@_step("10-document-type")
def _step_10_document_type(document_signer: Certificate, code: str) -> None:
    """The certificate lists this type of document (ICAO 9303-12 §7.1.1.6)."""
    listed = document_signer.extensions.get(oids.DOCUMENT_TYPE)
    if listed is None or code.rstrip(_FILLER) not in values.document_types(listed.value)[1]:
        raise SodRefused("10-document-type", "the document signer may not sign this type of document")


@_step("11-country")
def _step_11_country(document_signer: Certificate, authority: Certificate, data_groups: Mapping[int, bytes]) -> None:
    """One country: CA, document signer, and the issuing state of the MRZ in DG1 where that is given."""
    names = (authority.subject, document_signer.issuer, document_signer.subject)
    if len({attribute_text(name, "C") for name in names}) != 1:
        raise SodRefused("11-country", "country signing CA and document signer are of different countries")
    state = _issuing_state(data_groups.get(1))
    alternative = document_signer.extensions.get(oids.SUBJECT_ALT_NAME)
    if alternative is None:
        raise SodRefused("11-country", "the document signer's alternative name is missing")
    directory = [name.content for name in values.general_names(alternative.value) if name.tag == _DIRECTORY_NAME]
    localities = [part.text for name in directory for part in read_name(name) if part.name == "L"]
    if state is not None and state not in localities:
        raise SodRefused("11-country", "the MRZ's issuing state is not the document signer's")


def _issuing_state(data_group_1: bytes | None) -> str | None:
    """Characters 3 to 5 of the MRZ, without filler (ICAO 9303-10 §4.7.1: 61 L 5F1F L MRZ)."""
    if data_group_1 is None:
        return None
    place = data_group_1.find(b"\x5f\x1f", 1, 6)
    if data_group_1[:1] != b"\x61" or place < 0:
        raise SodRefused("11-country", "data group 1 holds no MRZ")
    return data_group_1[place + 5 : place + 8].decode("ascii", "replace").rstrip(_FILLER)


@_step("12-outlives")
def _step_12_outlives(document_signer: Certificate, expires: date) -> None:
    """The certificate is good as long as the document is."""
    if document_signer.not_after < day_ends(expires):
        raise SodRefused("12-outlives", "the document signer's certificate ends before the document")

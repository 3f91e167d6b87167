"""Extensions of certificates in DER, as a profile asks for them."""

from datetime import datetime
from functools import cache

from card_profiles.codecs import der
from pki import object_identifiers as oids
from pki.profile import ISSUER_KEY_ID, CertificateProfile, Qualified, TravelDocument

CRITICAL = frozenset({oids.KEY_USAGE, oids.BASIC_CONSTRAINTS})
"""Extensions that are critical wherever they stand (RFC 5280 §4.2.1.3, §4.2.1.9); no other one is."""


@cache
def expected_extensions(profile: CertificateProfile) -> frozenset[str]:
    """Dotted types of the extensions that a certificate of this profile has: these and no others."""
    document = profile.travel_document
    wanted = {
        oids.AUTHORITY_KEY_IDENTIFIER: profile.authority_key_identifier,
        oids.SUBJECT_KEY_IDENTIFIER: True,
        oids.KEY_USAGE: True,
        oids.BASIC_CONSTRAINTS: profile.basic_constraints is not None,
        oids.CERTIFICATE_POLICIES: bool(profile.policies),
        oids.EXTENDED_KEY_USAGE: bool(profile.extended_key_usage),
        oids.CRL_DISTRIBUTION_POINTS: bool(profile.crl),
        oids.AUTHORITY_INFORMATION: profile.authority_information is not None,
        oids.QC_STATEMENTS: profile.qualified is not None,
        oids.SUBJECT_ALT_NAME: document is not None,
        oids.ISSUER_ALT_NAME: document is not None,
        oids.PRIVATE_KEY_USAGE_PERIOD: document is not None,
        oids.DOCUMENT_TYPE: document is not None and bool(document.document_types),
    }
    return frozenset(oid for oid, is_wanted in wanted.items() if is_wanted)


def extension(oid: str, value: bytes) -> bytes:
    """One Extension; key usage and basic constraints are critical, `critical FALSE` is never written (X.690 §11.5)."""
    critical = (der.boolean(True),) if oid in CRITICAL else ()
    return der.sequence(der.oid(oid), *critical, der.octet_string(value))


def authority_key_identifier(issuer_key_id: bytes) -> bytes:
    """RFC 5280 §4.2.1.1, keyIdentifier alone."""
    return extension(oids.AUTHORITY_KEY_IDENTIFIER, der.sequence(der.implicit(0, issuer_key_id)))


def subject_key_identifier(key_id: bytes) -> bytes:
    """RFC 5280 §4.2.1.2."""
    return extension(oids.SUBJECT_KEY_IDENTIFIER, der.octet_string(key_id))


def private_key_usage_period(not_before: datetime, profile: TravelDocument) -> bytes:
    """From the certificate's first second for the term the key may sign (ICAO 9303-12 §7.1.1.3)."""
    start = der.generalized_time(not_before)
    end = der.generalized_time(profile.key_use.last_second(not_before))
    inner = der.implicit(0, der.parse(start).content), der.implicit(1, der.parse(end).content)
    return extension(oids.PRIVATE_KEY_USAGE_PERIOD, der.sequence(*inner))


def fixed_extensions(profile: CertificateProfile, issuer_key_id: bytes) -> bytes:
    """Every extension that is the same in all certificates of a profile under one issuer key, one after the other."""
    parts = [extension(oids.KEY_USAGE, der.named_bits(oids.KEY_USAGE_BITS[bit] for bit in profile.key_usage))]
    if profile.basic_constraints is not None:
        parts.append(extension(oids.BASIC_CONSTRAINTS, _basic_constraints(profile.basic_constraints.path_length)))
    if profile.policies:
        policies = [der.sequence(der.oid(policy.oid)) for policy in profile.policies]
        parts.append(extension(oids.CERTIFICATE_POLICIES, der.sequence(*policies)))
    if profile.extended_key_usage:
        purposes = [der.oid(oids.EXTENDED_KEY_USAGES[purpose]) for purpose in profile.extended_key_usage]
        parts.append(extension(oids.EXTENDED_KEY_USAGE, der.sequence(*purposes)))
    if profile.travel_document is not None:
        names = _alternative_names(profile.travel_document)
        parts += [extension(oids.SUBJECT_ALT_NAME, names), extension(oids.ISSUER_ALT_NAME, names)]
    if profile.crl:
        points = [_distribution_point(_address(url, issuer_key_id)) for url in profile.crl]
        parts.append(extension(oids.CRL_DISTRIBUTION_POINTS, der.sequence(*points)))
    parts += _where_the_issuer_is(profile, issuer_key_id)
    if profile.qualified is not None:
        parts.append(extension(oids.QC_STATEMENTS, _statements(profile.qualified)))
    if profile.travel_document is not None and profile.travel_document.document_types:
        parts.append(extension(oids.DOCUMENT_TYPE, _document_types(profile.travel_document.document_types)))
    return b"".join(parts)


def _address(url: str, issuer_key_id: bytes) -> bytes:
    return der.implicit(6, url.replace(ISSUER_KEY_ID, issuer_key_id.hex()).encode("ascii"))


def _basic_constraints(path_length: int | None) -> bytes:
    length = () if path_length is None else (der.integer(path_length),)
    return der.sequence(der.boolean(True), *length)


def _distribution_point(address: bytes) -> bytes:
    return der.sequence(der.explicit(0, der.explicit(0, address)))  # RFC 5280 §4.2.1.13: distributionPoint, fullName


def _where_the_issuer_is(profile: CertificateProfile, issuer_key_id: bytes) -> list[bytes]:
    information = profile.authority_information
    if information is None:
        return []
    places = [(oids.CA_ISSUERS, url) for url in information.ca_issuers]
    places += [(oids.OCSP, url) for url in information.ocsp]
    accesses = [der.sequence(der.oid(method), _address(url, issuer_key_id)) for method, url in places]
    return [extension(oids.AUTHORITY_INFORMATION, der.sequence(*accesses))]


def _alternative_names(profile: TravelDocument) -> bytes:
    """ICAO 9303-12 §7.1.1.2: contact, and a directory name whose locality is the country code of the MRZ."""
    locality = der.sequence(der.oid(oids.ATTRIBUTES["L"]), der.printable(profile.mrz_country))
    directory_name = der.sequence(der.encode(der.SET, locality))
    return der.sequence(der.implicit(1, profile.contact_email.encode("ascii")), der.explicit(4, directory_name))


def _document_types(types: tuple[str, ...]) -> bytes:
    """ICAO 9303-12 §7.1.1.6: version 0 and the document types as the MRZ has them."""
    return der.sequence(der.integer(0), der.set_of(*[der.printable(code) for code in types]))


def _statements(qualified: Qualified) -> bytes:
    """EN 319 412-5 §4 and, for the form of the identifier, EN 319 412-1 §5.1."""
    statements = []
    if qualified.natural_semantics:
        statements.append(_statement(oids.QC_SYNTAX_V2, der.sequence(der.oid(oids.SEMANTICS_NATURAL))))
    if qualified.compliance:
        statements.append(_statement(oids.QC_COMPLIANCE))
    if qualified.signature_creation_device:
        statements.append(_statement(oids.QC_SSCD))
    if qualified.type is not None:
        statements.append(_statement(oids.QC_TYPE, der.sequence(der.oid(oids.QC_TYPES[qualified.type]))))
    if qualified.disclosure:
        places = [der.sequence(der.ia5(item.url), der.printable(item.language)) for item in qualified.disclosure]
        statements.append(_statement(oids.QC_PDS, der.sequence(*places)))
    return der.sequence(*statements)


def _statement(oid: str, *information: bytes) -> bytes:
    return der.sequence(der.oid(oid), *information)

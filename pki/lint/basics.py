"""Rules for every certificate (RFC 5280 §4)."""

from card_profiles.codecs import der, ec_parameters
from pki import object_identifiers as oids
from pki.certificate import key_identifier
from pki.extensions import CRITICAL, expected_extensions
from pki.findings import Rule
from pki.lint import extension_values as values
from pki.lint.linted import Linted
from pki.object_identifiers import PRINTABLE_ATTRIBUTES
from pki.profile import ISSUER_KEY_ID

_LAST_UTC_TIME = 2049


def version(linted: Linted) -> str | None:
    """Extensions make a certificate v3."""
    return None if linted.tbs.version == 3 else "the certificate is not v3"


def serial_positive(linted: Linted) -> str | None:
    """Zero and negative numbers are none."""
    return None if linted.tbs.serial > 0 else "the serial number is not positive"


def serial_octets(linted: Linted) -> str | None:
    """Exactly 20 octets: never longer, and a short one has too little chance in it."""
    octets = linted.tbs.serial.bit_length() // 8 + 1
    return None if octets == 20 else f"the serial number has {octets} octets, not 20"


def signature_algorithm(linted: Linted) -> str | None:
    """As the profile says."""
    right = linted.tbs.signature_algorithm == linted.profile.signature_algorithm
    return None if right else "the signature algorithm is not the profile's"


def issuer_name(linted: Linted) -> str | None:
    """Byte for byte the issuer's subject."""
    if linted.is_self_signed:
        return None if linted.tbs.issuer == linted.tbs.subject else "a self-signed certificate has two names"
    return None if linted.tbs.issuer == linted.issuer.subject else "the issuer is not the issuer's subject"


def validity_order(linted: Linted) -> str | None:
    """A period begins before it ends."""
    return None if linted.tbs.not_before < linted.tbs.not_after else "the validity ends before it begins"


def validity_encoding(linted: Linted) -> str | None:
    """UTCTime to 2049, GeneralizedTime from 2050 on."""
    for moment, tag in zip((linted.tbs.not_before, linted.tbs.not_after), linted.tbs.time_tags, strict=True):
        if tag != (der.UTC_TIME if moment.year <= _LAST_UTC_TIME else der.GENERALIZED_TIME):
            return "a time of the validity has the wrong type for its year"
    return None


def validity_within_issuer(linted: Linted) -> str | None:
    """A path is good only while all of it is: nothing outlives its issuer."""
    inside = linted.issuer.not_before <= linted.tbs.not_before and linted.tbs.not_after <= linted.issuer.not_after
    return None if inside else "the validity is not inside the issuer's"


def validity_within_term(linted: Linted) -> str | None:
    """Not longer than the profile's term."""
    longest = linted.profile.term.last_second(linted.tbs.not_before)
    return None if linted.tbs.not_after <= longest else "the validity is longer than the profile's term"


def no_unique_identifiers(linted: Linted) -> str | None:
    """Conforming CAs do not write them."""
    return "a unique identifier is there" if linted.tbs.has_unique_identifiers else None


def extensions_once(linted: Linted) -> str | None:
    """One instance of an extension at most."""
    return None if len(linted.tbs.listed) == len(linted.tbs.extensions) else "an extension is there twice"


def extensions_of_profile(linted: Linted) -> str | None:
    """Exactly the extensions that the profile asks for."""
    expected = expected_extensions(linted.profile)
    missing = sorted(expected - linted.tbs.extensions.keys())
    foreign = sorted(linted.tbs.extensions.keys() - expected)
    if missing or foreign:
        return f"extensions missing: {', '.join(missing) or 'none'}; not the profile's: {', '.join(foreign) or 'none'}"
    return None


def criticality(linted: Linted) -> str | None:
    """Key usage and basic constraints are critical, nothing else is."""
    for item in linted.tbs.listed:
        if item.critical != (item.oid in CRITICAL):
            return f"extension {item.oid} has the wrong criticality"
    return None


def authority_key(linted: Linted) -> str | None:
    """Names the issuer's key."""
    value = linted.value(oids.AUTHORITY_KEY_IDENTIFIER)
    if value is None:
        return None if linted.is_self_signed else "the authority key identifier is missing"
    same = values.authority_key_identifier(value) == linted.issuer.key_identifier()
    return None if same else "the authority key identifier is not the issuer's subject key identifier"


def subject_key(linted: Linted) -> str | None:
    """Computed from the key itself."""
    if linted.public_key is None:
        return None
    same = linted.tbs.key_identifier() == key_identifier(linted.public_key.point)
    return None if same else "the subject key identifier is not the SHA-1 of the key"


def curve(linted: Linted) -> str | None:
    """A curve of the profile, the point on it."""
    if linted.public_key is None:
        return "the subject's key is not a point of a known curve"
    return None if linted.public_key.curve in linted.profile.curves else "the curve is not one of the profile"


def parameters_form(linted: Linted) -> str | None:
    """Named curve for the internet, explicit parameters for travel documents."""
    explicit = ec_parameters.has_explicit_parameters(linted.tbs.public_key_info)
    return None if explicit == linted.profile.explicit_parameters else "the curve's parameters have the wrong form"


def key_usage(linted: Linted) -> str | None:
    """Exactly the profile's bits."""
    value = linted.value(oids.KEY_USAGE)
    wanted = frozenset(oids.KEY_USAGE_BITS[bit] for bit in linted.profile.key_usage)
    return None if value is not None and values.key_usage(value) == wanted else "the key usage is not the profile's"


def issuer_may_sign(linted: Linted) -> str | None:
    """The issuer is a CA whose key may sign certificates."""
    constraints = linted.issuer.extensions.get(oids.BASIC_CONSTRAINTS)
    usage = linted.issuer.extensions.get(oids.KEY_USAGE)
    if constraints is None or not values.basic_constraints(constraints.value)[0]:
        return "the issuer is not a CA"
    if usage is None or oids.KEY_USAGE_BITS["keyCertSign"] not in values.key_usage(usage.value):
        return "the issuer's key may not sign certificates"
    return None


def addresses(linted: Linted) -> str | None:
    """Revocation lists, the issuer's certificate, OCSP and disclosure statements where the profile says they are."""
    profile, key_id = linted.profile, linted.issuer.key_identifier() or b""
    information = profile.authority_information
    wanted = [*profile.crl]
    wanted += [*information.ca_issuers, *information.ocsp] if information is not None else []
    crl, access = linted.value(oids.CRL_DISTRIBUTION_POINTS), linted.value(oids.AUTHORITY_INFORMATION)
    found = [] if crl is None else [*values.distribution_points(crl)]
    found += [] if access is None else [address for _, address in values.accesses(access)]
    right = found == [url.replace(ISSUER_KEY_ID, key_id.hex()) for url in wanted]
    return None if right else "an address is not the profile's"


def subject_attributes(linted: Linted) -> str | None:
    """The profile's attributes, each once, in the profile's order."""
    found = [attribute.name for attribute in linted.attributes]
    allowed = linted.profile.subject
    if found != [name for name in allowed if name in found]:
        return "the subject has an attribute twice, out of order, or one that is not the profile's"
    missing = [name for name in allowed if name not in found and name not in linted.profile.optional]
    return f"subject attribute {missing[0]} is missing" if missing else None


def attribute_types(linted: Linted) -> str | None:
    """PrintableString where ASN.1 says so, UTF8String elsewhere."""
    for attribute in linted.attributes:
        wanted = der.PRINTABLE_STRING if attribute.name in PRINTABLE_ATTRIBUTES else der.UTF8_STRING
        if attribute.tag != wanted:
            return f"subject attribute {attribute.name or attribute.oid} has the wrong string type"
    return None


def country(linted: Linted) -> str | None:
    """Two capital letters."""
    text = linted.text("C")
    if text is None or (len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()):
        return None
    return "the subject's country is not two capital letters"


BASIC_RULES = (
    Rule("version-3", "RFC 5280 §4.1.2.1", version),
    Rule("serial-positive", "RFC 5280 §4.1.2.2", serial_positive),
    Rule("serial-octets", "RFC 5280 §4.1.2.2; CA/B Forum BR §7.1 (64 random bits)", serial_octets),
    Rule("signature-algorithm", "RFC 5280 §4.1.2.3; TS 119 312 §7", signature_algorithm),
    Rule("issuer-name", "RFC 5280 §4.1.2.4, §6.1.3 (a)(4)", issuer_name),
    Rule("validity-order", "RFC 5280 §4.1.2.5", validity_order),
    Rule("validity-encoding", "RFC 5280 §4.1.2.5", validity_encoding),
    Rule("validity-within-issuer", "RFC 5280 §6.1.3 (a)(2)", validity_within_issuer),
    Rule("validity-within-term", "the certificate profile's term", validity_within_term),
    Rule("no-unique-identifiers", "RFC 5280 §4.1.2.8", no_unique_identifiers),
    Rule("extensions-once", "RFC 5280 §4.2", extensions_once),
    Rule("extensions-of-profile", "the certificate profile", extensions_of_profile),
    Rule("criticality", "RFC 5280 §4.2.1; EN 319 412-2 §4.3", criticality),
    Rule("authority-key-identifier", "RFC 5280 §4.2.1.1", authority_key),
    Rule("subject-key-identifier", "RFC 5280 §4.2.1.2", subject_key),
    Rule("curve", "TS 119 312 §6.2; the certificate profile", curve),
    Rule("parameters-form", "RFC 5480 §2.1.1; ICAO 9303-12 §4.1.6", parameters_form),
    Rule("key-usage", "RFC 5280 §4.2.1.3; EN 319 412-2 NAT-4.3.2-1", key_usage),
    Rule("issuer-may-sign", "RFC 5280 §6.1.4 (k), (n)", issuer_may_sign),
    Rule("addresses", "the certificate profile", addresses),
    Rule("subject-attributes", "RFC 5280 §4.1.2.6; EN 319 412-2 NAT-4.2.4-3", subject_attributes),
    Rule("attribute-types", "RFC 5280 §4.1.2.4, appendix A.1", attribute_types),
    Rule("country", "ISO 3166-1; RFC 5280 appendix A.1; ICAO 9303-12 §7.1", country),
)

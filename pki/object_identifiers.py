"""Object identifiers by the names that profiles and rules use."""

# Attributes of names: X.520, RFC 5280 §4.1.2.4; organizationIdentifier X.520 §6.4.4
ATTRIBUTES = {
    "CN": "2.5.4.3",
    "surname": "2.5.4.4",
    "serialNumber": "2.5.4.5",
    "C": "2.5.4.6",
    "L": "2.5.4.7",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "givenName": "2.5.4.42",
    "pseudonym": "2.5.4.65",
    "organizationIdentifier": "2.5.4.97",
}
ATTRIBUTE_NAMES = {oid: name for name, oid in ATTRIBUTES.items()}
PRINTABLE_ATTRIBUTES = frozenset({"C", "serialNumber"})
"""Attributes whose ASN.1 type is PrintableString alone (RFC 5280 appendix A.1)."""

# Signature algorithms: RFC 5758 §3.2; parameters are absent
SIGNATURE_ALGORITHMS = {
    "ecdsa-with-SHA256": "1.2.840.10045.4.3.2",
    "ecdsa-with-SHA384": "1.2.840.10045.4.3.3",
    "ecdsa-with-SHA512": "1.2.840.10045.4.3.4",
}
SIGNATURE_HASHES = {"ecdsa-with-SHA256": "sha256", "ecdsa-with-SHA384": "sha384", "ecdsa-with-SHA512": "sha512"}

# Hashes: RFC 5754 §2
HASHES = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}

# Key usage bits: RFC 5280 §4.2.1.3
KEY_USAGE_BITS = {
    "digitalSignature": 0,
    "nonRepudiation": 1,
    "keyEncipherment": 2,
    "dataEncipherment": 3,
    "keyAgreement": 4,
    "keyCertSign": 5,
    "cRLSign": 6,
    "encipherOnly": 7,
    "decipherOnly": 8,
}

# Extended key usages: RFC 5280 §4.2.1.12
EXTENDED_KEY_USAGES = {
    "serverAuth": "1.3.6.1.5.5.7.3.1",
    "clientAuth": "1.3.6.1.5.5.7.3.2",
    "emailProtection": "1.3.6.1.5.5.7.3.4",
}
ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0"

# Extensions: RFC 5280 §4.2; RFC 3739 §3.2.6; RFC 9608 §4; ICAO 9303-12 §7.1.1
SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
KEY_USAGE = "2.5.29.15"
PRIVATE_KEY_USAGE_PERIOD = "2.5.29.16"
SUBJECT_ALT_NAME = "2.5.29.17"
ISSUER_ALT_NAME = "2.5.29.18"
BASIC_CONSTRAINTS = "2.5.29.19"
NAME_CONSTRAINTS = "2.5.29.30"
CRL_DISTRIBUTION_POINTS = "2.5.29.31"
CERTIFICATE_POLICIES = "2.5.29.32"
POLICY_MAPPINGS = "2.5.29.33"
AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
POLICY_CONSTRAINTS = "2.5.29.36"
EXTENDED_KEY_USAGE = "2.5.29.37"
FRESHEST_CRL = "2.5.29.46"
INHIBIT_ANY_POLICY = "2.5.29.54"
NO_REVOCATION_AVAILABLE = "2.5.29.56"
AUTHORITY_INFORMATION = "1.3.6.1.5.5.7.1.1"
QC_STATEMENTS = "1.3.6.1.5.5.7.1.3"
NAME_CHANGE = "2.23.136.1.1.6.1"
DOCUMENT_TYPE = "2.23.136.1.1.6.2"

# Access methods: RFC 5280 §4.2.2.1
OCSP = "1.3.6.1.5.5.7.48.1"
CA_ISSUERS = "1.3.6.1.5.5.7.48.2"

# Policies: EN 319 411-1 §5.3, EN 319 411-2 §5.3; RFC 5280 §4.2.1.4
ANY_POLICY = "2.5.29.32.0"
NCP_PLUS = "0.4.0.2042.1.2"
QCP_N_QSCD = "0.4.0.194112.1.2"
ETSI_QUALIFIED_POLICIES = "0.4.0.194112.1."
ETSI_POLICIES = "0.4.0.2042.1."
USER_NOTICE = "1.3.6.1.5.5.7.2.2"

# Qualified certificate statements: EN 319 412-5 §4-5; EN 319 412-1 §5.1; RFC 3739 §3.2.6.1
QC_SYNTAX_V2 = "1.3.6.1.5.5.7.11.2"
SEMANTICS_NATURAL = "0.4.0.194121.1.1"
QC_COMPLIANCE = "0.4.0.1862.1.1"
QC_RETENTION_PERIOD = "0.4.0.1862.1.3"
QC_SSCD = "0.4.0.1862.1.4"
QC_PDS = "0.4.0.1862.1.5"
QC_TYPE = "0.4.0.1862.1.6"
QC_TYPES = {"esign": "0.4.0.1862.1.6.1"}
QC_LEGISLATION = "0.4.0.1862.1.7"

# Cryptographic messages: RFC 5652 §5, §11; ICAO 9303-10 §4.6.2
SIGNED_DATA = "1.2.840.113549.1.7.2"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"
LDS_SECURITY_OBJECT = "2.23.136.1.1.1"

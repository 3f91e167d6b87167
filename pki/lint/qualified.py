"""Rules for policies, purposes, addresses and statements of holders' certificates (EN 319 412-2 §4.3, 412-5)."""

import re
from collections import Counter

from pki import object_identifiers as oids
from pki.findings import Rule
from pki.lint import extension_values as values
from pki.lint.linted import Linted
from pki.profile import Role

_LANGUAGE = re.compile(r"[a-z]{2}")
_NOTICE_CHARACTERS = 200
_FORBIDDEN = {
    oids.POLICY_MAPPINGS: "policyMappings",
    oids.NAME_CONSTRAINTS: "nameConstraints",
    oids.POLICY_CONSTRAINTS: "policyConstraints",
    oids.INHIBIT_ANY_POLICY: "inhibitAnyPolicy",
}


def _policies(linted: Linted) -> tuple[str, ...]:
    value = linted.value(oids.CERTIFICATE_POLICIES)
    return () if value is None else tuple(oid for oid, _ in values.policies(value))


def _statements(linted: Linted) -> tuple[tuple[str, bytes | None], ...]:
    value = linted.value(oids.QC_STATEMENTS)
    return () if value is None else values.statements(value)


def forbidden_extensions(linted: Linted) -> str | None:
    """Those that steer policies of CAs have no place here."""
    return next((f"{name} is there" for oid, name in _FORBIDDEN.items() if oid in linted.tbs.extensions), None)


def policies_of_profile(linted: Linted) -> str | None:
    """Exactly the profile's policies, each once."""
    right = _policies(linted) == tuple(policy.oid for policy in linted.profile.policies)
    return None if right else "the policies are not the profile's"


def one_etsi_policy(linted: Linted) -> str | None:
    """QCP-n-qscd alone for signatures, NCP+ alone for authentication; never both, never another one."""
    etsi = [oid for oid in _policies(linted) if oid.startswith((oids.ETSI_POLICIES, oids.ETSI_QUALIFIED_POLICIES))]
    wanted = oids.QCP_N_QSCD if linted.profile.role is Role.SIGNATURE else oids.NCP_PLUS
    return None if etsi == [wanted] else "the ETSI policy is not exactly the one of this kind of certificate"


def own_policy(linted: Linted) -> str | None:
    """The issuer's own policy stands beside ETSI's."""
    own = [oid for oid in _policies(linted) if not oid.startswith("0.4.0.") and oid != oids.ANY_POLICY]
    return None if own else "the issuer's own policy is missing"


def notice_length(linted: Linted) -> str | None:
    """An explicit text has 200 characters at most."""
    value = linted.value(oids.CERTIFICATE_POLICIES)
    qualifiers = [item for _, found in values.policies(value) for item in found] if value is not None else []
    notices = [text for kind, text in qualifiers if kind == oids.USER_NOTICE]
    too_long = any(values.notice_length(text) > _NOTICE_CHARACTERS for text in notices)
    return "a user notice is longer than 200 characters" if too_long else None


def purposes(linted: Linted) -> str | None:
    """No purpose for signatures; client authentication and nothing else for authentication."""
    value = linted.value(oids.EXTENDED_KEY_USAGE)
    found = () if value is None else values.purposes(value)
    wanted = () if linted.profile.role is Role.SIGNATURE else (oids.EXTENDED_KEY_USAGES["clientAuth"],)
    return None if found == wanted else "the purposes are not those of this kind of certificate"


def revocation_lists(linted: Linted) -> str | None:
    """At least one distribution point over http or ldap; https alone leaves verifiers in a circle."""
    value = linted.value(oids.CRL_DISTRIBUTION_POINTS)
    addresses = () if value is None else values.distribution_points(value)
    reachable = any(address.startswith(("http://", "ldap://")) for address in addresses)
    return None if reachable else "no distribution point over http or ldap"


def issuer_information(linted: Linted) -> str | None:
    """The issuer's certificate and an OCSP service, both over http."""
    value = linted.value(oids.AUTHORITY_INFORMATION)
    found = () if value is None else values.accesses(value)
    reachable = {method for method, address in found if address.startswith("http://")}
    if oids.CA_ISSUERS not in reachable:
        return "the issuer's certificate is not named over http"
    return None if oids.OCSP in reachable else "no OCSP service over http"


def revocation_not_denied(linted: Linted) -> str | None:
    """noRevAvail contradicts distribution points and OCSP."""
    if oids.NO_REVOCATION_AVAILABLE not in linted.tbs.extensions:
        return None
    others = {oids.CRL_DISTRIBUTION_POINTS, oids.FRESHEST_CRL, oids.AUTHORITY_INFORMATION}
    contradicted = others & linted.tbs.extensions.keys()
    return "noRevAvail stands beside a way to ask for revocation" if contradicted else None


def statements_once(linted: Linted) -> str | None:
    """No statement twice."""
    counted = Counter(oid for oid, _ in _statements(linted))
    return "a statement is there twice" if any(count > 1 for count in counted.values()) else None


def statements_of_profile(linted: Linted) -> str | None:
    """Compliance and QSCD exactly as the profile says: both say something before the law."""
    qualified = linted.profile.qualified
    found = {oid for oid, _ in _statements(linted)}
    if qualified is None:
        return None
    for oid, wanted, name in (
        (oids.QC_COMPLIANCE, qualified.compliance, "QcCompliance"),
        (oids.QC_SSCD, qualified.signature_creation_device, "QcSSCD"),
        (oids.QC_TYPE, qualified.type is not None, "QcType"),
        (oids.QC_PDS, bool(qualified.disclosure), "QcPDS"),
    ):
        if (oid in found) != wanted:
            return f"{name} is missing" if wanted else f"{name} is there"
    return None


def qscd_with_policy(linted: Linted) -> str | None:
    """QcSSCD and QCP-n-qscd say the same and stand together."""
    claimed = any(oid == oids.QC_SSCD for oid, _ in _statements(linted))
    return None if claimed == (oids.QCP_N_QSCD in _policies(linted)) else "QcSSCD and QCP-n-qscd do not stand together"


def type_electronic_signature(linted: Linted) -> str | None:
    """A type, if there is one, is exactly esign."""
    found = [information for oid, information in _statements(linted) if oid == oids.QC_TYPE]
    esign = (oids.QC_TYPES["esign"],)
    right = all(information is not None and values.identifiers(information) == esign for information in found)
    return None if right else "QcType is not exactly esign"


def disclosure(linted: Linted) -> str | None:
    """https, one place a language, English among them."""
    found = [information for oid, information in _statements(linted) if oid == oids.QC_PDS]
    for information in found:
        places = () if information is None else values.disclosure(information)
        languages = [language for _, language in places]
        if not all(url.startswith("https://") for url, _ in places):
            return "a disclosure statement is not at an https address"
        if not all(_LANGUAGE.fullmatch(language) for language in languages):
            return "a disclosure statement's language is not an ISO 639-1 code"
        if "en" not in languages or len(set(languages)) != len(languages):
            return "disclosure statements are not one a language with English among them"
    return None


def disclosure_of_profile(linted: Linted) -> str | None:
    """The profile's places in the profile's order."""
    found = [information for oid, information in _statements(linted) if oid == oids.QC_PDS and information is not None]
    places = [place for information in found for place in values.disclosure(information)]
    qualified = linted.profile.qualified
    wanted = [(item.url, item.language) for item in qualified.disclosure] if qualified is not None else []
    return None if places == wanted else "the disclosure statements are not the profile's"


def no_legislation(linted: Linted) -> str | None:
    """Inside the Union, no list of countries."""
    return "QcCClegislation is there" if any(oid == oids.QC_LEGISLATION for oid, _ in _statements(linted)) else None


def retention_period(linted: Linted) -> str | None:
    """A number of years over zero."""
    found = [information for oid, information in _statements(linted) if oid == oids.QC_RETENTION_PERIOD]
    right = all(information is not None and values.years(information) > 0 for information in found)
    return None if right else "the retention period is not a number of years over zero"


QUALIFIED_RULES = (
    Rule("forbidden-extensions", "EN 319 412-2 §4.3.4, §4.3.7 to §4.3.9", forbidden_extensions),
    Rule("policies-of-profile", "RFC 5280 §4.2.1.4; the certificate profile", policies_of_profile),
    Rule("one-etsi-policy", "EN 319 412-2 QCS-5.2-1; EN 319 411-1 §5.3; EN 319 411-2 §5.3", one_etsi_policy),
    Rule("own-policy", "EN 319 411-1 §5.3", own_policy),
    Rule("notice-length", "RFC 5280 §4.2.1.4", notice_length),
    Rule("purposes", "EN 319 412-2 §4.3.10; RFC 5280 §4.2.1.12", purposes),
    Rule("revocation-lists", "EN 319 412-2 GEN-4.3.11-2, -4", revocation_lists),
    Rule("issuer-information", "EN 319 412-2 GEN-4.4.1-3, -4, -6, -8", issuer_information),
    Rule("revocation-not-denied", "RFC 9608 §4", revocation_not_denied),
    Rule("statements-once", "RFC 3739 §3.2.6", statements_once),
    Rule("statements-of-profile", "EN 319 412-5 §4.2.1, §4.2.2, §5", statements_of_profile),
    Rule("qscd-with-policy", "EN 319 411-2 §5.3; EN 319 412-5 §4.2.2", qscd_with_policy),
    Rule("type-electronic-signature", "EN 319 412-5 §4.2.3", type_electronic_signature),
    Rule("disclosure", "EN 319 412-5 §4.3.4", disclosure),
    Rule("disclosure-of-profile", "the certificate profile", disclosure_of_profile),
    Rule("no-legislation", "EN 319 412-5 QCS-5-01", no_legislation),
    Rule("retention-period", "EN 319 412-5 §4.3.3", retention_period),
)

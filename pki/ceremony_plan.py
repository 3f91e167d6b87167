"""The plan of a key ceremony: who, which keys, which certificates. Checked whole before a token is opened."""

import hashlib
import tomllib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hsm.ports import Curve, KeyLabel
from pki.errors import PlanRefused, ProfileRefused, SubjectRefused
from pki.names import AuthorityName, name_der
from pki.profile import CertificateProfile, Role, load_certificate_profile, read_term
from pki.tables import Table
from pki.terms import Term

SPECIMEN_PREFIX = "specimen-"
SPECIMEN_MARK = "SPECIMEN"
ROLES = frozenset({"ceremony-master", "custodian", "auditor", "witness"})
_SHARED_LABELS = frozenset({"storage-key", "record-key", "exchange-key", "audit"})
_ANY_START = datetime(2026, 1, 1, tzinfo=UTC)  # terms are compared from one start; which one does not matter


@dataclass(frozen=True, slots=True)
class Participant:
    """A person of the ceremony and the one role they have in it."""

    name: str
    role: str


@dataclass(frozen=True, slots=True)
class PlannedAuthority:
    """A signing key and the certificate made for it; `term` is within the profile's."""

    label: KeyLabel
    curve: Curve
    profile: CertificateProfile
    term: Term
    subject: AuthorityName


@dataclass(frozen=True, slots=True)
class CeremonyPlan:
    """`custodians_needed` of the custodians must be there; `sha256` is the digest of the plan as written, hex."""

    name: str
    title: str
    specimen: bool
    custodians_needed: int
    people: tuple[Participant, ...]
    root: PlannedAuthority
    issuing: PlannedAuthority
    csca: PlannedAuthority
    document_signer: PlannedAuthority
    sha256: str

    def authorities(self) -> dict[str, PlannedAuthority]:
        """Planned authorities by field of `pki.authorities.Authorities`, issuers before those they issue to."""
        return {
            "root": self.root,
            "issuing": self.issuing,
            "csca": self.csca,
            "document_signer": self.document_signer,
        }


_ROLE_OF_FIELD = {
    "root": Role.ROOT,
    "issuing": Role.ISSUING_CA,
    "csca": Role.CSCA,
    "document_signer": Role.DOCUMENT_SIGNER,
}


def plan_file(name: str) -> Path:
    """The file of a plan that comes with the software, for example `production-demo`."""
    return Path(__file__).with_name("ceremonies") / f"{name}.toml"


def load_plan(path: Path) -> CeremonyPlan:
    """The checked plan. Raises `PlanRefused`; keys nobody knows are refused by name."""
    try:
        written = path.read_bytes()
        table = Table(tomllib.loads(written.decode("utf-8")), path.name, PlanRefused)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlanRefused(f"{path.name}: not a plan in TOML ({error})") from None
    keys = table.table("keys")
    plan = CeremonyPlan(
        name=table.text("name"),
        title=table.text("title"),
        specimen=table.flag("specimen"),
        custodians_needed=table.number("custodians_needed"),
        people=tuple(_participant(person) for person in table.tables("people")),
        **{field: _authority(keys.table(field), role) for field, role in _ROLE_OF_FIELD.items()},
        sha256=hashlib.sha256(written).hexdigest(),
    )
    keys.finish()
    table.finish()
    _check_people(plan, table)
    _check_labels(plan, table)
    _check_names(plan, table)
    _check_terms(plan, table)
    return plan


def _participant(table: Table) -> Participant:
    person = Participant(table.text("name"), table.text("role"))
    table.finish()
    if person.role not in ROLES:
        raise table.refused(f"'{person.role}' is not a role of a ceremony")
    return person


def _authority(table: Table, role: Role) -> PlannedAuthority:
    try:
        profile = load_certificate_profile(table.text("profile"))
    except ProfileRefused as error:
        raise table.refused(str(error)) from None
    if profile.role is not role:
        raise table.refused(f"the profile is for {profile.role}, not for {role}")
    curve = table.text("curve")
    if curve not in profile.curves:
        raise table.refused(f"curve '{curve}' is not one of the profile")
    names = table.table("subject")
    subject = AuthorityName(
        country=names.text("C"),
        organization=names.text("O"),
        organization_identifier=names.text("organizationIdentifier") if "organizationIdentifier" in names else None,
        common_name=names.text("CN"),
    )
    names.finish()
    try:
        name_der(profile, subject.attributes())
    except SubjectRefused as error:
        raise table.refused(str(error)) from None
    planned = PlannedAuthority(
        KeyLabel(table.text("label")), Curve(curve), profile, read_term(table.table("term")), subject
    )
    table.finish()
    return planned


def _check_people(plan: CeremonyPlan, table: Table) -> None:
    """Dual control and a custodian quorum (EN 319 411-1 §6.5.1, §6.5.2): nobody counts for two."""
    counted = Counter(" ".join(person.name.casefold().split()) for person in plan.people)
    if any(count > 1 for count in counted.values()):
        raise table.refused("the same person is named twice")
    roles = Counter(person.role for person in plan.people)
    if roles["ceremony-master"] != 1:
        raise table.refused("a ceremony has exactly one ceremony-master")
    if not roles["auditor"]:
        raise table.refused("a ceremony has an auditor")
    if not 2 <= plan.custodians_needed <= roles["custodian"]:
        raise table.refused("'custodians_needed' is at least 2 and at most the custodians there are")


def _check_labels(plan: CeremonyPlan, table: Table) -> None:
    labels = [planned.label for planned in plan.authorities().values()]
    if len(set(labels)) != len(labels):
        raise table.refused("two keys have one label")
    for label in labels:
        if label in _SHARED_LABELS or label.startswith("master-"):
            raise table.refused(f"label '{label}' is a shared key's")
        if label.startswith(SPECIMEN_PREFIX) != plan.specimen:
            raise table.refused(f"'{SPECIMEN_PREFIX}' begins the labels of specimens and of nothing else: '{label}'")


def _check_names(plan: CeremonyPlan, table: Table) -> None:
    planned = plan.authorities().values()
    if any((SPECIMEN_MARK in item.subject.common_name) != plan.specimen for item in planned):
        raise table.refused(f"'{SPECIMEN_MARK}' stands in the names of specimens and of nothing else")
    if plan.csca.subject.country != plan.document_signer.subject.country:  # ICAO 9303-12 §7.1
        raise table.refused("country signing CA and document signer are of different countries")
    if len({item.subject for item in planned}) != len(planned):
        raise table.refused("two authorities have one name")


def _check_terms(plan: CeremonyPlan, table: Table) -> None:
    for field, planned in plan.authorities().items():
        if planned.term.after(_ANY_START) > planned.profile.term.after(_ANY_START):
            raise table.refused(f"the term of '{field}' is longer than its profile's")
    for below, above in ((plan.issuing, plan.root), (plan.document_signer, plan.csca)):
        if below.term.after(_ANY_START) > above.term.after(_ANY_START):
            raise table.refused(f"the term of '{below.label}' is longer than its issuer's")

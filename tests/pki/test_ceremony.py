"""Key ceremonies: plans refused whole, keys and certificates made once, also when killed at any effect."""

import json
from pathlib import Path

import pytest

from hsm.ports import KeyLabel
from pki.authorities import CERTIFICATE_FILES, load_authorities
from pki.ceremony import (
    AUDIT_FILE,
    AUDIT_KEY,
    audit_public_key,
    hold_ceremony,
    load_plan,
    masters_taken,
    plan_file,
)
from pki.certificate import read_certificate
from pki.errors import AuthoritiesRefused, CeremonyRefused, PlanRefused
from pki.evidence import read_evidence
from pki.names import attribute_text
from tests.pki.made_up import NOW, key_letter
from tests.pki.software_signer import Killed, SoftwareCeremony

PRODUCTION = plan_file("production-demo")
SPECIMEN = plan_file("specimen")
SHARED = ["storage-key", "record-key", "exchange-key", "audit"]
MASTERS = ["master-PERSO", "master-PIN", "master-KEY", "master-CERT"]


def hold(ceremony: SoftwareCeremony, directory: Path, path: Path = PRODUCTION, *, letter: bool = True) -> object:
    plan = load_plan(path)
    source = key_letter if letter else None
    return hold_ceremony(plan, ceremony, now=NOW, directory=directory, key_letter=source)


# --- plans --------------------------------------------------------------------------------------------------------


def test_the_plans_of_the_demonstration_are_good() -> None:
    production, specimen = load_plan(PRODUCTION), load_plan(SPECIMEN)
    assert (production.name, production.specimen) == ("production-demo", False)
    assert (specimen.name, specimen.specimen) == ("specimen", True)
    labels = {planned.label for plan in (production, specimen) for planned in plan.authorities().values()}
    assert len(labels) == 8


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("custodians_needed = 2", "custodians_needed = 1", "at least 2"),
        ("custodians_needed = 2", "custodians_needed = 4", "at most the custodians"),
        ("custodians_needed = 2", "custodians_needed = 2\nlunch = 1", "unknown key 'lunch'"),
        (
            'name = "custodian B of the demonstration"',
            'name = "Custodian  a of the DEMONSTRATION"',
            "the same person is named twice",
        ),
        ('role = "auditor"', 'role = "witness"', "has an auditor"),
        ('role = "auditor"', 'role = "cook"', "'cook' is not a role"),
        ('role = "witness"', 'role = "ceremony-master"', "exactly one ceremony-master"),
        ('label = "root-2026"', 'label = "audit"', "is a shared key's"),
        ('label = "root-2026"', 'label = "specimen-root"', "'specimen-' begins the labels"),
        ('label = "root-2026"', 'label = "issuing-ca-2026"', "two keys have one label"),
        ('curve = "secp384r1"', 'curve = "secp256r1"', "is not one of the profile"),
        ('profile = "root@1"', 'profile = "csca@1"', "not for root"),
        ('profile = "root@1"', 'profile = "root@7"', "is not published"),
        ("term = { years = 25 }", "term = { years = 26 }", "longer than its profile's"),
        ("term = { years = 25 }", "term = { years = 14 }", "longer than its issuer's"),
        ('organizationIdentifier = "NTRLV-00000000000", ', "", "organizationIdentifier is missing"),
        ('CN = "Demonstration Root CA 2026"', 'CN = "SPECIMEN Root"', "'SPECIMEN' stands in the names"),
        ("[keys.csca]", "[keys.other]", "key 'csca' is missing"),
    ],
)
def test_a_plan_is_refused_whole(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = PRODUCTION.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "plan.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PlanRefused) as refused:
        load_plan(tmp_path / "plan.toml")
    assert said in str(refused.value)


def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("= 1")
    for path in (tmp_path / "plan.toml", tmp_path / "none.toml"):
        with pytest.raises(PlanRefused):
            load_plan(path)


# --- what is made -------------------------------------------------------------------------------------------------


def test_a_ceremony_makes_keys_certificates_and_evidence(tmp_path: Path) -> None:
    ceremony = SoftwareCeremony()
    hold(ceremony, tmp_path)
    assert ceremony.labels() == {
        *(*SHARED, *MASTERS),
        *("root-2026", "issuing-ca-2026", "csca-2026", "document-signer-2026-1"),
    }
    authorities = load_authorities(tmp_path)
    for field in CERTIFICATE_FILES:
        authority = getattr(authorities, field)
        certificate = read_certificate(authority.certificate)
        assert certificate.public_key() == ceremony.keys.public_key(authority.label)
    assert (
        attribute_text(read_certificate(authorities.issuing.certificate).issuer, "CN") == "Demonstration Root CA 2026"
    )


def test_the_evidence_says_who_what_and_when(tmp_path: Path) -> None:
    ceremony = SoftwareCeremony()
    hold(ceremony, tmp_path)
    evidence = read_evidence((tmp_path / "evidence.json").read_bytes())
    assert [person.role for person in evidence.people].count("custodian") == 3
    assert evidence.token == ceremony.token()
    assert [key.label for key in evidence.keys][:4] == SHARED
    assert all(len(key.fingerprint) == 64 for key in evidence.keys if key.fingerprint)
    assert {key.label for key in evidence.keys if key.fingerprint is None} == {"storage-key", "record-key", *MASTERS}
    assert len(evidence.certificates) == 4
    assert {step.at for step in evidence.steps} == {"2026-03-02T09:30:15+00:00"}
    assert [evidence.steps[0].name, evidence.steps[-1].name] == ["begin", "end"]
    assert any("EN 319 411-1 §6.5.1" in reference.clause for reference in evidence.references)


def test_without_a_key_letter_the_masters_are_left_out(tmp_path: Path) -> None:
    ceremony = SoftwareCeremony()
    evidence = hold(ceremony, tmp_path, letter=False)
    assert not ceremony.labels() & set(MASTERS)
    assert "masters left out" in json.dumps([step.name for step in evidence.steps])  # type: ignore[attr-defined]


def test_a_letter_that_comes_later_brings_the_masters_in(tmp_path: Path) -> None:
    ceremony = SoftwareCeremony()
    first = hold(ceremony, tmp_path, letter=False)
    assert not masters_taken(tmp_path)
    assert hold(ceremony, tmp_path, letter=False) == first
    made = {file.name: file.read_bytes() for file in tmp_path.glob("*.der")}
    hold(ceremony, tmp_path)
    assert ceremony.labels().issuperset(MASTERS)
    assert masters_taken(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*.der")} == made
    evidence = read_evidence((tmp_path / "evidence.json").read_bytes())
    assert {key.origin for key in evidence.keys if key.label in MASTERS} == {"taken from the chip maker's key letter"}


def test_the_public_key_of_the_audit_log_is_among_the_files(tmp_path: Path) -> None:
    ceremony = SoftwareCeremony()
    first = hold(ceremony, tmp_path)
    assert audit_public_key(tmp_path) == ceremony.keys.public_key(AUDIT_KEY)
    (tmp_path / AUDIT_FILE).unlink()  # a directory from before the file was written
    with pytest.raises(CeremonyRefused, match="checkpoints cannot be checked"):
        audit_public_key(tmp_path)
    assert hold(ceremony, tmp_path) == first
    assert audit_public_key(tmp_path) == ceremony.keys.public_key(AUDIT_KEY)


def test_a_second_ceremony_finds_the_shared_keys_and_says_so(tmp_path: Path) -> None:
    ceremony = SoftwareCeremony()
    hold(ceremony, tmp_path / "production")
    audit = ceremony.keys.public_key(AUDIT_KEY)
    hold(ceremony, tmp_path / "specimen", SPECIMEN)
    assert ceremony.keys.public_key(AUDIT_KEY) == audit
    evidence = read_evidence((tmp_path / "specimen" / "evidence.json").read_bytes())
    origins = {key.label: key.origin for key in evidence.keys}
    assert all("found on the token" in origins[label] for label in (*SHARED, *MASTERS))
    assert origins["specimen-root-2026"] == "made in this ceremony"
    specimen = load_authorities(tmp_path / "specimen")
    assert specimen.specimen
    assert all(
        "SPECIMEN" in (attribute_text(read_certificate(getattr(specimen, field).certificate).subject, "CN") or "")
        for field in CERTIFICATE_FILES
    )


# --- started again ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_ceremony_killed_at_any_effect_goes_on(
    after_effect: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every key made and every file written is a place to die at, before the effect and after it."""
    ceremony = SoftwareCeremony(budget=0, after_effect=after_effect)
    write = Path.replace

    def replace(path: Path, target: Path) -> None:
        ceremony._effect(lambda: write(path, target))

    monkeypatch.setattr(Path, "replace", replace)
    deaths = 0
    while True:
        ceremony.budget = 0 if after_effect else 1  # one effect each time, its answer lost or not
        try:
            hold(ceremony, tmp_path)
            break
        except Killed:
            deaths += 1
            assert deaths < 100
    assert deaths > 20
    authorities = load_authorities(tmp_path)
    serials = {read_certificate(getattr(authorities, field).certificate).serial for field in CERTIFICATE_FILES}
    assert len(serials) == 4
    evidence = read_evidence((tmp_path / "evidence.json").read_bytes())
    assert {key.origin for key in evidence.keys if key.label in SHARED} == {"made in this ceremony"}


def test_a_finished_ceremony_answers_its_evidence(tmp_path: Path) -> None:
    ceremony = SoftwareCeremony()
    first = hold(ceremony, tmp_path)
    ceremony.budget = 0  # nothing more may happen
    assert hold(ceremony, tmp_path) == first


def test_a_label_that_nobody_accounts_for_is_refused(tmp_path: Path) -> None:
    ceremony = SoftwareCeremony()
    ceremony.keys.make("csca-2026", load_plan(PRODUCTION).csca.curve)
    with pytest.raises(CeremonyRefused, match="csca-2026"):
        hold(ceremony, tmp_path)
    assert not list(tmp_path.iterdir())
    assert ceremony.labels() == {"csca-2026"}


def test_another_plan_or_token_does_not_take_up_a_ceremony(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        hold(SoftwareCeremony(budget=1), tmp_path)
    with pytest.raises(CeremonyRefused, match="another plan"):
        hold(SoftwareCeremony(), tmp_path, SPECIMEN)
    with pytest.raises(CeremonyRefused, match="another token"):
        hold(SoftwareCeremony(serial="0002"), tmp_path)


def test_certificates_that_no_ceremony_began_are_refused(tmp_path: Path) -> None:
    (tmp_path / "root.der").write_bytes(b"\x30\x00")
    with pytest.raises(CeremonyRefused, match="no ceremony of this directory"):
        hold(SoftwareCeremony(), tmp_path)


def test_evidence_of_another_plan_is_refused(tmp_path: Path) -> None:
    hold(SoftwareCeremony(), tmp_path)
    with pytest.raises(CeremonyRefused, match="another plan"):
        hold(SoftwareCeremony(), tmp_path, SPECIMEN)


def test_authorities_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    ceremony = SoftwareCeremony()
    hold(ceremony, tmp_path / "production")
    hold(ceremony, tmp_path / "specimen", SPECIMEN)
    with pytest.raises(AuthoritiesRefused):
        load_authorities(tmp_path)
    stray = (tmp_path / "specimen" / "issuing-ca.der").read_bytes()
    (tmp_path / "production" / "issuing-ca.der").write_bytes(stray)
    with pytest.raises(AuthoritiesRefused, match="'issuing' is not by 'root'"):
        load_authorities(tmp_path / "production")


def test_labels_are_those_of_the_plan(tmp_path: Path) -> None:
    hold(SoftwareCeremony(), tmp_path)
    assert load_authorities(tmp_path).document_signer.label == KeyLabel("document-signer-2026-1")

"""Published card profiles: what they say, that they never change, and what the loader refuses, by name."""

import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from card_profiles.chip_layout import read_chip_layout
from card_profiles.errors import ProfileRefused, UnknownProfile
from card_profiles.model import Access, Function, KeyOrigin, PinState
from card_profiles.profile import load_profile, profile_for, published, read_profile
from card_profiles.released import PROFILES, Kind, read_released
from card_profiles.table import Table

TYPES = ("eid-citizen", "eid-noncitizen", "eid-eu-citizen")


def test_published_files_never_change() -> None:
    """When this fails: put the file back and publish a new version beside it."""
    written = tomllib.loads((PROFILES / "DIGESTS.toml").read_text())
    released = {
        path.relative_to(PROFILES).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(PROFILES).rglob("*.v*.toml")
    }
    assert released == written


def test_every_published_profile_loads() -> None:
    assert set(published()) == {f"{name}{kind}@1" for name in TYPES for kind in ("", "-specimen")}
    for identifier in published():
        profile = load_profile(identifier)
        assert profile.id == identifier
        assert profile is load_profile(identifier)


@pytest.mark.parametrize("document_type", TYPES)
def test_the_newest_version_for_a_type(document_type: str) -> None:
    production = profile_for(document_type, specimen=False)
    specimen = profile_for(document_type, specimen=True)
    assert production is not None
    assert specimen is not None
    assert (production.id, specimen.id) == (f"{document_type}@1", f"{document_type}-specimen@1")


def test_other_types_are_not_made_here() -> None:
    assert profile_for("passport-citizen", specimen=False) is None
    assert profile_for("eid-citizen-specimen", specimen=True) is None


@pytest.mark.parametrize("identifier", ["eid-citizen", "eid-citizen@2", "eid-citizen@01", "../x@1", "eid@1", "@1"])
def test_unknown_ids(identifier: str) -> None:
    with pytest.raises(UnknownProfile):
        load_profile(identifier)


def test_the_chip_is_that_of_the_data_sheet() -> None:
    """docs/chip-data-sheet.md §1-4."""
    profile = load_profile("eid-citizen@1")
    chip = profile.chip
    assert chip.atr.hex().upper() == "3BDA960080B1FE451F830053494D2D654944203159"
    assert chip.key_versions == {Function.PERSO: 1, Function.PIN: 2, Function.KEY: 3, Function.CERT: 4}
    assert (chip.security_level, chip.maximum_command_data_bytes) == (0x33, 2048)
    assert (chip.pin_application, chip.pin_dgi, chip.key_dgi) == ("eid", 0xC100, 0xC200)
    assert chip.key_algorithms == {"secp256r1": 0x0C, "secp384r1": 0x0D}
    files = {
        f"{application.name}/{file.name}": (file.fid, file.written_by)
        for application in profile.applications
        for file in application.files
    }
    assert files["eid/EF.DocumentNumber"] == (0xD003, Function.PERSO)
    assert files["auth/auth.certificate"] == (0x3401, Function.CERT)
    assert files["sign/sign.certificate"] == (0x341F, Function.CERT)
    assert files["travel/EF.SOD"] == (0x011D, Function.PERSO)
    assert {application.access for application in profile.applications} == {Access.OPEN}


def test_keys_and_pins() -> None:
    profile = load_profile("eid-citizen@1")
    assert [(key.slot, key.reference, key.curve, key.origin, key.certificate_profile) for key in profile.keys] == [
        ("auth", 0x81, "secp384r1", KeyOrigin.HSM, "auth-citizen@1"),
        ("sign", 0x9F, "secp384r1", KeyOrigin.HSM, "sign-citizen@1"),
    ]
    assert [(pin.name, pin.reference, pin.minimum_digits, pin.maximum_tries) for pin in profile.pins] == [
        ("PIN1", 0x01, 4, 3),
        ("PIN2", 0x85, 6, 3),
        ("PUK", 0x02, 8, 3),
    ]


@pytest.mark.parametrize("document_type", TYPES)
def test_specimens_and_production_are_apart(document_type: str) -> None:
    production, specimen = load_profile(f"{document_type}@1"), load_profile(f"{document_type}-specimen@1")
    assert production.certificate_authorities == "production"
    assert {(pin.final_state, pin.value) for pin in production.pins} == {(PinState.BLOCKED, None)}
    assert specimen.certificate_authorities == "specimen"
    assert [(pin.final_state, pin.value) for pin in specimen.pins] == [
        (PinState.ACTIVE, "1234"),
        (PinState.ACTIVE, "123456"),
        (PinState.ACTIVE, "12345678"),
    ]
    assert not set(production.number_prefixes) & set(specimen.number_prefixes)
    assert production.applications == specimen.applications
    assert production.face.items == specimen.face.items[: len(production.face.items)]


def test_no_two_profiles_share_a_number_prefix() -> None:
    prefixes = [prefix for identifier in published() for prefix in load_profile(identifier).number_prefixes]
    assert len(set(prefixes)) == len(prefixes)


def profile_with(change: Callable[[dict[str, Any]], object], identifier: str = "eid-citizen@1") -> None:
    values = read_released(Kind.PROFILE, identifier)
    change(values)
    read_profile(identifier, Table(values, "card profile"))


@pytest.mark.parametrize(("change", "why"), [
    (lambda v: v.update(colour="red"), "unknown colour"),
    (lambda v: v["mrz"].update(optional="1"), "mrz: unknown optional"),
    (lambda v: v["keys"].update(seal={}), "keys: unknown seal"),
    (lambda v: v["pins"]["PIN1"].update(tries=3), "PIN1: unknown tries"),
    (lambda v: v.pop("title"), "title is missing"),
    (lambda v: v.update(specimen=0), "specimen is of the wrong type"),
    (lambda v: v.update(document_type="eid-citzen"), "not named after"),
    (lambda v: v.update(number_prefixes=["PA", "PA"]), "twice"),
    (lambda v: v.update(number_prefixes=["pa"]), "number_prefixes"),
    (lambda v: v.update(portrait_maximum_bytes=1), "portrait_maximum_bytes is not from"),
    (lambda v: v.update(certificate_authorities="specimen"), "of the other kind"),
    (lambda v: v.update(art="eid-specimen@1"), "specimen mark"),
    (lambda v: v["mrz"].update(document_code="PX"), "document_code"),
    (lambda v: v["mrz"].update(document_code="IV"), "document_code"),
    (lambda v: v["mrz"].update(format="TD3"), "format"),
    (lambda v: v["keys"]["auth"].update(curve="secp521r1"), "no keys on secp521r1"),
    (lambda v: v["keys"]["auth"].update(origin="host"), "origin is none of"),
    (lambda v: v["keys"]["auth"].update(certificate_profile="auth"), "certificate_profile"),
    (lambda v: v["pins"]["PIN1"].update(value="1234"), "only specimens"),
    (lambda v: v["pins"]["PIN1"].update(final_state="active"), "nobody knows"),
    (lambda v: v["pins"]["PIN1"].update(final_state="open"), "final_state is none of"),
])  # fmt: skip
def test_what_a_profile_must_not_say(change: Callable[[dict[str, Any]], object], why: str) -> None:
    with pytest.raises(ProfileRefused, match=why):
        profile_with(change)


def test_what_a_specimen_must_not_say() -> None:
    with pytest.raises(ProfileRefused, match="too few or too many digits"):
        profile_with(lambda v: v["pins"]["PIN2"].update(value="12345"), "eid-citizen-specimen@1")
    with pytest.raises(ProfileRefused, match="of the other kind"):
        profile_with(lambda v: v.update(certificate_authorities="production"), "eid-citizen-specimen@1")


def layout_with(change: Callable[[dict[str, Any]], object]) -> None:
    values = read_released(Kind.CHIP, "sim-eid@1")
    change(values)
    read_chip_layout(Table(values, "chip layout"))


@pytest.mark.parametrize(("change", "why"), [
    (lambda v: v["contact"].update(atr="3BDA96"), "atr"),
    (lambda v: v["contact"].update(atr="xyz"), "atr"),
    (lambda v: v["contact"].update(maximum_command_data_bytes=10), "maximum_command_data_bytes"),
    (lambda v: v["channel"].update(security_level=1), "security_level"),
    (lambda v: v["channel"].update(diversification="KDF3"), "diversification"),
    (lambda v: v["channel"]["key_versions"].pop("CERT"), "CERT is missing"),
    (lambda v: v["channel"]["key_versions"].update(AUTH=5), "unknown AUTH"),
    (lambda v: v["objects"].update(pin_application="pins"), "pin_application"),
    (lambda v: v["applications"][0].update(aid="A0"), "aid is not 5 to 16 bytes"),
    (lambda v: v["applications"][1].update(aid=v["applications"][0]["aid"]), "AID stands twice"),
    (lambda v: v["applications"][1].update(access="pace"), "access is none of"),
    (lambda v: v["applications"][3]["files"][0].update(fid=0x8000), "neither from 0001"),
    (lambda v: v["applications"][3]["files"][0].update(fid=0x0101), "fid in travel stands twice"),
    (lambda v: v["applications"][3]["files"][0].update(name="DG1"), "file stands twice"),
    (lambda v: v["applications"][3]["files"][0].update(name="DG17"), "nobody knows what to write"),
    (lambda v: v["applications"][3]["files"][0].update(name="auth.EF.TI"), "nobody knows what to write"),
    (lambda v: v["applications"][1]["files"][3].update(written_by="PERSO"), "written by CERT"),
    (lambda v: v["applications"][1]["files"][0].update(written_by="CERT"), "written by PERSO"),
    (lambda v: v["applications"][1]["files"][0].update(written_by="ANY"), "written_by is none of"),
    (lambda v: v["keys"][0].update(application="seal"), "no application seal"),
    (lambda v: v["keys"][0].update(certificate_file="sign.certificate"), "no file sign.certificate in auth"),
    (lambda v: v["keys"][0].update(certificate_file="auth.EF.CD"), "not written by CERT"),
    (lambda v: v["keys"][1].update(reference=0x81), "key reference stands twice"),
    (lambda v: v["pins"][1].update(reference=1), "PIN reference stands twice"),
    (lambda v: v["pins"][1].update(maximum_tries=0), "maximum_tries"),
    (lambda v: v.update(pins=[1]), "not a table"),
])  # fmt: skip
def test_what_a_chip_layout_must_not_say(change: Callable[[dict[str, Any]], object], why: str) -> None:
    with pytest.raises(ProfileRefused, match=why):
        layout_with(change)

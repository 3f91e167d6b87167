"""Published certificate profiles never change; what is not known is refused by name."""

import hashlib
from importlib.resources import files

import pytest

from pki.errors import ProfileRefused
from pki.profile import Role, load_certificate_profile, published, read_profile

# SHA-256 of every published file. A published file never changes: a change is a new version, and a new line here.
DIGESTS = {
    "auth-citizen@1": "c93ca6200441a5c2d3108b3ec222654d43f2209b040b7f5e745db5d8f48c6100",
    "csca@1": "7dab9bb2185c8bbe26e1ca3c9c5f9fcc682ec631dfe42d68d9591203459d848d",
    "document-signer@1": "c1b1e4984c9dc21b8586c34e9e88dee08755f517e7be39c34159fffe79a50acf",
    "issuing-ca@1": "c541a9cade502f96dc8b6c4a3a2399ac6b7eeee61a5d946e2882e6cd6096b7a3",
    "root@1": "9b33cefca31d6e2f522065b206733ef89ba6933461c1d5bda2cc383903bc7d2a",
    "sign-citizen@1": "a24ae74a9135f177674e7509d42bcdbfbc33403f19b23162b0159e46f0c2346c",
}


def text_of(profile_id: str) -> str:
    name, _, version = profile_id.partition("@")
    return (files("pki") / "profiles" / f"{name}.v{version}.toml").read_text(encoding="utf-8")


def test_published_files_are_what_they_were() -> None:
    found = {profile: hashlib.sha256(text_of(profile).encode()).hexdigest() for profile in published()}
    assert found == DIGESTS


@pytest.mark.parametrize("profile_id", published())
def test_every_published_profile_loads(profile_id: str) -> None:
    profile = load_certificate_profile(profile_id)
    assert profile.id == profile_id
    assert hash(profile) == hash(load_certificate_profile(profile_id))


def test_the_pair_says_what_it_is_for() -> None:
    sign, auth = load_certificate_profile("sign-citizen@1"), load_certificate_profile("auth-citizen@1")
    assert (sign.role, sign.key_usage, sign.extended_key_usage) == (Role.SIGNATURE, ("nonRepudiation",), ())
    assert (auth.role, auth.key_usage, auth.extended_key_usage) == (
        Role.AUTHENTICATION,
        ("digitalSignature",),
        ("clientAuth",),
    )


@pytest.mark.parametrize("profile_id", ["sign-citizen@2", "sign-citizen", "../root@1", "root@x", "nobody@1"])
def test_a_profile_that_is_not_published_is_refused(profile_id: str) -> None:
    with pytest.raises(ProfileRefused):
        load_certificate_profile(profile_id)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "', 'colour = "blue"\ntitle = "', "unknown key 'colour'"),
        ("natural_semantics = true", "natural_semantics = true\nsemantics = 1", "unknown key 'semantics'"),
        ("explicit_parameters = false", "", "key 'explicit_parameters' is missing"),
        ("term = { years = 5 }", "term = { years = 5, weeks = 1 }", "unknown key 'weeks'"),
        ("term = { years = 5 }", "term = {}", "the term is empty"),
        ('["nonRepudiation"]', '["everything"]', "'everything' is not a known value of 'key_usage'"),
        ('["nonRepudiation"]', "[]", "may not be empty"),
        ('role = "signature"', 'role = "root"', "[basic_constraints] stands with authorities"),
        ("http://pki.eid.example.org/crl", "https://pki.eid.example.org/crl", "does not begin with http://"),
        ("crl/{issuer_key_id}", "crl/{name}", "unknown placeholder"),
        ("curves = [", 'curves = ["secp224r1", ', "'secp224r1' is not a known value of 'curves'"),
        ("explicit_parameters = false", 'explicit_parameters = "no"', "neither true nor false"),
        ('"surname", "givenName"] #', '"surname", "surname"] #', "says something twice"),
    ],
)
def test_what_is_not_a_profile_is_refused_by_name(old: str, new: str, said: str) -> None:
    text = text_of("sign-citizen@1")
    assert old in text
    with pytest.raises(ProfileRefused) as refused:
        read_profile(text.replace(old, new, 1), "sign-citizen@1")
    assert said in str(refused.value)

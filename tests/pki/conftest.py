"""One set of authorities for all tests of the room, made by the ceremony itself on keys in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pki.authorities import Authorities, Authority, load_authorities
from pki.ceremony import hold_ceremony, load_plan, plan_file
from pki.certificate import Subject
from pki.issuance import new_serial, prepare_pair, sign_certificate, validity
from tests.pki.made_up import ISSUED, LAST_DAY, NOW, PROFILES, key_letter, subject
from tests.pki.software_signer import SoftwareCeremony, SoftwareSigner, new_public_key


@dataclass(frozen=True)
class Centre:
    """Authorities, their keys, and the directory the ceremony wrote."""

    authorities: Authorities
    signer: SoftwareSigner
    directory: Path

    @property
    def issuing(self) -> Authority:
        return self.authorities.issuing


@dataclass(frozen=True)
class Pair:
    """One card's to-be-signed octets and certificates by slot."""

    tbs: dict[str, bytes]
    certificates: dict[str, bytes]


@pytest.fixture(scope="session")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Centre:
    directory = tmp_path_factory.mktemp("authorities")
    ceremony = SoftwareCeremony()
    plan = load_plan(plan_file("production-demo"))
    hold_ceremony(plan, ceremony, now=NOW, directory=directory, key_letter=key_letter)
    return Centre(load_authorities(directory), ceremony.keys, directory)


@pytest.fixture(scope="session")
def issue(centre: Centre) -> Callable[[Subject], Pair]:
    keys = {slot: new_public_key() for slot in PROFILES}

    def one(holder: Subject) -> Pair:
        not_before, not_after = validity(ISSUED, LAST_DAY, PROFILES["sign"], NOW)
        tbs = prepare_pair(
            PROFILES,
            centre.issuing,
            subject=holder,
            public_keys=keys,
            serials={slot: new_serial(slot.encode() * 5) for slot in PROFILES},
            not_before=not_before,
            not_after=not_after,
        )
        return Pair(dict(tbs), {slot: sign_certificate(centre.signer, centre.issuing, tbs[slot]) for slot in tbs})

    return one


@pytest.fixture(scope="session")
def pair(issue: Callable[[Subject], Pair]) -> Pair:
    return issue(subject())

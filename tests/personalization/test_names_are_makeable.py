"""Whatever name the record rules accept can be made: certificate, machine readable zone and print, all of one name."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from card_profiles.codecs.mrz import parse_td1, td1
from card_profiles.codecs.transliteration import fit_name
from card_profiles.model import CardHolder, Portrait
from card_profiles.profile import load_profile
from personalization.approved_record import Holder
from personalization.face import FaceContent, compose_face
from personalization.records import CheckedRecord, check_record
from personalization.rules.names import LETTERS, PUNCTUATION, name_as_written, name_failures
from personalization.rules.view import RecordView
from personalization.stages.certify import LARGEST_CERTIFICATE_BYTES, SIGNATURE_BYTES, subject_of
from pki.authorities import load_authorities
from pki.ceremony import hold_ceremony, load_plan, plan_file
from pki.certificate import Subject, holder_subject
from pki.issuance import new_serial, prepare_pair, validity
from tests.personalization.record_vectors import CITIZEN, NOW, PLACES, changed
from tests.pki import made_up
from tests.pki.software_signer import SoftwareCeremony, new_public_key

PROFILE = load_profile("eid-citizen@1")
CODE = CITIZEN["holder"]["personal_code"]

PUNCTUATED = st.text(st.sampled_from(sorted(LETTERS | PUNCTUATION)), max_size=60)
WORDS = st.lists(st.text(st.sampled_from(sorted(LETTERS)), min_size=1, max_size=12), max_size=20).map(" ".join)
SPACED = st.text(st.sampled_from("Aģ -',."), max_size=60)
WIDE = st.builds(lambda letter, count: letter * count, st.sampled_from(sorted(LETTERS)), st.integers(1, 60))
Certify = Callable[[Subject], Mapping[str, bytes]]
NAMES = PUNCTUATED | WORDS.map(lambda name: name[:60]) | SPACED | WIDE


@pytest.fixture(scope="module")
def certify(tmp_path_factory: pytest.TempPathFactory) -> Certify:
    """Lints a pair for this subject, under authorities with keys in memory."""
    directory = tmp_path_factory.mktemp("authorities")
    plan = load_plan(plan_file("production-demo"))
    hold_ceremony(plan, SoftwareCeremony(), now=made_up.NOW, directory=directory, key_letter=made_up.key_letter)
    issuing = load_authorities(directory).issuing
    keys = {slot: new_public_key() for slot in made_up.PROFILES}
    serials = {slot: new_serial(slot.encode() * 5) for slot in made_up.PROFILES}
    not_before, not_after = validity(made_up.ISSUED, made_up.LAST_DAY, made_up.PROFILES["sign"], made_up.NOW)

    def prepare(subject: Subject) -> Mapping[str, bytes]:
        return prepare_pair(
            made_up.PROFILES,
            issuing,
            subject=subject,
            public_keys=keys,
            serials=serials,
            not_before=not_before,
            not_after=not_after,
        )

    return prepare


def accepted(surname: str, given_names: str) -> bool:
    view = RecordView({"holder": {"surname": surname, "given_names": given_names}}, ())
    return not list(name_failures(view))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(NAMES.filter(lambda name: name != ""), NAMES)
@example("Kalns ", " Anna  Maria ")
@example("O  Neil", "")
@example(", A", "-'")
@example("œ" * 60, "m" * 60)
@example("Ä" * 60, "ß" * 60)
@example("X" * 60, " ".join(["ZO"] * 20))
def test_every_accepted_name_can_be_made(certify: Certify, surname: str, given_names: str) -> None:
    assume(accepted(surname, given_names))
    make(certify, name_as_written(surname), name_as_written(given_names))


@pytest.mark.parametrize("blank", [" ", "   ", "-", "' ,. ’", ""])
def test_a_name_without_a_letter_is_refused_before(blank: str) -> None:
    assert not accepted(blank, "Anna")
    assert blank == "" or not accepted("Kalns", blank)


def test_the_whole_way_from_the_wire(certify: Certify) -> None:
    record = check_record(
        changed(CITIZEN, {"/holder/surname": " Kalns ", "/holder/given_names": "Anna  Ņina "}), PLACES, now=NOW
    )
    assert isinstance(record, CheckedRecord)
    make(certify, record.holder.surname, record.holder.given_names)
    assert subject_of(record.holder).common_name == "Anna Ņina Kalns"


def make(certify: Certify, surname: str, given_names: str) -> None:
    """Certificate, zone and print of this holder; raises what they refuse."""
    subject = holder_subject("LV", surname, given_names, CODE)
    holder = Holder(CODE, surname, given_names, None, "1978-09-04", None, "F", "LVA", None)
    assert subject_of(holder) == subject
    for tbs in certify(subject).values():
        assert len(tbs) + SIGNATURE_BYTES <= LARGEST_CERTIFICATE_BYTES or "ẞ" in surname + given_names
    portrait = Portrait("image/jpeg", 24, 32, JPEG)
    zone = td1(PROFILE.mrz, replace(ON_CARD, surname=surname, given_names=given_names, portrait=portrait))
    assert parse_td1(zone).surname
    assert fit_name(subject.surname or "", subject.given_names or "", 30) == zone[2]
    fields = {"surname": surname, "given_names": given_names}
    assert compose_face(PROFILE, FaceContent(fields, zone, portrait, None))


def jpeg() -> bytes:
    out = BytesIO()
    Image.new("RGB", (24, 32), "grey").save(out, "JPEG")
    return out.getvalue()


JPEG = jpeg()
ON_CARD = CardHolder(
    document_number="PA1234567",
    surname="",
    given_names="",
    birth_date="1978-09-04",
    sex="F",
    nationality="LVA",
    expiry_date="2031-11-22",
    personal_code=CODE,
    portrait=Portrait("image/jpeg", 24, 32, JPEG),
    fingerprints=(),
)

"""Names and other texts: one good and one bad vector per rule."""

import unicodedata

import pytest

from card_profiles.codecs.mrz import letters_allowed, transliterate
from personalization.records import CheckedRecord, check_record, record_from_bytes, record_to_bytes
from personalization.rules.names import LETTERS, PUNCTUATION
from tests.personalization.record_vectors import CITIZEN, NOW, PLACES, changed, failures_with

SURNAME = "/holder/surname"
GIVEN = "/holder/given_names"


@pytest.mark.parametrize(
    "name",
    [
        "Liepiņš",
        "O'Brien",
        "D’Arc",
        "Ozola-Bērziņa",
        "de la Cruz",
        "Smith, Jr.",
        "Müßig",
        "Þórðarson",
        "Łęcki",
        "ẞ",
        "A" * 60,
    ],
)
def test_good_names(name: str) -> None:
    assert not failures_with({SURNAME: name, GIVEN: name, "/holder/name_original_form": name})


@pytest.mark.parametrize("place", [SURNAME, GIVEN, "/holder/name_original_form"])
@pytest.mark.parametrize(
    "name",
    [
        "Иванов",
        "Aлla",  # one Cyrillic letter among Latin ones
        "Παπάς",
        "Smith2",
        "Smith_",
        "Smith/Jones",
        "Smith<Jones",
        "Nguyễn",  # a letter that section 6 does not transliterate
        "Smith\u00a0Jones",  # no-break space
        "Smith\u2010Jones",  # another hyphen
        "ﬁsher",
        "Ａbe",
        "x\u0304y",  # a mark that composes with nothing
        "Ann 😀",
    ],
)
def test_other_characters_are_refused(place: str, name: str) -> None:
    assert failures_with({place: name}) == {(place, "name-letters")}


@pytest.mark.parametrize("place", [SURNAME, GIVEN, "/holder/name_original_form", "/holder/birth_place"])
def test_names_are_composed(place: str) -> None:
    assert failures_with({place: unicodedata.normalize("NFD", "Liepiņš")}) == {(place, "text-nfc")}


@pytest.mark.parametrize("place", [SURNAME, GIVEN, "/holder/birth_place", "/document/permit_remarks"])
@pytest.mark.parametrize("character", ["\n", "\0", "\x7f", "\x85", "\u200b", "\u202e", "\u2028", "\ufeff", "\ue000"])
def test_no_control_or_invisible_characters(place: str, character: str) -> None:
    assert failures_with({place: f"Ab{character}c"}) == {(place, "text-control")}


def test_a_single_name_is_a_surname() -> None:
    assert not failures_with({GIVEN: ""})
    assert failures_with({SURNAME: ""}) == {(SURNAME, "schema/minLength")}


@pytest.mark.parametrize("blank", [" ", "-", "' ,.", "   "])
def test_marks_alone_are_no_surname(blank: str) -> None:
    assert failures_with({SURNAME: blank}) == {(SURNAME, "surname-required")}
    assert failures_with({GIVEN: blank}) == {(GIVEN, "given-names-blank")}


@pytest.mark.parametrize(
    ("wire", "checked"),
    [
        ("Kalns ", "Kalns"),
        (" Kalns", "Kalns"),
        ("O  Neil", "O Neil"),
        ("  de   la  Cruz ", "de la Cruz"),
        ("A -B", "A -B"),
    ],
)
def test_the_checked_form_has_no_spaces_that_nobody_sees(wire: str, checked: str) -> None:
    changes = {SURNAME: wire, GIVEN: wire, "/holder/name_original_form": wire, "/holder/birth_place": wire}
    record = check_record(changed(CITIZEN, changes), PLACES, now=NOW)
    assert isinstance(record, CheckedRecord)
    holder = record.holder
    assert (holder.surname, holder.given_names, holder.name_original_form) == (checked, checked, checked)
    assert holder.birth_place == wire
    assert record_from_bytes(record_to_bytes(record)) == record


def test_a_birth_place_is_no_name() -> None:
    assert not failures_with({"/holder/birth_place": "Санкт-Петербург (2)"})


def test_every_name_that_is_let_through_has_a_form_in_the_machine_readable_zone() -> None:
    assert letters_allowed == LETTERS
    for character in LETTERS | PUNCTUATION:
        assert transliterate(f"A{character}B")

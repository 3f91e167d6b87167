"""TD1: the worked examples of ICAO 9303-3 appendix A and 9303-5, and what verification refuses."""

from dataclasses import replace

import pytest

from card_profiles.codecs.mrz import MrzError, NameRefused, check_digit, parse_td1, td1
from card_profiles.model import MrzSpec
from tests.card_profiles.holders import ANNA, named

UTOPIA = MrzSpec("TD1", "I<", "UTO")
SPECIMEN = (
    "I<UTOD231458907<<<<<<<<<<<<<<<",
    "7408122F1204159UTO<<<<<<<<<<<6",
    "ERIKSSON<<ANNA<MARIA<<<<<<<<<<",
)
"""9303-5 appendix B."""


@pytest.mark.parametrize(("text", "digit"), [
    ("520727", "3"),
    ("AB2134<<<", "5"),
    ("HA672242<658022549601086<<<<<<<<<<<<<<0", "8"),
    ("D231458907<<<<<<<<<<<<<<<34071279507122<<<<<<<<<<", "2"),
])  # fmt: skip
def test_check_digits_of_9303_3_appendix_a(text: str, digit: str) -> None:
    assert check_digit(text) == digit


def test_the_specimen() -> None:
    assert td1(UTOPIA, ANNA) == SPECIMEN
    data = parse_td1(SPECIMEN)
    assert (data.document_number, data.surname, data.given_names) == ("D23145890", "ERIKSSON", "ANNA MARIA")
    assert (data.birth_date, data.sex, data.expiry_date, data.nationality) == ("740812", "F", "120415", "UTO")
    assert not data.may_be_truncated


def test_a_long_document_number() -> None:
    """The example of 9303-3 appendix A: number D23145890AB112234566, its check digit after it, `<` at position 15."""
    lines = ("I<UTOD23145890<AB112234566<<<<", "3407127M9507122UTO<<<<<<<<<<<2", "STEVENSON<<PETER<<<<<<<<<<<<<<")
    assert check_digit("D23145890AB11223456") == "6"
    holder = replace(
        named("Stevenson", "Peter"), document_number="D23145890AB11223456",
        birth_date="1934-07-12", sex="M", expiry_date="1995-07-12",
    )  # fmt: skip
    made = td1(UTOPIA, holder)
    assert made[0] == lines[0]
    assert made[1][:29] == lines[1][:29]
    data = parse_td1(made)
    assert (data.document_number, data.optional_1) == ("D23145890AB11223456", "")


@pytest.mark.parametrize(("iso", "zone"), [
    ("1974-00-00", "74<<<<"), ("1974-08-00", "7408<<"), ("0000-00-00", "<<<<<<"), ("2002-02-28", "020228"),
])  # fmt: skip
def test_unknown_parts_of_a_birth_date_are_fillers(iso: str, zone: str) -> None:
    lines = td1(UTOPIA, replace(ANNA, birth_date=iso))
    assert lines[1][:6] == zone
    assert parse_td1(lines).birth_date == zone


def test_sex_unspecified_and_short_codes() -> None:
    lines = td1(UTOPIA, replace(ANNA, sex="X", nationality="D"))
    assert lines[1][7] == "<"
    assert lines[1][15:18] == "D<<"
    assert parse_td1(lines).nationality == "D"


def test_a_single_name_has_no_separator() -> None:
    lines = td1(UTOPIA, named("Arkfreith", ""))
    assert lines[2] == "ARKFREITH<<<<<<<<<<<<<<<<<<<<<"
    assert parse_td1(lines).given_names == ""


def test_a_truncated_name_says_so() -> None:
    lines = td1(UTOPIA, named("Nilavadhanananda", "Chayapa Dejthamrong Krasuang"))
    assert parse_td1(lines).may_be_truncated


@pytest.mark.parametrize(("line", "place", "field"), [
    (0, 5, "document number"), (0, 14, "document number"), (0, 20, "composite"), (1, 0, "birth date"),
    (1, 6, "birth date"), (1, 8, "expiry date"), (1, 14, "expiry date"), (1, 20, "composite"), (1, 29, "composite"),
])  # fmt: skip
def test_one_wrong_character_is_found(line: int, place: int, field: str) -> None:
    lines = list(SPECIMEN)
    changed = "1" if lines[line][place] != "1" else "2"
    lines[line] = lines[line][:place] + changed + lines[line][place + 1 :]
    with pytest.raises(MrzError) as caught:
        parse_td1(lines)
    assert caught.value.field == field


@pytest.mark.parametrize(("lines", "field"), [
    (SPECIMEN[:2], "zone"),
    ((SPECIMEN[0][:-1], *SPECIMEN[1:]), "line 1"),
    (("P" + SPECIMEN[0][1:], *SPECIMEN[1:]), "line 1"),
    ((SPECIMEN[0], SPECIMEN[1].replace("F", "X"), SPECIMEN[2]), "line 2"),
    ((*SPECIMEN[:2], SPECIMEN[2].lower()), "line 3"),
    ((*SPECIMEN[:2], "<" + SPECIMEN[2][:-1]), "name"),
    ((*SPECIMEN[:2], "ERIKSSON<<ANNA<<MARIA<<<<<<<<<"), "name"),
    (("I<UTOD23145890<<<<<<<<<<<<<<<<", *SPECIMEN[1:]), "document number"),
])  # fmt: skip
def test_what_is_not_of_the_form(lines: tuple[str, ...], field: str) -> None:
    with pytest.raises(MrzError) as caught:
        parse_td1(lines)
    assert caught.value.field == field


@pytest.mark.parametrize(("change", "field"), [
    ({"document_number": "d23145890"}, "document number"),
    ({"document_number": "A" * 23}, "document number"),
    ({"birth_date": "12.08.1974"}, "birth date"),
    ({"expiry_date": "2012-00-00"}, "expiry date"),
    ({"sex": "?"}, "sex"),
    ({"nationality": "UTOP"}, "nationality"),
])  # fmt: skip
def test_what_cannot_be_written(change: dict[str, str], field: str) -> None:
    with pytest.raises(MrzError) as caught:
        td1(UTOPIA, replace(ANNA, **change))  # type: ignore[arg-type]
    assert caught.value.field == field
    assert all(value not in str(caught.value) for value in change.values() if len(value) > 1)


def test_a_name_outside_the_table_is_refused() -> None:
    with pytest.raises(NameRefused):
        td1(UTOPIA, named("Иванов", ""))

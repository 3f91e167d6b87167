"""Personal code: one good and one bad vector per rule."""

import pytest

from personalization.rules.personal_code import agrees_with_birth, check_digit
from tests.personalization.record_vectors import CHILD, failures_with

CODE = "/holder/personal_code"


# 161175-19997: the example of python-stdnum's stdnum.lv.pvn; the others are of the synthetic samples.
@pytest.mark.parametrize("code", ["161175-19997", "040978-11027", "190422-26041", "150164-17831"])
def test_check_digit(code: str) -> None:
    digits = code.replace("-", "")
    assert check_digit(digits[:10]) == int(digits[10])


def test_a_remainder_of_ten_is_no_digit() -> None:
    first_ten = next(f"010180{n:04d}" for n in range(1000, 2000) if check_digit(f"010180{n:04d}") == 10)
    for last in range(10):
        code = f"{first_ten[:6]}-{first_ten[6:]}{last}"
        assert (CODE, "personal-code-check-digit") in failures_with({CODE: code, "/holder/birth_date": "1980-01-01"})


def test_good_codes() -> None:
    assert not failures_with({})
    assert not failures_with({CODE: "320000-00000"})  # the new form has neither check digit nor birth date
    assert not failures_with({CODE: None, "/certificates/wanted": False})


def test_wrong_check_digit() -> None:
    assert failures_with({CODE: "040978-11026"}) == {(CODE, "personal-code-check-digit")}


@pytest.mark.parametrize(
    ("digits", "birth_date", "agrees"),
    [
        ("0409781102", "1978-09-04", True),
        ("0409780102", "1878-09-04", True),
        ("0409782102", "2078-09-04", True),
        ("0409781102", "2078-09-04", False),
        ("0409783102", "2178-09-04", False),  # 3 is the digit of no century
        ("0409781102", "1978-04-09", False),
        ("0000781102", "1978-00-00", True),  # unknown is 00 in both
        ("0409781102", "1978-00-00", False),
        ("0109781102", "1978-09-00", False),
    ],
)
def test_birth_date_and_century(digits: str, birth_date: str, agrees: bool) -> None:
    assert agrees_with_birth(digits, birth_date) is agrees


def test_another_birth_date() -> None:
    assert failures_with({"/holder/birth_date": "1978-09-05"}) == {(CODE, "personal-code-birth-date")}


def test_33_is_not_the_new_form() -> None:
    assert (CODE, "personal-code-birth-date") in failures_with({CODE: "330978-11027"})


def test_certificates_need_a_personal_code() -> None:
    assert failures_with({CODE: None}) == {(CODE, "personal-code-required")}
    assert failures_with({CODE: None}, CHILD) == {(CODE, "personal-code-required")}

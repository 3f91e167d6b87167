"""The personal code: two forms, the check digit and birth date of the old one, and who must have a code."""

from collections.abc import Iterator

from personalization.approved_record import Failure
from personalization.rules.view import RecordView

POINTER = "/holder/personal_code"
WEIGHTS = (1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CENTURIES = {"0": "18", "1": "19", "2": "20"}
NEW_FORM_PREFIX = "32"


def personal_code_failures(view: RecordView) -> Iterator[Failure]:
    """Failures of /holder/personal_code."""
    if view.value("/certificates/wanted") is True and view.has(POINTER) and view.value(POINTER) is None:
        yield Failure(
            POINTER,
            "personal-code-required",
            "Certificates are wanted but there is no personal code; they are issued only to a holder who has one.",
        )
    code = view.text(POINTER)
    if code is None or code.startswith(NEW_FORM_PREFIX):
        return
    digits = code.replace("-", "")
    if check_digit(digits[:10]) != int(digits[10]):
        yield Failure(
            POINTER, "personal-code-check-digit", "The check digit of the personal code is wrong; the code is mistyped."
        )
    birth_date = view.text("/holder/birth_date")
    if birth_date is not None and not agrees_with_birth(digits, birth_date):
        yield Failure(
            POINTER,
            "personal-code-birth-date",
            "The personal code and the birth date disagree: the code's first six digits must be the day, month and "
            "year of birth and its seventh the century (0 for 18xx, 1 for 19xx, 2 for 20xx).",
        )


def check_digit(first_ten: str) -> int:
    """(1101 - sum of weighted digits) mod 11 over ten digits; 10 is a result that no digit can equal."""
    weighted = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, first_ten, strict=True))
    return (1101 - weighted) % 11


def agrees_with_birth(digits: str, birth_date: str) -> bool:
    """Whether DDMMYYC of a code says the same as YYYY-MM-DD. An unknown day or month is 00 in both."""
    year, month, day = birth_date.split("-")
    century = CENTURIES.get(digits[6])
    return digits[:6] == f"{day}{month}{year[2:]}" and century == year[:2]

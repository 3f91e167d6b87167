"""The machine readable zone of ID-1 cards, TD1: three lines of 30 characters (ICAO 9303-5 §4.2, 9303-3 §4)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from card_profiles.codecs.errors import CodecError
from card_profiles.codecs.transliteration import NameRefused, fit_name, letters_allowed, transliterate
from card_profiles.model import CardHolder, MrzSpec

__all__ = ["MrzData", "MrzError", "NameRefused", "check_digit", "letters_allowed", "parse_td1", "td1", "transliterate"]

LINE_LENGTH = 30
_VALUES = {character: value for value, character in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")} | {"<": 0}
_WEIGHTS = (7, 3, 1)
_SHORT_NUMBER = 9
_LONGEST_NUMBER = 22  # nine and positions 16-28 of line 1


class MrzError(CodecError):
    """What cannot be written in, or is wrong in, a machine readable zone; `field` names it, values are never told."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field


@dataclass(frozen=True, slots=True)
class MrzData:
    """What a TD1 zone says, fillers removed; dates as the six characters printed, unknown parts `<<`.

    `sex` is `F`, `M` or `<`. `may_be_truncated`: the name field ends with a letter (9303-5 §4.2.3.3).
    """

    document_code: str
    issuing_state: str
    document_number: str
    optional_1: str
    birth_date: str
    sex: str
    expiry_date: str
    nationality: str
    optional_2: str
    surname: str
    given_names: str
    may_be_truncated: bool


def check_digit(text: str) -> str:
    """The check digit over `text`: weights 7 3 1, modulus 10 (9303-3 §4.9). Raises `MrzError`."""
    if not _VALUES.keys() >= set(text):
        raise MrzError("check digit", "a character is not of the machine readable zone")
    return str(sum(_VALUES[character] * _WEIGHTS[place % 3] for place, character in enumerate(text)) % 10)


def td1(spec: MrzSpec, holder: CardHolder) -> tuple[str, str, str]:
    """The three lines for a holder. Raises `MrzError` or `NameRefused`."""
    number, optional_1 = _document_number(holder.document_number)
    first = f"{spec.document_code:<<2}{spec.issuing_state:<<3}{number}{optional_1:<<15}"
    birth, expiry = _birth_date(holder.birth_date), _expiry_date(holder.expiry_date)
    sex = {"F": "F", "M": "M", "X": "<"}.get(holder.sex)
    if sex is None:
        raise MrzError("sex", "is none of F, M, X")
    if not re.fullmatch(r"[A-Z]{1,3}", holder.nationality):
        raise MrzError("nationality", "is not one to three capital letters")
    second = f"{birth}{check_digit(birth)}{sex}{expiry}{check_digit(expiry)}{holder.nationality:<<3}" + "<" * 11
    third = fit_name(holder.surname, holder.given_names, LINE_LENGTH)
    return first, second + check_digit(_composite(first, second)), third


def parse_td1(lines: Sequence[str]) -> MrzData:
    """Reads and verifies a zone: its form, then every check digit. Raises `MrzError` naming the first field wrong."""
    # 1. three lines of 30 characters, the form of each field (9303-5 §4.2.2)
    if len(lines) != 3:
        raise MrzError("zone", "is not three lines")
    first = _match("line 1", r"([ACI][A-Z<])([A-Z<]{3})([A-Z0-9<]{9})([0-9<])([A-Z0-9<]{15})", lines[0])
    second = _match(
        "line 2", r"([0-9<]{6})([0-9])([FM<])([0-9]{6})([0-9])([A-Z]{1,3}<*)([A-Z0-9<]{11})([0-9])", lines[1]
    )
    third = _match("line 3", r"([A-Z<]{30})", lines[2])
    # 2. the check digits (9303-5 §4.2.4)
    number, optional_1 = _read_document_number(first[3], first[4], first[5])
    _verify("birth date", second[1], second[2])
    _verify("expiry date", second[4], second[5])
    _verify("composite", _composite(lines[0], lines[1][:29]), second[8])
    # 3. the name: at most one separator of two fillers
    primary, _, secondary = third[1].rstrip("<").partition("<<")
    if not primary or primary.startswith("<") or "<<" in secondary or secondary.startswith("<"):
        raise MrzError("name", "fillers stand where letters should")
    return MrzData(
        document_code=first[1].rstrip("<"),
        issuing_state=first[2].rstrip("<"),
        document_number=number,
        optional_1=optional_1,
        birth_date=second[1],
        sex=second[3],
        expiry_date=second[4],
        nationality=second[6].rstrip("<"),
        optional_2=second[7].rstrip("<"),
        surname=primary.replace("<", " "),
        given_names=secondary.replace("<", " "),
        may_be_truncated=not third[1].endswith("<"),
    )


def _document_number(number: str) -> tuple[str, str]:
    """Positions 6-15 and what begins at 16 of line 1 (9303-5 §4.2.2 note j)."""
    if not re.fullmatch(r"[A-Z0-9]+", number) or len(number) > _LONGEST_NUMBER:
        raise MrzError("document number", "is not 1 to 22 capital letters and digits")
    if len(number) <= _SHORT_NUMBER:
        padded = number.ljust(_SHORT_NUMBER, "<")
        return padded + check_digit(padded), ""
    return number[:_SHORT_NUMBER] + "<", number[_SHORT_NUMBER:] + check_digit(number) + "<"


def _read_document_number(number: str, digit: str, optional: str) -> tuple[str, str]:
    if digit != "<":
        _verify("document number", number, digit)
        return number.rstrip("<"), optional.rstrip("<")
    rest, _, after = optional.partition("<")
    if len(rest) < 2 or not number.isalnum():
        raise MrzError("document number", "has neither a check digit nor a continuation")
    _verify("document number", number + rest[:-1], rest[-1])
    return number + rest[:-1], after.rstrip("<")


def _birth_date(iso: str) -> str:
    match = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", iso)
    if match is None:
        raise MrzError("birth date", "is not YYYY-MM-DD")
    # 9303-3 §4.8: unknown parts are fillers
    year = "<<" if match[1] == "0000" else match[1][2:]
    return year + "".join("<<" if part == "00" else part for part in (match[2], match[3]))


def _expiry_date(iso: str) -> str:
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", iso):
        raise MrzError("expiry date", "is not a whole date YYYY-MM-DD")
    return iso[2:4] + iso[5:7] + iso[8:10]


def _composite(first: str, second: str) -> str:
    """Line 1 positions 6-30 and line 2 positions 1-7, 9-15, 19-29 (9303-5 §4.2.4)."""
    return first[5:30] + second[0:7] + second[8:15] + second[18:29]


def _match(field: str, pattern: str, line: str) -> re.Match[str]:
    match = re.fullmatch(pattern, line)
    if len(line) != LINE_LENGTH or match is None:
        raise MrzError(field, "is not 30 characters in the form of TD1")
    return match


def _verify(field: str, text: str, digit: str) -> None:
    if check_digit(text) != digit:
        raise MrzError(field, "the check digit is wrong")

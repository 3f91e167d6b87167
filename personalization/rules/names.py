"""Names and the other texts that people wrote.

Names of a person (surname, given names, original form) are NFC, of Latin letters with the marks that ICAO 9303-3
section 6 transliterates, apostrophe, hyphen, space, comma and full stop. Every other text is NFC without control
characters, so that nothing invisible is printed or logged.
"""

import string
import unicodedata
from collections.abc import Iterator

from card_profiles.codecs.mrz import letters_allowed
from personalization.approved_record import Failure
from personalization.rules.view import RecordView

LETTERS = frozenset(letters_allowed) | frozenset(string.ascii_letters)
# U+2019 is the apostrophe of good typography (The Unicode Standard, §6.2.7); the machine readable zone drops both.
PUNCTUATION = frozenset("'’- ,.")

NAMES = ("/holder/surname", "/holder/given_names", "/holder/name_original_form")
TEXTS = (
    "/holder/birth_place",
    "/document/permit_remarks",
    "/approved/decision_id",
    "/approved/officer",
    "/approved/second_officer",
)


def name_failures(view: RecordView) -> Iterator[Failure]:
    """Failures of the names and the other texts."""
    for pointer in NAMES:
        text = view.text(pointer)
        if text is not None:
            yield from _text(pointer, text)
            yield from _letters(pointer, text)
    for pointer in TEXTS:
        text = view.text(pointer)
        if text is not None:
            yield from _text(pointer, text)
    yield from _surname(view)


def name_as_written(text: str) -> str:
    """A name without spaces at its ends and with single ones inside: so it stands on print, chip and certificate."""
    return " ".join(part for part in text.split(" ") if part)


def _text(pointer: str, text: str) -> Iterator[Failure]:
    if not unicodedata.is_normalized("NFC", text):
        yield Failure(pointer, "text-nfc", "The text is not in Unicode normalization form C.")
    if any(_is_control(character) for character in text):
        yield Failure(pointer, "text-control", "The text holds a control or other invisible character.")


def _letters(pointer: str, text: str) -> Iterator[Failure]:
    # A decomposed letter is one fault, not two; an invisible character is named by its own rule.
    composed = unicodedata.normalize("NFC", text)
    if any(c not in LETTERS and c not in PUNCTUATION and not _is_control(c) for c in composed):
        yield Failure(
            pointer,
            "name-letters",
            "The name holds a character that names may not have: allowed are Latin letters with the marks that "
            "ICAO 9303-3 section 6 transliterates, apostrophe, hyphen, space, comma and full stop.",
        )


def _surname(view: RecordView) -> Iterator[Failure]:
    """Given names without a surname are refused; a surname without given names is a single name."""
    surname, given = view.text("/holder/surname"), view.text("/holder/given_names")
    # Marks and spaces alone are no name, whatever their length.
    if surname is not None and not _has_letter(surname):
        yield Failure(
            "/holder/surname",
            "surname-required",
            "There is no surname; a person with a single name has it as surname, with the given names empty.",
        )
    if given and not _has_letter(given):
        yield Failure(
            "/holder/given_names", "given-names-blank", "The given names hold no letter; without any they are empty."
        )


def _has_letter(text: str) -> bool:
    return any(unicodedata.category(character).startswith("L") for character in text)


def _is_control(character: str) -> bool:
    # Cc and Cf: control and format (bidirectional overrides, zero-width); Co, Cn: private, unassigned;
    # Zl, Zp: line and paragraph separators. None of them can be seen, so none can have been approved.
    return unicodedata.category(character) in {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}

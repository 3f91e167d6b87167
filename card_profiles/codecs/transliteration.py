"""From names as printed to the letters of the machine readable zone (ICAO 9303-3 §4.6 and §6 table A).

Where the table offers a choice (Ä, Å, Ñ, Ö, Ü) its first recommendation is taken.
"""

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from card_profiles.codecs.errors import CodecError

_TABLE_A = {
    "A": "ÀÁÂÃĀĂĄ",
    "AA": "Å",
    "AE": "ÄÆ",
    "C": "ÇĆĈĊČ",
    "D": "ÐĎĐ",
    "E": "ÈÉÊËĒĔĖĘĚ",
    "G": "ĜĞĠĢ",
    "H": "ĤĦ",
    "I": "ÌÍÎÏĨĪĬĮİı",
    "IJ": "Ĳ",
    "J": "Ĵ",
    "K": "Ķ",
    "L": "ĹĻĽĿŁ",
    "N": "ÑŃŅŇŊ",
    "O": "ÒÓÔÕŌŎŐ",
    "OE": "ÖØŒ",
    "R": "ŔŖŘ",
    "S": "ŚŜŞŠ",
    "SS": "ẞß",
    "T": "ŢŤŦ",
    "TH": "Þ",
    "U": "ÙÚÛŨŪŬŮŰŲ",
    "UE": "Ü",
    "W": "Ŵ",
    "Y": "ÝŶŸ",
    "Z": "ŹŻŽ",
}
_BASIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _letters() -> Mapping[str, str]:
    capitals = {letter: letter for letter in _BASIC}
    capitals |= {letter: latin for latin, letters in _TABLE_A.items() for letter in letters}
    # İ has no small form of one character, ı and ß no capital of one
    small = {letter.lower(): latin for letter, latin in capitals.items() if len(letter.lower()) == 1}
    return MappingProxyType(small | capitals)


_LETTERS = _letters()
_SEPARATORS = frozenset(" -,")  # a comma between components of one identifier is one filler, like a hyphen
_DROPPED = frozenset("'’.")  # apostrophe: components are combined; other punctuation is omitted

letters_allowed = frozenset(_LETTERS)
"""Every letter, capital or small, composed (NFC), that table A and the basic alphabet hold."""

punctuation_allowed = _SEPARATORS | _DROPPED
"""Everything else that may stand in a name."""


class NameRefused(CodecError):
    """A name holds a character that has no form in the machine readable zone, or no letter at all."""


def transliterate(name: str) -> str:
    """A name, or one identifier of it, in A-Z with one `<` between components; composed and decomposed text alike.

    Raises `NameRefused`.
    """
    parts: list[str] = []
    for position, character in enumerate(unicodedata.normalize("NFC", name), 1):
        if character in _LETTERS:
            parts.append(_LETTERS[character])
        elif character in _SEPARATORS:
            parts.append(" ")
        elif character not in _DROPPED:
            raise NameRefused(f"character {position} of the name is not of ICAO 9303-3 section 6 table A")
    components = "".join(parts).split()
    if not components and name:
        raise NameRefused("the name has no letter")
    return "<".join(components)


def fit_name(surname: str, given_names: str, size: int) -> str:
    """The name field of `size` characters: `primary<<secondary`, filled up with `<` or truncated (9303-5 §4.2.2.3).

    Truncation is method (a) of 9303-5 §4.2.3: components become shorter from the last to the first, down to initials,
    those of the given names before those of the surname, until the field ends with a letter. Components that do not
    fit even as initials are left out from the end, the first of each identifier never. Raises `NameRefused`.
    """
    primary = transliterate(surname).split("<") if surname else []
    secondary = transliterate(given_names).split("<") if given_names else []
    if not primary:
        raise NameRefused("there is no surname")
    while _shortest(primary, secondary) > size:
        (secondary if len(secondary) > 1 else primary).pop()
    excess = len(_join(primary, secondary)) - size
    for identifier in (secondary, primary):
        for position in reversed(range(len(identifier))):
            cut = max(0, min(excess, len(identifier[position]) - 1))
            identifier[position] = identifier[position][: len(identifier[position]) - cut]
            excess -= cut
    return _join(primary, secondary).ljust(size, "<")


def _shortest(primary: list[str], secondary: list[str]) -> int:
    return len(_join([part[0] for part in primary], [part[0] for part in secondary]))


def _join(primary: list[str], secondary: list[str]) -> str:
    return "<<".join("<".join(identifier) for identifier in (primary, secondary) if identifier)

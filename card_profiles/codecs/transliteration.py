"""From names as printed to the letters of the machine readable zone (ICAO 9303-3 §4.6 and §6 table A).

Where the table offers a choice (Ä, Å, Ñ, Ö, Ü) its first recommendation is taken.
"""

import unicodedata
from collections.abc import Mapping, Sequence
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

    The surname gives way only so far that `<<` and the first letter of the given names stand; the given names take
    what is left. How, is method (a) of 9303-5 §4.2.3: components become initials from the last to the first; those that
    do not fit even so are left out from the end, the first of each identifier never. A truncated field ends with a
    letter, unless the name is a surname of single letters alone. Raises `NameRefused`.
    """
    primary = transliterate(surname).split("<") if surname else []
    secondary = transliterate(given_names).split("<") if given_names else []
    if not primary:
        raise NameRefused("there is no surname")
    if not secondary:
        return _shortened(primary, size).ljust(size, "<")
    whole = "<<".join(("<".join(primary), "<".join(secondary)))
    if len(whole) <= size:
        return whole.ljust(size, "<")
    room = size - len("<<") - len(_with_initials(primary, size - len("<<") - 1))
    given = _shortened(secondary, room)
    if len(given) < room and given != "<".join(secondary):
        # Initials and their separators leave one place empty: one letter of the surname makes room for one initial more
        given = _shortened(secondary, room + 1)
    # Where the given names are short, letters that initials had freed go back to the surname.
    return f"{_shortened(primary, size - len('<<') - len(given))}<<{given}"


def _shortened(components: Sequence[str], size: int) -> str:
    """At most `size` characters: components cut from the last to the first, to no fewer letters than needed."""
    kept = _that_fit(components, size)
    excess = len("<".join(kept)) - size
    for position in reversed(range(len(kept))):
        cut = max(0, min(excess, len(kept[position]) - 1))
        kept[position] = kept[position][: len(kept[position]) - cut]
        excess -= cut
    return "<".join(kept)


def _with_initials(components: Sequence[str], size: int) -> str:
    """At most `size` characters: whole components made initials from the last on; the first is cut as `_shortened`."""
    kept = _that_fit(components, size)
    for position in reversed(range(1, len(kept))):
        if len("<".join(kept)) <= size:
            break
        kept[position] = kept[position][0]
    return _shortened(kept, size)


def _that_fit(components: Sequence[str], size: int) -> list[str]:
    """As many components, from the first on, as have room as initials; one at least."""
    return list(components[: max(1, (size + 1) // 2)])

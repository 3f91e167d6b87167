"""Names in the machine readable zone: the rules and examples of ICAO 9303-3 §4.6, §6 and 9303-5 §4.2.3."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_profiles.codecs.transliteration import (
    NameRefused,
    fit_name,
    letters_allowed,
    punctuation_allowed,
    transliterate,
)

# 9303-3 §6 table A, as printed there (first recommendation where there are several)
TABLE_A = re.findall(r"([0-9A-F]{4})\s([A-Z]+)", """
00C0 A 00C1 A 00C2 A 00C3 A 00C4 AE 00C5 AA 00C6 AE 00C7 C 00C8 E 00C9 E 00CA E 00CB E 00CC I 00CD I 00CE I 00CF I
00D0 D 00D1 N 00D2 O 00D3 O 00D4 O 00D5 O 00D6 OE 00D8 OE 00D9 U 00DA U 00DB U 00DC UE 00DD Y 00DE TH 0100 A 0102 A
0104 A 0106 C 0108 C 010A C 010C C 010E D 0110 D 0112 E 0114 E 0116 E 0118 E 011A E 011C G 011E G 0120 G 0122 G 0124
H 0126 H 0128 I 012A I 012C I 012E I 0130 I 0131 I 0132 IJ 0134 J 0136 K 0139 L 013B L 013D L 013F L 0141 L 0143 N
0145 N 0147 N 014A N 014C O 014E O 0150 O 0152 OE 0154 R 0156 R 0158 R 015A S 015C S 015E S 0160 S 0162 T 0164 T
0166 T 0168 U 016A U 016C U 016E U 0170 U 0172 U 0174 W 0176 Y 0178 Y 0179 Z 017B Z 017D Z 1E9E SS
""")  # fmt: skip


@pytest.mark.parametrize(("code", "latin"), TABLE_A)
def test_every_row_of_table_a(code: str, latin: str) -> None:
    letter = chr(int(code, 16))
    assert transliterate(letter) == latin
    if len(letter.lower()) == 1:
        assert transliterate(letter.lower()) == latin


def test_the_table_is_whole_and_holds_nothing_else() -> None:
    capitals = {chr(int(code, 16)) for code, _ in TABLE_A} | set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    small = {letter.lower() for letter in capitals if len(letter.lower()) == 1}
    assert letters_allowed == capitals | small


@pytest.mark.parametrize(("name", "zone"), [
    ("Kārkliņa", "KARKLINA"),
    ("Ģirts Ķēniņš", "GIRTS<KENINS"),
    ("Žagars-Čakste", "ZAGARS<CAKSTE"),
    ("Ļevs Ūdris", "LEVS<UDRIS"),
    ("Strauß", "STRAUSS"),
    ("Þórður Æ", "THORDUR<AE"),
])  # fmt: skip
def test_names_as_latvia_writes_them(name: str, zone: str) -> None:
    """Latvian letters become their one base letter, never AA, SH or CH."""
    assert transliterate(name) == zone
    assert transliterate(unicodedata.normalize("NFD", name)) == zone


@pytest.mark.parametrize(("name", "zone"), [
    ("D'ARTAGNAN", "DARTAGNAN"),
    ("D’Artagnan", "DARTAGNAN"),
    ("MARIE-ELISE", "MARIE<ELISE"),
    ("ANNA, MARIA", "ANNA<MARIA"),
    ("J. R. Smith", "J<R<SMITH"),
    ("  Anna  -  Maria ", "ANNA<MARIA"),
    ("", ""),
])  # fmt: skip
def test_punctuation(name: str, zone: str) -> None:
    """The examples of 9303-3 §4.6; runs of separators are one filler."""
    assert transliterate(name) == zone


@pytest.mark.parametrize("name", ["Иванов", "Anna2", "Anna<Maria", "A_B", "Ștefan", "Nguyễn", "a\u0000", "ſ", "'", "-"])
def test_names_refused(name: str) -> None:
    with pytest.raises(NameRefused) as caught:
        transliterate(name)
    assert name not in str(caught.value) or len(name) == 1


# 9303-5 §4.2.3: VIZ primary, VIZ secondary, lower line; (a) of each kind is the method used here
EXAMPLES = [
    ("NILAVADHANANANDA", "CHAYAPA DEJTHAMRONG KRASUANG", "NILAVADHANANANDA<<CHAYAPA<DE<K"),
    ("BENNELONG WOOLOOMOOLOO WARRANDYTE WARNAMBOOL", "DINGO POTOROO", "BENNELONG<WOOLOOMOOLOO<W<W<<DI"),
    ("PAPANDROPOULOUS", "JONATHON ALEC", "PAPANDROPOULOUS<<JONATHON<ALEC"),
    ("VAN DER MUELLEN", "MARTIN", "VAN<DER<MUELLEN<<MARTIN<<<<<<<"),
    ("AL-BASRI", "HUDA MUHAMMAD JAWAD", "AL<BASRI<<HUDA<MUHAMMAD<JAWAD<"),
    ("VILARCHAO FERNANDEZ", "JOSE RAMON", "VILARCHAO<FERNANDEZ<<JOSE<RAMO"),
    ("ARKFREITH", "", "ARKFREITH<<<<<<<<<<<<<<<<<<<<<"),
    ("SATRIYA SUDARPA", "", "SATRIYA<SUDARPA<<<<<<<<<<<<<<<"),
]


@pytest.mark.parametrize(("surname", "given_names", "line"), EXAMPLES)
def test_name_fields_of_the_standard(surname: str, given_names: str, line: str) -> None:
    assert fit_name(surname, given_names, 30) == line


@pytest.mark.parametrize(("surname", "given_names", "line"), [
    ("NILAVADHANANANDA", "CHAYAPA DEJTHAMRONG KRASUANG", "NILAVADHANANANDA<<CHAYAPA<DEJ<K"),
    ("BENNELONG WOOLOOMOOLOO WARRANDYTE WARNAMBOOL", "DINGO POTOROO", "BENNELONG<WOOLOOMOOLOO<W<W<<D<P"),
    ("PAPANDROPOULOUS", "JONATHOON ALEC", "PAPANDROPOULOUS<<JONATHOON<ALEC"),
    ("NILAVADHANANANDA", "CHAYAPA DEJTHAMRONG KRASUANG", "NILAVADHANANANDA<<CHAYAPA<DEJTHAMRONG<K"),
    ("BENNELONG WOOLOOMOOLOO WARRANDYTE WARNAMBOOL", "DINGO POTOROO", "BENNELONG<WOOLOOMOOLOO<WARRANDYTE<W<<DI"),
    ("PAPANDROPOULOUS", "JONATHON WARREN TREVOR", "PAPANDROPOULOUS<<JONATHON<WARREN<TREVOR"),
])  # fmt: skip
def test_name_fields_of_the_other_sizes(surname: str, given_names: str, line: str) -> None:
    """9303-6 §4.2.3 (TD2, 31 characters) and 9303-4 §4.2.3 (TD3, 39): the same method, (a)."""
    assert fit_name(surname, given_names, len(line)) == line


@pytest.mark.parametrize(("surname", "given_names", "line"), [
    ("BENNELONG WOOLOOMOOLOO WARRANDYTE WARNAMBOOL", "D", "BENNELONG<WOOLOOMOOLOO<WA<W<<D"),
    ("NILAVADHANANANDA", "ARNPOL PETCH CHARONGUANG", "NILAVADHANANANDA<<ARNPOL<PET<C"),
    ("X" * 27, "YVES ZOE", "X" * 27 + "<<Y"),
    ("X" * 60, " ".join(["ZOE"] * 15), "X" * 27 + "<<Z"),
    ("KALNS", " ".join(["ZOE"] * 15), "KALNS<<" + "<".join("Z" * 12)),
    ("AB", "A B C D E F G H I J K L M N O P", "A<<A<B<C<D<E<F<G<H<I<J<K<L<M<N"),
    ("X" * 40, "", "X" * 30),
    ("X" * 40, "Y", "X" * 27 + "<<Y"),
    ("A B C D E F G H I J K L M N O P Q R", "S T U", "A<B<C<D<E<F<G<H<I<J<K<L<M<N<<S"),
])  # fmt: skip
def test_truncation_keeps_an_initial_and_ends_with_a_letter(surname: str, given_names: str, line: str) -> None:
    """9303-5 §4.2.2.3 leaves the choice; these pin ours down."""
    assert fit_name(surname, given_names, 30) == line


NAMES = st.text(st.sampled_from(sorted(letters_allowed)), min_size=1, max_size=20)
SHORT_NAMES = st.text(st.sampled_from("abĳß"), min_size=1, max_size=3)


@given(
    st.lists(NAMES, min_size=1, max_size=5) | st.lists(SHORT_NAMES, min_size=1, max_size=30),
    st.lists(NAMES, max_size=5) | st.lists(SHORT_NAMES, max_size=30),
)
def test_any_name_fits(surname: list[str], given_names: list[str]) -> None:
    """Nothing is cut when it fits; a cut field ends with a letter; given names take little from a surname."""
    line = fit_name(" ".join(surname), " ".join(given_names), 30)
    whole = "<<".join(transliterate(" ".join(part)) for part in (surname, given_names) if part)
    assert len(line) == 30
    assert line[0] != "<"
    if len(whole) <= 30:
        assert line.rstrip("<") == whole
    else:
        primary, _, secondary = line.rstrip("<").partition("<<")
        assert bool(secondary) == bool(given_names)
        # A surname of many single letters, alone, has no letter for the last place.
        assert line[-1] != "<" or (not given_names and len(primary) == 29 and set(primary[1::2]) == {"<"})
        if given_names and len(surname) == 1:
            assert len(primary) >= min(len(transliterate(surname[0])), 27) - 1


def test_punctuation_is_what_a_record_may_bring() -> None:
    assert set("'-, .") <= punctuation_allowed

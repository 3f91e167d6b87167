"""Markers: values that must not lie in clear, each under a name that may be shown, in all the forms they may take.

Texts are taken as they are, in upper and lower case, in both Unicode normal forms, without their diacritics and as the
machine readable zone writes them; each in UTF-8, UTF-16, UTF-32 and the Baltic code page, and as JSON, XML, Python,
quoted-printable and percent-escapes write it. Bytes, and so every spelling of a text, are taken raw, in hex of both
cases and in base64 of both alphabets at all three alignments; texts also as a deflate block with the fixed code has
them, which is how short texts are packed.
"""

import base64
import quopri
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

from card_profiles.codecs.mrz import check_digit, transliterate

SHORTEST_NEEDLE_BYTES = 8
"""Anything shorter would be met by chance in megabytes of ciphertext."""
SHORTEST_ALONE_BYTES = 6
"""So short a text counts where no letter or digit is beside it, and where it is no fraction of a second."""
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Marker:
    """A value's needles (each of at least `SHORTEST_NEEDLE_BYTES`), and the short ones that count alone."""

    name: str
    needles: frozenset[bytes]
    alone: frozenset[bytes] = frozenset()


def text_marker(name: str, *texts: str) -> Marker:
    """One value in its written forms."""
    needles: set[bytes] = set()
    alone: set[bytes] = set()
    for text in texts:
        for written in _written(text):
            spellings = _spelled(written)
            needles |= {form for spelling in spellings for form in byte_forms(spelling)}
            needles |= {form for spelling in spellings for form in _packed(spelling)}
            alone |= {form for form in spellings if SHORTEST_ALONE_BYTES <= len(form) < SHORTEST_NEEDLE_BYTES}
    return Marker(name, frozenset(needles), frozenset(alone))


def bytes_marker(name: str, *values: bytes) -> Marker:
    """A key, a picture's part, a code in binary."""
    return Marker(name, frozenset(form for value in values for form in byte_forms(value)))


def date_texts(iso: str, sex: str) -> tuple[str, ...]:
    """A birth date as people, programs and the machine readable zone write it (ICAO 9303-5 §4.2.2 positions 1-8)."""
    day = date.fromisoformat(iso)
    forms = "%d.%m.%Y %Y%m%d %d%m%Y %d/%m/%Y %m/%d/%Y %Y/%m/%d %Y.%m.%d %d-%m-%Y %d.%m.%y %y-%m-%d %y%m%d %d%m%y"
    month = MONTHS[day.month - 1]
    zone = f"{day:%y%m%d}"
    return (
        iso,
        *(day.strftime(form) for form in forms.split()),
        f"{day.day} {month} {day.year}",
        f"{day.day} {month[:3]} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{zone}{check_digit(zone)}{sex}",
    )


def byte_forms(data: bytes) -> Iterator[bytes]:
    """Raw, hex, base64: every form that is long enough to be told from chance."""
    forms = [data, data.hex().encode(), data.hex().upper().encode(), data.hex(":").encode(), *_base64(data)]
    return (form for form in forms if len(form) >= SHORTEST_NEEDLE_BYTES)


def _written(text: str) -> set[str]:
    forms = {text}
    if not re.search("[0-9@]", text):  # a name
        zone = transliterate(text)  # ICAO 9303-3 §6
        forms |= {zone, zone.replace("<", " "), zone.replace("<", " ").title(), _without_marks(text)}
    forms |= {cased for form in set(forms) for cased in (form.upper(), form.lower())}
    forms |= {unicodedata.normalize(form, known) for known in set(forms) for form in ("NFC", "NFD")}
    return {form for form in forms if len(form) >= SHORTEST_ALONE_BYTES}


def _without_marks(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def _spelled(text: str) -> set[bytes]:
    wide = ["".join(f"\\u{unit:04x}" if unit > 126 else chr(unit) for unit in _utf16_units(text))]
    wide.append(re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), wide[0]))
    escaped = [
        *wide,
        text.encode("ascii", "xmlcharrefreplace").decode(),
        "".join(f"&#x{ord(c):x};" if ord(c) > 126 else c for c in text),
        text.encode("ascii", "backslashreplace").decode(),
        repr(text.encode())[2:-1],
        quopri.encodestring(text.encode()).decode("ascii"),
        quote(text, safe=""),
        quote(text, safe="").lower(),
        quote(text, safe="@+").replace("%20", "+"),
    ]
    spelled = {form.encode() for form in escaped}
    spelled |= {text.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")}
    with suppress(UnicodeEncodeError):  # decomposed, or of letters that the Baltic code page does not have
        spelled.add(text.encode("cp1257"))
    return spelled


def _utf16_units(text: str) -> Iterable[int]:
    units = text.encode("utf-16-be")
    return (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))


def _base64(data: bytes) -> Iterator[bytes]:
    for lead in range(3):
        bits_before, bits_after = 8 * lead, 8 * (lead + len(data))
        whole = slice(-(-bits_before // 6), bits_after // 6)  # characters that the neighbours do not change
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * lead + data)[whole]


def _packed(data: bytes) -> Iterator[bytes]:
    """As literals of a deflate block with the fixed code, from each of the eight bits of a byte (RFC 1951 §3.2.6)."""
    codes = (f"{0x30 + octet:08b}" if octet < 144 else f"{0x190 + octet - 144:09b}" for octet in data)
    bits = "".join(codes)
    number = int(bits[::-1], 2)  # the first bit is the lowest
    for lead in range(8):
        first, last = -(-lead // 8), (lead + len(bits)) // 8
        if last - first >= SHORTEST_NEEDLE_BYTES:
            yield (number << lead).to_bytes(last + 1, "little")[first:last]


P384, P256 = "06072a8648ce3d020106052b81040022", "06072a8648ce3d020106082a8648ce3d030107"
PRIVATE_KEY_SHAPES = Marker(
    "a private key in DER or PEM",
    bytes_marker(
        "",
        bytes.fromhex(f"0201003010{P384}"),  # PKCS#8 (RFC 5208 §5): version 0, id-ecPublicKey, curve
        bytes.fromhex(f"0201003013{P256}"),
        bytes.fromhex("020100300d06092a864886f70d0101010500"),  # RSA
        bytes.fromhex("a00706052b81040022a164036200"),  # RFC 5915 §3: what follows the scalar, P-384
        bytes.fromhex("a00a06082a8648ce3d030107a144034200"),
    ).needles
    | bytes_marker("", b"PRIVATE KEY-----").needles,
)

"""Records whose personal data are unmistakable, and the markers to look for them by.

Two are good; the others are refused, each with personal data where no rule expects it: in a field of another form, in a
member's name, in the record's identifier, or in a file that is no JSON.
"""

import base64
import copy
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import wsq  # noqa: F401 - Pillow learns WSQ by this import
from PIL import Image

from personalization.rules.personal_code import check_digit
from tests.chaos.marker_forms import Marker, bytes_marker, date_texts, text_marker

SAMPLE = Path(__file__).resolve().parents[2] / "simulators" / "records" / "PADIS-2026-0000002.json"
PICTURE_PART_BYTES = 32
NAMELESS = "Dzērvjukalns-Oškalnietis"
"""Stands in the identifier of a refused record: `perso run` shows that identifier, and keeps it nowhere."""
SEX = "F"
"""Of the sample, and so of everybody here."""
BADLY_NAMED = "Cīrulmežniece Žubīte"
"""Stands in refused records as the name of a member."""


@dataclass(frozen=True, slots=True)
class Person:
    """What a record says of its holder; dates ISO 8601."""

    name: str
    surname: str
    given_names: str
    original_form: str
    birth_date: str
    birth_place: str
    code_tail: str
    email: str
    phone: str
    officer: str
    service: str

    @property
    def personal_code(self) -> str:
        """Of the old form, with its check digit."""
        year, month, day = self.birth_date.split("-")
        first = f"{day}{month}{year[2:]}"
        return f"{first}-{self.code_tail}{check_digit(first + self.code_tail)}"

    def markers(self) -> tuple[Marker, ...]:
        """All that must stay secret of the texts."""
        code = self.personal_code
        return (
            text_marker(f"{self.name}: surname", self.surname),
            text_marker(f"{self.name}: given names", self.given_names, *self.given_names.split()),
            text_marker(f"{self.name}: original form", self.original_form),
            text_marker(f"{self.name}: birth place", self.birth_place),
            text_marker(f"{self.name}: birth date", *date_texts(self.birth_date, SEX)),
            text_marker(f"{self.name}: personal code", code, code.replace("-", "")),
            text_marker(f"{self.name}: e-mail", self.email),
            text_marker(f"{self.name}: phone", self.phone, self.phone.removeprefix("+371")),
            text_marker(f"{self.name}: officer", self.officer),
            text_marker(f"{self.name}: payment", self.service),
        )


GOOD = (
    Person(
        "first", "Žvirgzdkāpaiņš", "Ņeksvērija Ūgotrāja", "Zwirgzdkåpœins", "1979-03-27", "Šķērsvārpiņi", "1740",
        "zvq7.kapains@example.org", "+37129847561", "officer-zqx-4718", "PK-ZQX9Q8Q7Q6",
    ),
    Person(
        "second", "Brūķelstērniņa", "Eižvītola", "Brückelstärn", "1966-12-19", "Vļeģupmuiža", "1326",
        "wyx3.bruk@example.net", "+37126374951", "officer-wjv-9052", "PK-WJV1W2W3W4",
    ),
)  # fmt: skip
REFUSED = Person(
    "refused", "Gņīdžupļavs", "Ķoņģebērts", "Gnijdzøplaws", "1983-07-31", "Ūķeņciemmuiža", "1519",
    "gnx5.plavs@example.com", "+37125918374", "officer-kxd-3391", "PK-KXD5K6K7K8",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MarkedRecords:
    """A folder of records, the markers in it, and the marker that standard output alone may show."""

    folder: Path
    markers: tuple[Marker, ...]
    shown: Marker


def make_marked_records(folder: Path) -> MarkedRecords:
    """Write the folder: two good records and seven that are refused."""
    folder.mkdir()
    markers = [marker for person in (*GOOD, REFUSED) for marker in person.markers()]
    good = []
    for number, person in enumerate(GOOD):
        record, pictures = _record(person, f"PADIS-2026-{9_100_001 + number}", seed=number)
        good.append(record)
        markers += [
            bytes_marker(f"{person.name}: {name}", *_parts(picture), hashlib.sha256(picture).digest())
            for name, picture in pictures.items()
        ]
    for record in good:
        (folder / f"{record['record_id']}.json").write_text(json.dumps(record), "utf-8")
    for number, text in enumerate(_refused(good[0])):
        (folder / f"refused-{number}.json").write_text(text, "utf-8")
    markers.append(text_marker("a member's name", BADLY_NAMED))
    return MarkedRecords(folder, tuple(markers), text_marker("a nameless record's id", NAMELESS))


def _record(person: Person, record_id: str, seed: int) -> tuple[Any, dict[str, bytes]]:
    record = json.loads(SAMPLE.read_text("utf-8"))
    record["record_id"] = record_id
    record["approved"] |= {"officer": person.officer, "second_officer": None}
    record["order"]["service_identifier"] = person.service
    record["holder"] |= {
        "personal_code": person.personal_code,
        "surname": person.surname,
        "given_names": person.given_names,
        "name_original_form": person.original_form,
        "birth_date": person.birth_date,
        "birth_place": person.birth_place,
    }
    record["certificates"]["contact"] = {"email": person.email, "phone": person.phone}
    images = record["images"]
    places = {"portrait": images["portrait"], "signature": images["signature"]}
    places |= {f"fingerprint {number}": finger["image"] for number, finger in enumerate(images["fingerprints"])}
    pictures = {}
    for number, (name, place) in enumerate(places.items()):
        picture = _made_unique(base64.b64decode(place["data"]), 100 * seed + number)
        place |= {"data": base64.b64encode(picture).decode(), "sha256": hashlib.sha256(picture).hexdigest()}
        pictures[name] = picture
    return record, pictures


def _made_unique(picture: bytes, seed: int) -> bytes:
    """The sample's picture with a faint noise over it: no other picture has the same bytes."""
    if picture.startswith(b"\xff\xa0"):  # WSQ, start of image
        return _noisy_wsq(picture, seed)
    with Image.open(io.BytesIO(picture)) as opened:
        kind = opened.format
        pixels = numpy.asarray(opened).astype(numpy.int16)
    out = io.BytesIO()
    _noisy(pixels, seed).save(out, kind, **({"quality": 80} if kind == "JPEG" else {}))
    return out.getvalue()


def _noisy_wsq(picture: bytes, seed: int) -> bytes:
    with Image.open(io.BytesIO(picture)) as opened:
        pixels = numpy.asarray(opened).astype(numpy.int16)
    out = io.BytesIO()
    _noisy(pixels, seed).save(out, "WSQ")
    made = out.getvalue()
    # The sample's own comment goes along: it states the resolution, which the encoder's does not.
    comment = _segment(picture)
    start = made.index(b"\xff\xa8") if b"\xff\xa8" in made[:400] else None
    if start is None:
        return made[:2] + comment + made[2:]
    end = start + 2 + int.from_bytes(made[start + 2 : start + 4], "big")
    return made[:start] + comment + made[end:]


def _segment(picture: bytes) -> bytes:
    start = picture.index(b"\xff\xa8")
    return picture[start : start + 2 + int.from_bytes(picture[start + 2 : start + 4], "big")]


def _noisy(pixels: Any, seed: int) -> Image.Image:
    noise = numpy.random.default_rng(7000 + seed).integers(-3, 4, size=pixels.shape, dtype=numpy.int16)
    return Image.fromarray(numpy.clip(pixels + noise, 0, 255).astype(numpy.uint8))


def _parts(picture: bytes) -> Iterator[bytes]:
    """Parts of the picture's own data, all over it: one of them in clear is enough to be found."""
    for share in (0.3, 0.5, 0.7, 0.9):
        at = int(len(picture) * share)
        yield picture[at : at + PICTURE_PART_BYTES]


def _refused(good: Any) -> Iterator[str]:
    """JSON texts of records that break rules with personal data in the wrong places."""
    person = REFUSED
    base = copy.deepcopy(good)
    base["holder"] |= {
        "personal_code": person.personal_code,
        "surname": person.surname,
        "given_names": person.given_names,
        "name_original_form": person.original_form,
        "birth_date": person.birth_date,
        "birth_place": person.birth_place,
    }
    base["approved"]["officer"] = person.officer
    base["order"]["service_identifier"] = person.service
    base["certificates"]["contact"] = {"email": person.email, "phone": person.phone}

    def changed(number: int, **changes: Any) -> Any:
        record = copy.deepcopy(base)
        record["record_id"] = f"PADIS-2026-{9_200_001 + number}"
        for place, members in changes.items():
            record[place] |= members
        return record

    digit = person.personal_code[-1]
    wrong_code = person.personal_code[:-1] + ("0" if digit == "9" else str(int(digit) + 1))
    yield json.dumps(changed(1, holder={"personal_code": wrong_code, "birth_date": "31.07.1983"}))
    yield json.dumps(
        changed(
            2,
            document={"issue_date": person.birth_date, "expiry_date": person.surname, "type": person.surname},
            holder={"sex": person.given_names, "nationality": person.surname, "height_cm": person.personal_code},
            order={"urgency": person.email, "reason": person.phone, "service_identifier": person.surname},
            delivery={"kind": person.birth_place, "code": person.surname},
        )
    )
    unknown = {BADLY_NAMED: {"a": float("nan"), "b": [[[[[[[[[[[[1]]]]]]]]]]]]}, f"{BADLY_NAMED} 2": "x\ud800"}
    yield json.dumps(changed(3, holder=unknown, certificates={BADLY_NAMED: 1}) | {BADLY_NAMED: float("inf")})
    text = json.dumps(changed(4))
    yield text.replace('"surname":', f'"surname": "{BADLY_NAMED}", "surname":', 1)
    yield json.dumps(changed(5) | {"record_id": NAMELESS})
    yield json.dumps({person.surname: person.personal_code, "record_id": NAMELESS, "revision": person.birth_date})
    yield json.dumps(changed(7), ensure_ascii=False)[:-200] + person.surname  # cut off: no JSON any more

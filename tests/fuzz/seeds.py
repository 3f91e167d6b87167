"""What the centre really writes and reads, small: the corpus that fuzzing begins with."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from card_profiles.codecs import ec_parameters
from card_profiles.codecs.curves import CURVES
from card_profiles.codecs.mrz import td1
from card_profiles.data_groups import build_data_groups
from card_profiles.image import build_chip_image, image_to_bytes
from card_profiles.profile import load_profile
from personalization.station import ipp
from personalization.station.apdu import CommandApdu
from pki.authorities import Authorities, load_authorities
from pki.ceremony import hold_ceremony, load_plan, plan_file
from pki.certificate_reading import read_certificate
from pki.sod import build_ef_sod
from pki.sod_reading import read_ef_sod
from simulators.chip import secure_channel
from tests.card_profiles.holders import ANNA
from tests.personalization.record_vectors import CITIZEN, changed, drawing, encoded
from tests.pki.made_up import NOW, key_letter
from tests.pki.software_signer import SoftwareCeremony, SoftwareSigner

PROFILE = load_profile("eid-citizen-specimen@1")
NUMBER = "SA1234567"
FILLER = bytes(range(53))
LATEID_ATR = bytes.fromhex("3BDB960080B1FE451F830012233F536549440F900066")
"""Of a card of the LatEID layout (any ATR of T=1 does here)."""


@cache
def authorities() -> tuple[Authorities, SoftwareSigner]:
    """Made by the ceremony itself, with keys in memory."""
    ceremony = SoftwareCeremony()
    with TemporaryDirectory() as directory:
        plan = load_plan(plan_file("production-demo"))
        hold_ceremony(plan, ceremony, now=NOW, directory=Path(directory), key_letter=key_letter)
        return load_authorities(Path(directory)), ceremony.keys


@cache
def card_files() -> dict[str, bytes]:
    """A whole card's files by name."""
    holder = replace(ANNA, document_number=NUMBER, surname="Kārkliņa", given_names="Elīna", nationality="LVA")
    groups = build_data_groups(PROFILE, holder, filler=FILLER)
    known, signer = authorities()
    image = build_chip_image(
        PROFILE,
        document_number=NUMBER,
        data_groups=groups,
        ef_sod=build_ef_sod(signer, known.document_signer, groups, now=NOW),
        certificates={"auth": known.issuing.certificate, "sign": known.root.certificate},
    )
    files = {file.name: file.content for application in image.applications for file in application.files}
    return files | {"image": image_to_bytes(image), "zone": "\n".join(td1(PROFILE.mrz, holder)).encode()}


def seeds(target: str) -> list[bytes]:
    """Good inputs of a target, and some that it refuses."""
    return [*_SEEDS[target](), b""]


def _files() -> list[bytes]:
    return [content for name, content in card_files().items() if name not in {"image", "zone"} and content]


def _certificates() -> list[bytes]:
    known, _ = authorities()
    whole = [one.certificate for one in (known.root, known.issuing, known.csca, known.document_signer)]
    return [*whole, *(read_certificate(der).tbs for der in whole)]


def _security_objects() -> list[bytes]:
    whole = next(content for content in _files() if content[0] == 0x77)
    return [whole, read_ef_sod(whole).content, bytes.fromhex("170D3236303330323039333031355A")]


def _public_keys() -> list[bytes]:
    return [
        ec_parameters.public_key_info(name, domain.encode_point(domain.x, domain.y), explicit=explicit)
        for name, domain in CURVES.items()
        for explicit in (False, True)
    ]


def _records() -> list[bytes]:
    without = changed(CITIZEN, {"/images/portrait/data": "", "/images/signature": None, "/images/fingerprints": []})
    return [json.dumps(without).encode(), json.dumps(without, ensure_ascii=False).encode(), b"[]", b"{}", b'"text"']


def _pages() -> list[bytes]:
    records = [json.loads(text) for text in _records()[:1]]
    cancelled = {"record_id": "PADIS-2026-0000001", "revision": 1, "reason": "withdrawn", "at": "2026-11-23T09:00:00Z"}
    return [
        json.dumps({"records": records, "positions": [1], "next": "1"}).encode(),
        json.dumps({"cancellations": [cancelled], "next": "2"}).encode(),
    ]


def _pictures() -> list[bytes]:
    small = drawing(48, 64)
    comment = base64.b64decode(CITIZEN["images"]["fingerprints"][0]["image"]["data"])
    pictures = [encoded(small, kind) for kind in ("JPEG", "JPEG2000", "PNG")]
    return [*pictures, encoded(small, "JPEG", progressive=True), encoded(small.convert("L"), "PNG"), comment[:3000]]


def _messages() -> list[bytes]:
    size = ipp.Collection((ipp.attribute("x-dimension", ipp.Tag.INTEGER, 8560),))
    media = ipp.Collection((ipp.attribute("media-size", ipp.Tag.BEGIN_COLLECTION, size),))
    attributes = (
        ipp.attribute("attributes-charset", ipp.Tag.CHARSET, "utf-8"),
        ipp.attribute("printer-state", ipp.Tag.ENUM, 3, 5),
        ipp.attribute("printer-is-accepting-jobs", ipp.Tag.BOOLEAN, True),
        ipp.attribute("printer-resolution", ipp.Tag.RESOLUTION, ipp.Resolution(600, 600)),
        ipp.attribute("copies-supported", ipp.Tag.RANGE, ipp.Range(1, 9)),
        ipp.attribute("media-col", ipp.Tag.BEGIN_COLLECTION, media),
        ipp.attribute("job-password", ipp.Tag.OCTETS, b"\x00\x01"),
        ipp.attribute("date", ipp.Tag.DATE_TIME, bytes(11)),
    )
    groups = (ipp.Group(ipp.GroupTag.OPERATION, attributes[:1]), ipp.Group(ipp.GroupTag.PRINTER, attributes))
    return [ipp.encode(ipp.Message(0, 1, groups, b"%PDF-1.7")), ipp.encode(ipp.Message(0x0B, 7, ()))]


def _answers() -> list[bytes]:
    """What the simulated chip says with the session keys of the target (all zero)."""
    channel = object.__new__(secure_channel.SecureChannel)
    channel.level = 0x33
    answers = []
    for data in (b"", b"\x66\x02\x73\x00", bytes(200)):
        for name, value in {"_enc": bytes(32), "_rmac": bytes(32), "_counter": 1, "_chaining": bytes(16)}.items():
            setattr(channel, name, value)
        answers.append(channel.wrap(data) + b"\x90\x00")
    return [*answers, b"\x6a\x82", bytes(8) + b"\x62\x82"]


def _commands() -> list[bytes]:
    data = (b"", b"\x4f\x02\xa0\x00", bytes(300))
    return [CommandApdu(0x80, 0xE2, 0, 0, one, le).encode() for one in data for le in (None, 256, 65_536)]


_SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "tlv": _files,
    "der": lambda: [*_certificates(), *_security_objects(), *_public_keys()],
    "lds": _files,
    "mrz": lambda: [card_files()["zone"]],
    "directory": _files,
    "atr": lambda: [LATEID_ATR, bytes.fromhex("3B00"), bytes.fromhex("3F6500002C09069000")],
    "public-key": _public_keys,
    "image": lambda: [card_files()["image"]],
    "certificate": _certificates,
    "ef-sod": _security_objects,
    "ipp": _messages,
    "source": _pages,
    "record": _records,
    "picture": _pictures,
    "key-letter": lambda: [key_letter(b"key")],
    "answer": _answers,
    "command": _commands,
}

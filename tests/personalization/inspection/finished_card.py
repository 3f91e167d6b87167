"""Finished specimen cards: built by the product's rooms, written onto a simulated chip by a host of the tests."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from card_profiles.codecs.mrz import td1
from card_profiles.data_groups import build_data_groups
from card_profiles.image import build_chip_image
from card_profiles.model import CardHolder, CardProfile, ChipImage, Fingerprint, Portrait
from card_profiles.profile import load_profile
from personalization.inspection.own import Expected
from pki.authorities import Authorities, load_authorities
from pki.ceremony import hold_ceremony, load_plan, plan_file
from pki.certificate import holder_subject
from pki.issuance import new_serial, prepare_pair, sign_certificate, validity
from pki.profile import load_certificate_profile
from pki.sod import build_ef_sod
from simulators.chip.card import Chip
from tests.pki.made_up import key_letter
from tests.pki.software_signer import SoftwareCeremony, SoftwareSigner, public_key
from tests.simulators import chip_host as host

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ISSUED, EXPIRES = date(2026, 11, 23), date(2031, 11, 22)
RECORD = Path(__file__).parents[3] / "simulators" / "records" / "PADIS-2026-0000002.json"
PINS = {"PIN1": b"1234", "PIN2": b"123456", "PUK": b"12345678"}
FILLER = bytes(range(100, 153))


@dataclass(frozen=True)
class SpecimenCentre:
    """Specimen authorities with keys in memory."""

    authorities: Authorities
    signer: SoftwareSigner

    @classmethod
    def opened(cls, directory: Path) -> "SpecimenCentre":
        ceremony = SoftwareCeremony()
        plan = load_plan(plan_file("specimen"))
        hold_ceremony(plan, ceremony, now=NOW, directory=directory, key_letter=key_letter)
        return cls(load_authorities(directory), ceremony.keys)


@dataclass(frozen=True)
class Order:
    """All of one card before it is written, and what inspection must find."""

    expected: Expected
    keys: dict[str, ec.EllipticCurvePrivateKey]

    @property
    def image(self) -> ChipImage:
        return self.expected.image


def holder(document_number: str, *, fingerprints: bool = True) -> CardHolder:
    """The holder of a sample record."""
    record = json.loads(RECORD.read_text("utf-8"))
    person, images = record["holder"], record["images"]
    fingers = images["fingerprints"] if fingerprints else []
    return CardHolder(
        document_number=document_number,
        surname=person["surname"],
        given_names=person["given_names"],
        birth_date=person["birth_date"],
        sex=person["sex"],
        nationality=person["nationality"],
        expiry_date=EXPIRES.isoformat(),
        personal_code=person["personal_code"],
        portrait=Portrait(images["portrait"]["media_type"], 413, 531, base64.b64decode(images["portrait"]["data"])),
        fingerprints=tuple(
            Fingerprint(finger["position"], *wsq_size(data := base64.b64decode(finger["image"]["data"])), data)
            for finger in fingers
        ),
    )


def wsq_size(data: bytes) -> tuple[int, int]:
    """Width and height of the frame header (FFA2: length 2, black, white, height 2, width 2)."""
    at = data.index(b"\xff\xa2")
    return int.from_bytes(data[at + 8 : at + 10], "big"), int.from_bytes(data[at + 6 : at + 8], "big")


def order(
    centre: SpecimenCentre,
    chip: Chip,
    *,
    certificates: bool = True,
    fingerprints: bool = True,
    profile_id: str = "eid-citizen-specimen@1",
) -> Order:
    """A card for this chip."""
    profile = load_profile(profile_id)
    person = holder(f"{profile.number_prefixes[0]}1234567", fingerprints=fingerprints)
    keys = {key.slot: ec.generate_private_key(ec.SECP384R1()) for key in profile.keys} if certificates else {}
    issued = issue(centre, profile, person, keys)
    data_groups = build_data_groups(profile, person, filler=FILLER)
    ef_sod = build_ef_sod(centre.signer, centre.authorities.document_signer, data_groups, now=NOW)
    image = build_chip_image(
        profile,
        document_number=person.document_number,
        data_groups=data_groups,
        ef_sod=ef_sod,
        certificates=issued,
    )
    cplc = host.expect(chip, "80CA9F7F00")[3:]
    return Order(
        Expected(
            profile=profile,
            image=image,
            atr=chip.atr,
            chip_serial=chip.serial,
            cplc=cplc,
            mrz=td1(profile.mrz, person),
            certificates=issued,
            issuing_ca=centre.authorities.issuing.certificate,
            root=centre.authorities.root.certificate,
            csca=centre.authorities.csca.certificate,
            portrait_digest=hashlib.sha256(person.portrait.data).digest(),
            portrait_reencoded=False,
            fingerprints={finger.position: hashlib.sha256(finger.data).digest() for finger in person.fingerprints},
            expires=EXPIRES,
        ),
        keys,
    )


def issue(
    centre: SpecimenCentre, profile: CardProfile, person: CardHolder, keys: dict[str, ec.EllipticCurvePrivateKey]
) -> dict[str, bytes]:
    if not keys:
        return {}
    profiles = {key.slot: load_certificate_profile(key.certificate_profile) for key in profile.keys}
    not_before, not_after = validity(ISSUED, EXPIRES, profiles["sign"], NOW)
    prepared = prepare_pair(
        profiles,
        centre.authorities.issuing,
        subject=holder_subject("LV", person.surname, person.given_names, person.personal_code or ""),
        public_keys={slot: public_key(key) for slot, key in keys.items()},
        serials={slot: new_serial(slot.encode() * 5) for slot in keys},
        not_before=not_before,
        not_after=not_after,
    )
    return {slot: sign_certificate(centre.signer, centre.authorities.issuing, tbs) for slot, tbs in prepared.items()}


def write(
    chip: Chip,
    order: Order,
    *,
    spoil: Callable[[str, bytes], bytes] = lambda _, content: content,
    lock: bool = True,
    keys: dict[str, ec.EllipticCurvePrivateKey] | None = None,
) -> None:
    """Personalize the chip; `spoil` may change a file (name, content) on its way."""
    image = order.image
    key_channel = host.open_channel(chip, host.KEY)
    for key in image.keys:
        key_channel.store(host.MAIN, host.key_object(key.reference, (keys or order.keys)[key.slot]))
    set_pins(chip, order.expected.profile, "active")
    for function, name in ((host.CERT, "CERT"), (host.PERSO, "PERSO")):
        channel = host.open_channel(chip, function)
        for application in image.applications:
            files = [file for file in application.files if file.written_by == name]
            if files:
                stored = (host.dgi(file.fid, spoil(file.name, file.content)) for file in files)
                channel.store(application.aid, *stored)
    if lock:
        perso = host.open_channel(chip, host.PERSO)
        for application in image.applications:
            perso.lock(application.aid)
        perso.secure_card()


def set_pins(chip: Chip, profile: CardProfile, state: str) -> None:
    """PIN1, PIN2 and PUK with the specimen values, active or blocked."""
    channel = host.open_channel(chip, host.PIN)
    for pin in profile.pins:
        made = host.pin_object(
            pin.reference, PINS[pin.name], minimum=pin.minimum_digits, state=0 if state == "active" else 1
        )
        channel.store(host.MAIN, made)


def spoiled(order: Order, **changes: object) -> Order:
    """The same order with other expectations."""
    return replace(order, expected=replace(order.expected, **changes))  # type: ignore[arg-type]

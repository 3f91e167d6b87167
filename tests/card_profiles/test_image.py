"""From a holder to the chip image, and the stored form of the image."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_profiles.codecs import lds, tlv
from card_profiles.codecs.iso7816_15 import parse_ef_cd, parse_ef_od, parse_ef_prkd
from card_profiles.codecs.mrz import parse_td1
from card_profiles.data_groups import build_data_groups
from card_profiles.errors import HolderRefused, ImageRefused
from card_profiles.image import build_chip_image, image_from_bytes, image_to_bytes
from card_profiles.model import (
    CardHolder,
    ChipImage,
    Function,
    ImageApplication,
    ImageFile,
    ImageKey,
    Portrait,
    ProfileId,
)
from card_profiles.profile import load_profile
from tests.card_profiles.holders import ANNA, LEFT_INDEX, PORTRAIT, RIGHT_INDEX

PROFILE = load_profile("eid-citizen-specimen@1")
NUMBER = "SA1234567"
HOLDER = replace(ANNA, document_number=NUMBER, surname="Kārkliņa", given_names="Elīna", nationality="LVA")
FILLER = bytes(range(53))
GROUPS = build_data_groups(PROFILE, HOLDER, filler=FILLER)
CERTIFICATES = {"auth": b"\x30\x03\x02\x01\x01", "sign": b"\x30\x03\x02\x01\x02"}
EF_SOD = b"\x77\x02\x30\x00"


def image(certificates: dict[str, bytes]) -> ChipImage:
    return build_chip_image(
        PROFILE, document_number=NUMBER, data_groups=GROUPS, ef_sod=EF_SOD, certificates=certificates
    )


def contents(made: ChipImage) -> dict[str, bytes]:
    return {file.name: file.content for application in made.applications for file in application.files}


def test_data_groups_say_who_the_holder_is() -> None:
    zone = lds.parse_dg1(GROUPS[1])
    assert zone[0].startswith("IDLVA" + NUMBER)
    assert zone[2].startswith("KARKLINA<<ELINA<")
    assert parse_td1(zone).document_number == NUMBER
    assert lds.parse_dg2(GROUPS[2]) == PORTRAIT
    assert lds.parse_dg3(GROUPS[3]).fingerprints == (RIGHT_INDEX, LEFT_INDEX)


def test_without_fingers_the_filler_stands_in_dg3() -> None:
    groups = build_data_groups(PROFILE, replace(HOLDER, fingerprints=()), filler=FILLER)
    assert lds.parse_dg3(groups[3]) == lds.FingerTemplate((), FILLER)


@pytest.mark.parametrize(("holder", "why"), [
    (replace(HOLDER, portrait=Portrait("image/jpeg", 413, 531, bytes(16_001))), "portrait: more than 16000 bytes"),
    (replace(HOLDER, portrait=replace(PORTRAIT, media_type="image/png")), "JPEG"),
    (replace(HOLDER, sex="?"), "sex"),
    (replace(HOLDER, surname="Иванов"), "table A"),
    (replace(HOLDER, fingerprints=(LEFT_INDEX, LEFT_INDEX)), "DG3"),
])  # fmt: skip
def test_holders_refused(holder: CardHolder, why: str) -> None:
    with pytest.raises(HolderRefused, match=why):
        build_data_groups(PROFILE, holder, filler=FILLER)


def test_a_filler_is_needed_when_there_are_no_fingers() -> None:
    with pytest.raises(HolderRefused, match="DG3"):
        build_data_groups(PROFILE, replace(HOLDER, fingerprints=()), filler=b"")


def test_the_image_holds_every_file_in_the_order_of_writing() -> None:
    made = image(CERTIFICATES)
    for written, spec in zip(made.applications, PROFILE.applications, strict=True):
        assert (written.name, written.aid) == (spec.name, spec.aid)
        assert [(file.name, file.fid, file.written_by) for file in written.files] == [
            (file.name, file.fid, file.written_by) for file in spec.files
        ]
    files = contents(made)
    assert files["EF.DocumentNumber"] == b"\x04\x09" + NUMBER.encode()
    assert lds.parse_ef_com(files["EF.COM"]).data_groups == (1, 2, 3)
    assert [files["DG1"], files["DG2"], files["DG3"], files["EF.SOD"]] == [*GROUPS.values(), EF_SOD]
    assert made.keys == (ImageKey("auth", 0x81, "secp384r1"), ImageKey("sign", 0x9F, "secp384r1"))


@pytest.mark.parametrize(("slot", "fids", "certificate_fid", "reference"), [
    ("auth", (0x7001, 0x7005), 0x3401, 0x81), ("sign", (0x7002, 0x7006), 0x341F, 0x9F),
])  # fmt: skip
def test_directory_files_lead_to_the_certificates(
    slot: str, fids: tuple[int, int], certificate_fid: int, reference: int
) -> None:
    files = contents(image(CERTIFICATES))
    assert parse_ef_od(files[f"{slot}.EF.OD"]) == fids
    assert parse_ef_prkd(files[f"{slot}.EF.PrKD"]) == reference
    assert parse_ef_cd(files[f"{slot}.EF.CD"]) == certificate_fid
    assert files[f"{slot}.certificate"] == CERTIFICATES[slot]


def test_without_certificates_the_key_applications_stay_empty() -> None:
    made = image({})
    assert [application.name for application in made.applications] == ["eid", "travel"]
    assert made.keys == ()
    assert {file.written_by for one in made.applications for file in one.files} == {Function.PERSO}


def test_images_that_would_be_incomplete_are_refused() -> None:
    with pytest.raises(ImageRefused, match="auth, sign"):
        image({"auth": b"\x30\x00"})
    with pytest.raises(ImageRefused, match=r"auth\.certificate"):
        image({"auth": b"", "sign": b"\x30\x00"})
    with pytest.raises(ImageRefused, match="data groups"):
        build_chip_image(PROFILE, document_number=NUMBER, data_groups={1: GROUPS[1]}, ef_sod=EF_SOD, certificates={})
    with pytest.raises(ImageRefused, match=r"EF\.SOD"):
        build_chip_image(PROFILE, document_number=NUMBER, data_groups=GROUPS, ef_sod=b"", certificates={})


def test_two_holders_files_never_meet() -> None:
    with pytest.raises(ImageRefused, match="another document number") as caught:
        build_chip_image(PROFILE, document_number="SA7654321", data_groups=GROUPS, ef_sod=EF_SOD, certificates={})
    assert NUMBER not in str(caught.value)


def test_the_stored_form_comes_back() -> None:
    for made in (image(CERTIFICATES), image({})):
        stored = image_to_bytes(made)
        assert image_from_bytes(stored) == made
        assert image_to_bytes(image_from_bytes(stored)) == stored


def test_the_stored_form_stays_readable() -> None:
    """Format version 1, as it lies in databases since the first release."""
    stored = bytes.fromhex("E035 C00101 C104 61403141 C20141 E11C C10165 C202A000 E213 C10146 C202D003 C305 504552534F"
                           "C403 0401AA E309 C10161 C20181 C30163")  # fmt: skip
    expected = ChipImage(
        ProfileId("a@1A"),
        "A",
        (ImageApplication("e", bytes.fromhex("A000"), (ImageFile("F", 0xD003, Function.PERSO, b"\x04\x01\xaa"),)),),
        (ImageKey("a", 0x81, "c"),),
    )
    assert image_to_bytes(expected) == stored
    assert image_from_bytes(stored) == expected


@pytest.mark.parametrize("change", [
    lambda stored: stored[:-1],
    lambda stored: stored + b"\x00",
    lambda stored: stored.replace(b"\xc0\x01\x01", b"\xc0\x01\x02", 1),
    lambda stored: stored.replace(b"PERSO", b"ANYBO", 1),
    lambda stored: tlv.encode(0xE0, tlv.decode(stored, 0xE0).value + b"\xc9\x00"),
])  # fmt: skip
def test_other_bytes_are_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(ImageRefused):
        image_from_bytes(change(image_to_bytes(image({}))))


@given(st.binary(max_size=100))
def test_noise_is_refused(data: bytes) -> None:
    for noise in (data, tlv.encode(0xE0, data), tlv.encode(0xE0, b"\xc0\x01\x01" + data)):
        with pytest.raises(ImageRefused):
            image_from_bytes(noise)

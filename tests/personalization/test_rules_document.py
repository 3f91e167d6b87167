"""Nationality, document types, four eyes, delivery: one good and one bad vector per rule."""

import json
from pathlib import Path

import pytest

from personalization.records import load_places
from personalization.rules.codes import ISO_3166_1, NATIONALITIES
from tests.personalization.record_vectors import changed, chipless, failures, failures_with

NATIONALITY = "/holder/nationality"
SECOND = "/approved/second_officer"


NOT_OF_ISO_3166_1 = """
    D GBD GBN GBO GBP GBS RKS EUE UNO UNA UNK XBA XIM XCC XCE XCO XEC XPO XES XMP XOM XDC XXA XXB XXC XXX
"""


@pytest.mark.parametrize("code", ["LVA", "USA", "ZWE", *NOT_OF_ISO_3166_1.split()])
def test_codes_of_icao_9303_3_section_5(code: str) -> None:
    assert not failures_with({NATIONALITY: code})


@pytest.mark.parametrize(
    "code", ["DEU", "DE", "LV", "L", "ZZZ", "SUN", "YUG", "XXD", "XKX", "UTO", "IAO", "NTZ", "ANT", "GBA"]
)
def test_other_codes_are_refused(code: str) -> None:
    assert failures_with({NATIONALITY: code}) == {(NATIONALITY, "nationality")}


def test_the_list_is_whole() -> None:
    assert len(ISO_3166_1) == 249
    assert len(NATIONALITIES) == 249 - 1 + 7 + 1 + 3 + 11 + 4


def test_certificates_only_on_eid_and_foreigner_id() -> None:
    for document_type in ("eid-citizen", "eid-noncitizen", "eid-eu-citizen", "foreigner-id"):
        assert not failures_with({"/document/type": document_type})
    for document_type in ("residence-permit", "accredited-person-id", "passport-citizen", "travel-document-refugee"):
        assert failures_with({"/document/type": document_type}) == {("/certificates/wanted", "certificates-type")}
    assert failures(changed(chipless(), {"/certificates/wanted": True})) == {
        ("/certificates/wanted", "certificates-type")
    }


def test_the_badge_goes_with_one_card() -> None:
    assert not failures(changed(chipless("wwii-participant-card"), {"/document/badge": True}))
    assert not failures(chipless("wwii-participant-card"))
    assert failures(changed(chipless("repressed-person-card"), {"/document/badge": True})) == {
        ("/document/badge", "badge-type")
    }
    assert failures_with({"/document/badge": True}) == {("/document/badge", "badge-type")}


@pytest.mark.parametrize("second", ["officer-110", "OFFICER-110", " officer-110 ", "ｏfficer-110"])
def test_four_eyes_belong_to_two_people(second: str) -> None:
    assert failures_with({SECOND: second}) == {(SECOND, "four-eyes")}


def test_four_eyes_in_good_order() -> None:
    assert not failures_with({SECOND: "officer-111"})
    assert not failures_with({SECOND: None})


def test_a_blank_officer_is_nobody() -> None:
    assert failures_with({SECOND: ""}) == {(SECOND, "officer-blank")}
    assert failures_with({SECOND: " "}) == {(SECOND, "officer-blank")}
    assert failures_with({"/approved/officer": " "}) == {("/approved/officer", "officer-blank")}


def test_delivery_is_a_known_pair() -> None:
    assert not failures_with({"/delivery": {"kind": "embassy", "code": "EMB-LON"}})
    assert not failures_with({"/delivery": {"kind": "ministry", "code": "MFA-PROTOCOL"}})
    assert failures_with({"/delivery/code": "EMB-LON"}) == {("/delivery/code", "delivery-place")}
    assert failures_with({"/delivery/kind": "shop"}) == {("/delivery/kind", "schema/enum")}


def test_places_are_configuration(tmp_path: Path) -> None:
    path = tmp_path / "places.json"
    path.write_text(json.dumps({"branch": {"HERE": "Šeit"}}), "utf-8")
    assert load_places(path).known("branch", "HERE")
    assert not load_places(path).known("embassy", "HERE")
    path.write_text(json.dumps({"shop": {}}), "utf-8")
    with pytest.raises(ValueError, match="no others"):
        load_places(path)

"""The error catalogue: what the code raises, what `RULES` says and what the page for the sources says are the same."""

import re
from dataclasses import dataclass
from typing import Any

import pytest

from personalization.records import CheckedRecord, check_record
from personalization.rules.catalogue import RULES
from tests.personalization.record_vectors import (
    CHILD,
    CITIZEN,
    NOW,
    PLACES,
    REMOVED,
    changed,
    chipless,
    drawing,
    encoded,
    jpeg,
    picture,
    picture_bytes,
)
from tests.personalization.rule_names import ROOT, UnreadableRule, raised_rules, rules_in, schema_keywords

PAGE = ROOT / "docs" / "document-systems.md"
ROW = re.compile(r"\| `([a-zA-Z0-9/-]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|")
NOT_BY_THE_CHECK = {"superseded", "withdrawn", "other-source", "too-large"}
"""Raised where a record is taken in or pushed, by what was taken in before or by the size of a line."""


@dataclass(frozen=True)
class Entry:
    """A row of the page's catalogue."""

    pointers: str
    when: str
    advice: str

    def fits(self, pointer: str) -> bool:
        if self.pointers.startswith("*any*"):
            return True
        if self.pointers == "*the whole record*":
            return pointer == ""
        forms = re.findall(r"`([^`]+)`", self.pointers)
        return any(re.fullmatch(re.escape(form).replace(r"\{n\}", "[0-9]+"), pointer) for form in forms)


def page() -> dict[str, Entry]:
    catalogue = PAGE.read_text("utf-8").partition("# Error catalogue\n")[2]
    rows = [match.groups() for line in catalogue.splitlines() if (match := ROW.fullmatch(line))]
    assert len(rows) == len({rule for rule, *_ in rows}), "a rule stands in the catalogue twice"
    assert len(rows) == sum(line.startswith("| `") for line in catalogue.splitlines()), "a row has another form"
    return {rule: Entry(*rest) for rule, *rest in rows}


def test_every_rule_that_the_code_raises_is_in_the_catalogue_and_no_other() -> None:
    assert set(raised_rules()) == set(RULES)


def test_the_page_has_every_rule_in_the_words_of_the_catalogue() -> None:
    entries = page()
    assert set(entries) == set(RULES)
    assert {rule: entry.when for rule, entry in entries.items()} == dict(RULES)
    for rule, entry in entries.items():
        assert entry.advice.endswith("."), rule
        assert entry.when.endswith("."), rule


@pytest.mark.parametrize(
    ("source", "rules"),
    [
        ('Failure("", "a", "")', {"a"}),
        ('x.Failure(pointer="", rule="a", message="")', {"a"}),
        ("Failure(**stored)", set()),
        ('def f():\n rule, text = "a", 1\n if 1:\n  rule = "b"\n Failure("", rule, text)', {"a", "b"}),
        ('def f(p, rule):\n Failure(p, rule, "")\nf("", "a")\nf("", rule="b")', {"a", "b"}),
        ('class A:\n def f(self, rule):\n  Failure("", rule, "")\n def g(self):\n  self.f("a")', {"a"}),
        ('Failure("", f"schema/{kind.name}", "")', {f"schema/{keyword}" for keyword in schema_keywords()}),
    ],
)
def test_rule_names_are_read_out_of_the_code(source: str, rules: set[str]) -> None:
    assert rules_in(source, "made-up.py") == rules


@pytest.mark.parametrize(
    "source",
    [
        'Failure("", NAME, "")',
        'Failure("", "a" + b, "")',
        'Failure("", f"other/{kind}", "")',
        "Failure(*stored)",
        'def f():\n rule = g()\n Failure("", rule, "")',
        'def f(rule):\n Failure("", rule, "")',
        'def f(rule):\n Failure("", rule, "")\nf(g())',
    ],
)
def test_a_rule_name_that_cannot_be_read_is_no_rule_name(source: str) -> None:
    with pytest.raises(UnreadableRule, match=r"made-up\.py:"):
        rules_in(source, "made-up.py")


def test_the_page_has_every_state_that_a_source_is_told() -> None:
    told = re.compile(r"report_documents?\(\s*connection,[^\"]+\"([a-z-]+)\"")
    sources = [path.read_text("utf-8") for path in (ROOT / "personalization").rglob("*.py")]
    states = {state for source in sources for state in told.findall(source)}
    table = PAGE.read_text("utf-8").partition("| state | when |\n")[2].partition("\n\n")[0]
    assert states == set(re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE)) != set()


# --- each rule is raised by a record, at a pointer that the page names ----------------------------------------------
PORTRAIT, SIGNATURE, FINGERS = "/images/portrait", "/images/signature", "/images/fingerprints"
FINGER = f"{FINGERS}/0/image"
WSQ = picture_bytes(CITIZEN, FINGER)
PNG = encoded(drawing(250, 330), "PNG")


def with_change(pointer: str, value: object, record: Any = CITIZEN) -> Any:
    return changed(record, {pointer: value})


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else 1


def upside_down() -> bytes:
    exif = drawing(413, 531).getexif()
    exif[0x0112] = 3  # TIFF 6.0: Orientation, rotated by 180 degrees
    return encoded(drawing(413, 531), "JPEG", exif=exif)


VECTORS: dict[str, Any] = {
    "failures-many": {"images": {"fingerprints": [{"position": "x", "image": {}}] * 200}},
    "json/form": "{",
    "json/type": with_change("/holder/surname", b"bytes"),
    "json/text": with_change("/holder/surname", "\ud800"),
    "json/number": with_change("/holder/height_cm", float("nan")),
    "json/name": with_change("/holder", {1: 2}),
    "json/depth": with_change("/holder/surname", nested(20)),
    "json/size": with_change(FINGERS, [[]] * 20_000),
    "schema/required": with_change("/holder/sex", REMOVED),
    "schema/additionalProperties": with_change("/holder/shoe_size", 41),
    "schema/type": with_change("/holder/height_cm", "tall"),
    "schema/oneOf": with_change(SIGNATURE, []),
    "schema/enum": with_change("/holder/sex", "Q"),
    "schema/pattern": with_change("/holder/personal_code", "1"),
    "schema/format": with_change("/approved/at", "yesterday"),
    "schema/minLength": with_change("/holder/surname", ""),
    "schema/maxLength": with_change("/holder/surname", "A" * 61),
    "schema/minimum": with_change("/holder/height_cm", 1),
    "schema/maximum": with_change("/holder/height_cm", 400),
    "schema/maxItems": with_change(FINGERS, [CITIZEN["images"]["fingerprints"][0]] * 3),
    "revision-range": with_change("/revision", 2**31),
    "approval-utc": with_change("/approved/at", "2026-11-12T10:00:00+02:00"),
    "approval-future": with_change("/approved/at", "2026-11-24T10:00:00Z"),
    "officer-blank": with_change("/approved/second_officer", " "),
    "four-eyes": with_change("/approved/second_officer", CITIZEN["approved"]["officer"]),
    "date-real": with_change("/holder/birth_date", "1978-02-30"),
    "birth-future": with_change("/holder/birth_date", "2026-12-24"),
    "birth-after-approval": with_change("/holder/birth_date", "2026-11-20"),
    "issue-before-approval": with_change("/document/issue_date", "2026-11-01"),
    "issue-too-late": with_change("/document/issue_date", "2027-06-01"),
    "expiry-required": with_change("/document/expiry_date", None),
    "expiry-after-issue": with_change("/document/expiry_date", "2026-11-23"),
    "expiry-too-late": with_change("/document/expiry_date", "2040-01-01"),
    "expiry-under-five": with_change("/document/expiry_date", "2031-01-01", CHILD),
    "personal-code-required": with_change("/holder/personal_code", None),
    "personal-code-check-digit": with_change("/holder/personal_code", "040978-11028"),
    "personal-code-birth-date": with_change("/holder/birth_date", "1978-09-05"),
    "nationality": with_change("/holder/nationality", "DEU"),
    "surname-required": with_change("/holder/surname", "-"),
    "given-names-blank": with_change("/holder/given_names", "-"),
    "name-letters": with_change("/holder/surname", "Иванов"),
    "text-nfc": with_change("/holder/birth_place", "Ri\u0304ga"),
    "text-control": with_change("/approved/decision_id", "D\u200b17"),
    "image-base64": with_change(f"{PORTRAIT}/data", "AB=="),
    "image-digest": with_change(f"{FINGERS}/1/image/sha256", "0" * 64),
    "image-type": with_change(PORTRAIT, picture(PNG, "image/jpeg")),
    "image-size": with_change(
        SIGNATURE, picture(encoded(drawing(10, 10).resize((4000, 2001)).convert("1"), "PNG"), "image/png")
    ),
    "image-decode": with_change(PORTRAIT, picture(jpeg()[:-2000], "image/jpeg")),
    "portrait-type": with_change(PORTRAIT, picture(PNG, "image/png")),
    "portrait-size": with_change(PORTRAIT, picture(jpeg(100, 200), "image/jpeg")),
    "portrait-upright": with_change(PORTRAIT, picture(upside_down(), "image/jpeg")),
    "portrait-colour": with_change(PORTRAIT, picture(encoded(drawing(413, 531).convert("CMYK"), "JPEG"), "image/jpeg")),
    "signature-type": with_change(SIGNATURE, picture(WSQ, "image/x-wsq")),
    "fingerprint-type": with_change(FINGER, picture(PNG, "image/png")),
    "fingerprint-resolution": with_change(FINGER, picture(WSQ.replace(b"PPI 500", b"PPI 508"), "image/x-wsq")),
    "fingerprint-count": with_change(FINGERS, CITIZEN["images"]["fingerprints"][:1]),
    "fingerprint-required": with_change(FINGERS, []),
    "fingerprint-exemption": with_change("/images/fingerprint_exemption", "under-age"),
    "fingerprint-different": with_change(f"{FINGERS}/1/position", CITIZEN["images"]["fingerprints"][0]["position"]),
    "fingerprint-chipless": with_change(FINGERS, CITIZEN["images"]["fingerprints"], chipless()),
    "certificates-type": with_change("/certificates/wanted", True, chipless()),
    "badge-type": with_change("/document/badge", True),
    "delivery-place": with_change("/delivery/code", "RIGA-99"),
}


def repeated() -> Any:
    from personalization.strict_json import loads

    text = b'{"revision": 1, "revision": 2}'
    return loads(text)


VECTORS["json/repeated-name"] = repeated()


def test_there_is_a_record_for_every_rule_of_the_check() -> None:
    assert set(VECTORS) == set(RULES) - NOT_BY_THE_CHECK


@pytest.mark.parametrize("rule", sorted(VECTORS))
def test_a_record_breaks_the_rule_where_the_page_says(rule: str) -> None:
    checked = check_record(VECTORS[rule], PLACES, now=NOW)
    assert not isinstance(checked, CheckedRecord)
    raised = {failure.rule for failure in checked}
    assert rule in raised
    entries = page()
    for failure in checked:
        assert entries[failure.rule].fits(failure.pointer), failure

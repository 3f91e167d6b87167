"""The check of an approved record: every rule at once, each failure with a pointer, a rule name and a sentence."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from personalization.approved_record import (
    Approval,
    CertificateWish,
    CheckedRecord,
    Delivery,
    DocumentDetails,
    Failure,
    FingerprintPicture,
    Holder,
    Images,
    OrderDetails,
    Picture,
    Places,
    RecordId,
    load_places,
)
from personalization.record_bytes import record_from_bytes, record_to_bytes
from personalization.rules.calendar_days import parse_day, parse_instant
from personalization.rules.codes import nationality_failures
from personalization.rules.dates import date_failures
from personalization.rules.delivery import delivery_failures
from personalization.rules.document import four_eyes_failures, revision_failures, type_failures
from personalization.rules.fingerprints import fingerprint_failures
from personalization.rules.images import FINGERPRINTS, PORTRAIT, SIGNATURE, RecordPictures, read_pictures
from personalization.rules.json_shape import ShapeCheck
from personalization.rules.names import name_as_written, name_failures
from personalization.rules.personal_code import personal_code_failures
from personalization.rules.schema import FAILS_THE_OBJECT_ONLY, schema_failures
from personalization.rules.view import RecordView

__all__ = [
    "Approval",
    "CertificateWish",
    "CheckedRecord",
    "Delivery",
    "DocumentDetails",
    "Failure",
    "FingerprintPicture",
    "Holder",
    "Images",
    "OrderDetails",
    "Picture",
    "Places",
    "RecordId",
    "check_record",
    "load_places",
    "record_from_bytes",
    "record_to_bytes",
]

MAXIMUM_FAILURES = 100
UNPARSED_TEXT = Failure(
    "",
    "json/form",
    "The record is not a JSON object: what was delivered is text that does not parse as JSON, is too large or is "
    "nested too deeply.",
)
"""Of a record that is a string: so a source hands over what it holds but cannot read as a JSON value."""


def check_record(record: object, places: Places, *, now: datetime) -> CheckedRecord | tuple[Failure, ...]:
    """The record in its checked form, or all its failures in the order of their pointers (100 at most).

    record: any value that JSON can bring; now: aware. Never raises on account of the record.
    """
    if now.tzinfo is None:
        raise ValueError("now must be an aware datetime")
    if isinstance(record, str):
        return (UNPARSED_TEXT,)
    shape = ShapeCheck(record)
    malformed = {failure.pointer for failure in shape.failures}
    schema = [f for f in schema_failures(shape.copy) if not _within(f.pointer, malformed)]
    failed = malformed | {f.pointer for f in schema if f.rule not in FAILS_THE_OBJECT_ONLY}
    view = RecordView(shape.copy, failed)
    read = read_pictures(view)
    failures = [*shape.failures, *schema, *_rule_failures(view, places, read, now)]
    if failures:
        return _in_order(failures)
    return _checked(shape.copy, read)


def _rule_failures(view: RecordView, places: Places, read: RecordPictures, now: datetime) -> Iterator[Failure]:
    yield from revision_failures(view)
    yield from personal_code_failures(view)
    yield from date_failures(view, now)
    yield from name_failures(view)
    yield from nationality_failures(view)
    yield from read.failures
    yield from fingerprint_failures(view, read.pictures)
    yield from four_eyes_failures(view)
    yield from type_failures(view)
    yield from delivery_failures(view, places)


def _within(pointer: str, malformed: Iterable[str]) -> bool:
    """Whether the schema complains of the null that stands in a malformed value's place."""
    return any(pointer == place or pointer.startswith(f"{place}/") for place in malformed)


def _in_order(failures: Iterable[Failure]) -> tuple[Failure, ...]:
    ordered = sorted(set(failures), key=lambda failure: (failure.pointer, failure.rule, failure.message))
    if len(ordered) > MAXIMUM_FAILURES:
        more = Failure("", "failures-many", f"There are more than {MAXIMUM_FAILURES} failures; these are the first.")
        ordered = [*ordered[: MAXIMUM_FAILURES - 1], more]
    return tuple(ordered)


def _checked(record: Any, read: RecordPictures) -> CheckedRecord:
    approved, holder, document = record["approved"], record["holder"], record["document"]
    instant = parse_instant(approved["at"])
    expiry = document["expiry_date"]
    height = holder.get("height_cm")
    original_form = holder.get("name_original_form")
    contact = record["certificates"].get("contact") or {}
    order = record["order"]
    return CheckedRecord(
        record_id=RecordId(record["record_id"]),
        revision=int(record["revision"]),  # 1.0 is an integer to JSON Schema
        approved=Approval(
            at=instant.at,
            day=instant.day,
            decision_id=approved["decision_id"],
            officer=approved["officer"],
            second_officer=approved.get("second_officer"),
        ),
        order=OrderDetails(
            reason=order["reason"],
            urgency=order["urgency"],
            service_identifier=order["service_identifier"],
            replaces_document_number=order.get("replaces_document_number"),
        ),
        document=DocumentDetails(
            type=document["type"],
            issue_date=parse_day(document["issue_date"]),
            expiry_date=parse_day(expiry) if expiry is not None else None,
            permit_remarks=document.get("permit_remarks"),
            badge=document.get("badge", False),
        ),
        holder=Holder(
            personal_code=holder["personal_code"],
            surname=name_as_written(holder["surname"]),
            given_names=name_as_written(holder["given_names"]),
            name_original_form=name_as_written(original_form) if original_form is not None else None,
            birth_date=holder["birth_date"],
            birth_place=holder.get("birth_place"),
            sex=holder["sex"],
            nationality=holder["nationality"],
            height_cm=int(height) if height is not None else None,
        ),
        images=_images(record["images"], read),
        certificates=CertificateWish(record["certificates"]["wanted"], contact.get("email"), contact.get("phone")),
        delivery=Delivery(record["delivery"]["kind"], record["delivery"]["code"]),
    )


def _images(images: Any, read: RecordPictures) -> Images:
    return Images(
        portrait=read.pictures[PORTRAIT],
        signature=read.pictures.get(SIGNATURE),
        fingerprints=tuple(
            FingerprintPicture(int(finger["position"]), read.pictures[f"{FINGERPRINTS}/{index}/image"])
            for index, finger in enumerate(images["fingerprints"])
        ),
        fingerprint_exemption=images.get("fingerprint_exemption"),
    )

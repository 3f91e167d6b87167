"""How many fingerprints, of which fingers, and when there may be none."""

from collections.abc import Iterator, Mapping

from personalization.approved_record import Failure, Picture
from personalization.rules.calendar_days import full_years
from personalization.rules.dates import read_dates
from personalization.rules.document_types import is_chipless
from personalization.rules.images import FINGERPRINTS
from personalization.rules.view import RecordView

EXEMPTION = "/images/fingerprint_exemption"
FINGERS = 2
EXEMPT_BELOW_AGE = 12


def fingerprint_failures(view: RecordView, pictures: Mapping[str, Picture]) -> Iterator[Failure]:
    """Failures of the set of fingerprints; `pictures` are those that decoded, by pointer."""
    document_type, count = view.text("/document/type"), view.count(FINGERPRINTS)
    if document_type is not None and count is not None:
        if is_chipless(document_type):
            if count:
                yield Failure(
                    FINGERPRINTS, "fingerprint-chipless", "A card without a chip may not come with fingerprints."
                )
        else:
            yield from _on_a_chip(view, count)
    if count == FINGERS:
        yield from _different(view, pictures)


def _on_a_chip(view: RecordView, count: int) -> Iterator[Failure]:
    exemption = view.text(EXEMPTION)
    if count == 1:
        yield Failure(FINGERPRINTS, "fingerprint-count", "Fingerprints must be of two different fingers; there is one.")
    if count == 0 and exemption is None and not view.has_failed(EXEMPTION):
        yield Failure(
            FINGERPRINTS,
            "fingerprint-required",
            "A document with a chip needs two fingerprints, or the exemption that says why there are none.",
        )
    if count and exemption is not None:
        yield Failure(
            EXEMPTION,
            "fingerprint-exemption",
            "The record holds fingerprints and an exemption from them; it must hold one or the other.",
        )
    elif exemption == "under-age" and _certainly_of_age(view):
        yield Failure(
            EXEMPTION,
            "fingerprint-exemption",
            f"The exemption does not fit: the holder is not below {EXEMPT_BELOW_AGE} on the issue date.",
        )


def _certainly_of_age(view: RecordView) -> bool:
    # With an unknown month or day the latest day that it may stand for counts: the holder may be that young.
    dates = read_dates(view)
    if dates.birth is None or dates.issue is None:
        return False
    return full_years(dates.birth.latest, dates.issue) >= EXEMPT_BELOW_AGE


def _different(view: RecordView, pictures: Mapping[str, Picture]) -> Iterator[Failure]:
    first, second = (view.value(f"{FINGERPRINTS}/{index}/position") for index in range(FINGERS))
    if first is not None and first == second:
        yield Failure(
            f"{FINGERPRINTS}/1/position", "fingerprint-different", "Both fingerprints are of the same finger."
        )
    images = [pictures.get(f"{FINGERPRINTS}/{index}/image") for index in range(FINGERS)]
    if images[0] is not None and images[1] is not None and images[0].data == images[1].data:
        yield Failure(
            f"{FINGERPRINTS}/1/image/data",
            "fingerprint-different",
            "Both fingerprints are the same picture, so they cannot be of two different fingers.",
        )

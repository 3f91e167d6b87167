"""Delivery: a known branch, embassy or ministry code."""

from collections.abc import Iterator

from personalization.approved_record import Failure, Places
from personalization.rules.view import RecordView


def delivery_failures(view: RecordView, places: Places) -> Iterator[Failure]:
    """Failures of /delivery: kind and code must be a pair of the list of places."""
    kind, code = view.text("/delivery/kind"), view.text("/delivery/code")
    if kind is not None and code is not None and not places.known(kind, code):
        yield Failure(
            "/delivery/code",
            "delivery-place",
            "The code is not one of the places of this kind on the centre's list.",
        )

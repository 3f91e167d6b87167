"""Four eyes, what goes with which document type, and a revision that the store can hold."""

import unicodedata
from collections.abc import Iterator

from personalization.approved_record import Failure
from personalization.rules.document_types import BADGE, may_hold_certificates
from personalization.rules.view import RecordView

HIGHEST_REVISION = 2**31 - 1


def four_eyes_failures(view: RecordView) -> Iterator[Failure]:
    """Officer and second officer are two people. No second officer (null) is allowed; one without a name is not."""
    officer, second = view.text("/approved/officer"), view.text("/approved/second_officer")
    if officer is not None and not _identifier(officer):
        yield Failure("/approved/officer", "officer-blank", "The officer's identifier is blank.")
    if second is not None and not _identifier(second):
        yield Failure(
            "/approved/second_officer",
            "officer-blank",
            "The second officer's identifier is blank; without a second officer it must be null.",
        )
    elif officer is not None and second is not None and _identifier(officer) == _identifier(second):
        yield Failure(
            "/approved/second_officer", "four-eyes", "The second officer must be somebody else than the officer."
        )


def type_failures(view: RecordView) -> Iterator[Failure]:
    """Certificates and badge only with the types that have them."""
    document_type = view.text("/document/type")
    if document_type is None:
        return
    if view.value("/certificates/wanted") is True and not may_hold_certificates(document_type):
        yield Failure(
            "/certificates/wanted",
            "certificates-type",
            "Certificates go only on the eid documents and on foreigner-id; none can be wanted for this type.",
        )
    if view.value("/document/badge") is True and document_type != BADGE:
        yield Failure("/document/badge", "badge-type", f"A badge goes only with the {BADGE}.")


def revision_failures(view: RecordView) -> Iterator[Failure]:
    """The schema knows no upper bound, a database column does."""
    revision = view.value("/revision")
    if isinstance(revision, int | float) and revision > HIGHEST_REVISION:
        yield Failure("/revision", "revision-range", f"The revision must be at most {HIGHEST_REVISION}.")


def _identifier(text: str) -> str:
    """An identifier as two people would compare it: without case, spaces, invisible or look-alike width forms."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if not c.isspace() and unicodedata.category(c) not in {"Cc", "Cf"})

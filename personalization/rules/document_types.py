"""What the document types are made of: who has a chip, who may have certificates, who gets a badge."""

CHIPLESS = frozenset({"temporary-id", "repressed-person-card", "resistance-member-card", "wwii-participant-card"})
BADGE = "wwii-participant-card"


def is_chipless(document_type: str) -> bool:
    """Whether documents of this type have no chip; all others have one."""
    return document_type in CHIPLESS


def may_hold_certificates(document_type: str) -> bool:
    """Whether the pair of certificates may go on documents of this type."""
    return document_type.startswith("eid-") or document_type == "foreigner-id"

"""Rules for the certificates of one card together: no linter of single certificates sees them."""

from collections.abc import Callable, Sequence

from pki.certificate_reading import TbsCertificate
from pki.findings import Finding


def same_subject(pair: Sequence[TbsCertificate]) -> str | None:
    """One holder."""
    return None if len({tbs.subject for tbs in pair}) == 1 else "the certificates name different subjects"


def same_end(pair: Sequence[TbsCertificate]) -> str | None:
    """One day on which the card stops working."""
    return None if len({tbs.not_after for tbs in pair}) == 1 else "the certificates end at different times"


def same_issuer(pair: Sequence[TbsCertificate]) -> str | None:
    """One issuer, so that one revocation list tells of both."""
    return None if len({tbs.issuer for tbs in pair}) == 1 else "the certificates are by different issuers"


def distinct_keys(pair: Sequence[TbsCertificate]) -> str | None:
    """A key of its own for each purpose."""
    return None if len({tbs.public_key_info for tbs in pair}) == len(pair) else "two certificates have one key"


def distinct_serials(pair: Sequence[TbsCertificate]) -> str | None:
    """A number of its own for each certificate."""
    return None if len({tbs.serial for tbs in pair}) == len(pair) else "two certificates have one serial number"


PAIR_RULES: tuple[tuple[str, str, Callable[[Sequence[TbsCertificate]], str | None]], ...] = (
    ("pair-subject", "the centre's rule: the pair of one card is of one holder", same_subject),
    ("pair-end", "the centre's rule: the pair of one card ends together", same_end),
    ("pair-issuer", "the centre's rule: the pair of one card is by one CA", same_issuer),
    ("pair-keys", "EN 319 412-2 §4.3.2 (key usage types are not mixed)", distinct_keys),
    ("pair-serials", "RFC 5280 §4.1.2.2", distinct_serials),
)


def check_pair(pair: Sequence[TbsCertificate]) -> tuple[Finding, ...]:
    """What is wrong with the pair as a pair."""
    found = [(name, citation, check(pair)) for name, citation, check in PAIR_RULES]
    return tuple(Finding(name, citation, message) for name, citation, message in found if message is not None)

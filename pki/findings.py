"""What a rule is and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pki.lint.linted import Linted


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule: its name, the clause it comes from, and one sentence that quotes no value of the holder."""

    rule: str
    citation: str
    message: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: name, clause, and a check that answers a sentence when it is broken and None when it holds."""

    name: str
    citation: str
    check: "Callable[[Linted], str | None]"

"""Where a token is and how it is opened."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """One PKCS#11 token of one module; what a module reads itself (SOFTHSM2_CONF and the like) is set by the caller."""

    module: Path
    """The shared library, for example libsofthsm2.so."""
    token_label: str
    pin_file: Path
    """UTF-8 text; the user PIN is its first line."""
    lock_file: Path
    """Made when missing; every process that opens this token must name the same file."""

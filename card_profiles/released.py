"""The released files of this room: card profiles, chip layouts, art and fonts, each named `name@version`.

A published file never changes; a change is a new version. `profiles/DIGESTS.toml` holds the SHA-256 of every one.
"""

import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any

from card_profiles.errors import ProfileRefused, UnknownProfile

ROOM = Path(__file__).parent
PROFILES = ROOM / "profiles"
FONTS = ROOM / "art" / "fonts"


class Kind(StrEnum):
    """The folders of `profiles/` (a profile itself lies at the top)."""

    PROFILE = "."
    CHIP = "chips"
    ART = "art"


def released_ids(kind: Kind) -> tuple[str, ...]:
    """Ids of all files of a kind, by name and version."""
    found = []
    for path in (PROFILES / kind).glob("*.toml"):
        if match := re.fullmatch(r"([a-z0-9-]+)\.v([1-9][0-9]*)\.toml", path.name):
            found.append((match[1], int(match[2])))
    return tuple(f"{name}@{version}" for name, version in sorted(found))


def read_released(kind: Kind, identifier: str) -> dict[str, Any]:
    """The file as written, with what it `extends` put underneath it.

    Tables are merged key by key, anything else is replaced. Raises `UnknownProfile` or `ProfileRefused`.
    """
    return _read(kind, identifier, ())


def _read(kind: Kind, identifier: str, above: tuple[str, ...]) -> dict[str, Any]:
    match = re.fullmatch(r"([a-z0-9-]+)@([1-9][0-9]*)", identifier)
    path = PROFILES / kind / f"{match[1]}.v{match[2]}.toml" if match else None
    if path is None or not path.is_file():
        raise UnknownProfile(f"no released file {identifier!r}")
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ProfileRefused(f"{path.name}: {error}") from None
    base = values.pop("extends", None)
    if base is None:
        return values
    if base in (*above, identifier):
        raise ProfileRefused(f"{path.name}: extends itself")
    return _merge(_read(kind, str(base), (*above, identifier)), values)


def font_bytes(name: str) -> bytes:
    """A released font file. Raises `UnknownProfile` when there is none of this name."""
    path = FONTS / name
    if Path(name).name != name or path.suffix != ".ttf" or not path.is_file():
        raise UnknownProfile(f"no released font {name!r}")
    return path.read_bytes()


def _merge(underneath: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(underneath)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged

"""Scenario files: which card of a station fails, at which command, and how. docs/simulators.md explains every key.

    [torn-while-the-files-are-written]      # a name, under which it is remembered that the fault struck
    fault = "torn-before"
    card = 2                                # the second card loaded here; or a chip serial
    apdu = 20                               # at its 20th command

Which faults struck which cards is kept in a file beside the station's cards, so that a station that is started again
does not repeat them.
"""

import json
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

MEMORY_FILE = "faults.json"
MOST_MILLISECONDS = 600_000

_SERIAL = re.compile(r"[0-9A-F]{20}")
_STATUS = re.compile(r"[0-9A-F]{4}")


class ScenarioError(Exception):
    """The file is no scenario; the text is a sentence that names the fault and the key."""


class Kind(StrEnum):
    """What a chip can be told to do."""

    TORN_BEFORE = "torn-before"
    TORN_AFTER = "torn-after"
    STATUS = "status"
    SWAPPED = "swapped"
    MUTE = "mute"
    SLOW = "slow"
    NO_MEMORY = "no-memory"


LASTING = frozenset((Kind.MUTE, Kind.SLOW, Kind.NO_MEMORY))
"""Faults that strike one card once and then stay with it; all others are over at once and may strike again."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `card`: a chip serial, or which one of those loaded at the station (from 1); `apdu`: from 1."""

    name: str
    kind: Kind
    card: str | int
    apdu: int
    times: int = 1
    milliseconds: int = 0
    status: int = 0

    @property
    def lasting(self) -> bool:
        """Whether it stays with the card that it struck."""
        return self.kind in LASTING


def parse_scenario(text: str) -> tuple[Fault, ...]:
    """The faults of a file's text, in its order. Raises `ScenarioError`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"it is not TOML: {error}") from None
    return tuple(_fault(name, table) for name, table in tables.items())


def _fault(name: str, table: object) -> Fault:
    if not isinstance(table, dict):
        raise ScenarioError(f"{name} stands outside of any fault: a fault is a table, [{name}]")
    kinds = list(Kind)
    if table.get("fault") not in kinds:
        raise ScenarioError(f"[{name}] needs a fault: one of {', '.join(kinds)}")
    kind = Kind(table["fault"])
    known = {"fault", "card", "apdu"} | {Kind.STATUS: {"status"}, Kind.SLOW: {"milliseconds"}}.get(kind, set())
    wanted = known if kind in LASTING else known | {"times"}
    if unknown := sorted(set(table) - wanted):
        raise ScenarioError(f"[{name}] has a key that {kind} does not know: {unknown[0]} (known: {_listed(wanted)})")
    if missing := sorted(known - set(table)):
        raise ScenarioError(f"[{name}] needs the key {missing[0]}")
    return Fault(
        name=name,
        kind=kind,
        card=_card(name, table["card"]),
        apdu=_number(name, "apdu", table["apdu"], 1_000_000),
        times=_number(name, "times", table.get("times", 1), 1_000),
        milliseconds=_number(name, "milliseconds", table["milliseconds"], MOST_MILLISECONDS)
        if kind is Kind.SLOW
        else 0,
        status=_status(name, table["status"]) if kind is Kind.STATUS else 0,
    )


def _listed(keys: set[str]) -> str:
    return ", ".join(sorted(keys))


def _card(name: str, value: object) -> str | int:
    if isinstance(value, str) and _SERIAL.fullmatch(value):
        return value
    if type(value) is int and value >= 1:
        return value
    raise ScenarioError(f"[{name}] card is a chip serial (20 capital hex digits), or a number from 1: the n-th loaded")


def _number(name: str, key: str, value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise ScenarioError(f"[{name}] {key} is a whole number from 1 to {most}")
    return value


def _status(name: str, value: object) -> int:
    if not isinstance(value, str) or not _STATUS.fullmatch(value) or value[0] not in "69":
        raise ScenarioError(f'[{name}] status is a status word in capital hex digits, for example "6F00"')
    return int(value, 16)


class Scenario:
    """A scenario file at one station: read anew when it is asked to, with the memory of what has struck."""

    def __init__(self, path: Path, memory: Path, *, tell: Callable[[str], object] = sys.stderr.write) -> None:
        """`memory`: the file that remembers. Raises `ScenarioError`."""
        self._path = path
        self._memory = memory
        self._tell = tell
        self._faults = read_scenario(path)
        self._struck: dict[str, list[str]] = _remembered(memory)

    def reread(self) -> None:
        """Take the file as it is now; one that is wrong is told of, and what was read last stays in force."""
        try:
            self._faults = read_scenario(self._path)
        except ScenarioError as error:
            self._tell(f"{error}; the scenario stays as it was\n")

    def faults(self, serial: str, ordinal: int) -> tuple[Fault, ...]:
        """The faults that are for this card, the `ordinal`-th of the station."""
        return tuple(fault for fault in self._faults if fault.card in {serial, ordinal} or self.lasts(fault, serial))

    def may_strike(self, fault: Fault) -> bool:
        """Whether it has struck less often than it should."""
        return len(self._struck.get(fault.name, ())) < fault.times

    def lasts(self, fault: Fault, serial: str) -> bool:
        """Whether it struck this card, for ever."""
        return fault.lasting and serial in self._struck.get(fault.name, ())

    def remember(self, fault: Fault, serial: str) -> None:
        """That it strikes now; on disk before anybody can feel it."""
        self._struck.setdefault(fault.name, []).append(serial)
        fresh = self._memory.with_suffix(".new")
        fresh.write_text(json.dumps(self._struck, indent=1) + "\n")
        fresh.replace(self._memory)


def read_scenario(path: Path) -> tuple[Fault, ...]:
    """The faults of a file. Raises `ScenarioError`."""
    try:
        return parse_scenario(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise ScenarioError(f"scenario {path}: it cannot be read") from None
    except ScenarioError as error:
        raise ScenarioError(f"scenario {path}: {error}") from None


def _remembered(memory: Path) -> dict[str, list[str]]:
    if not memory.exists():
        return {}
    try:
        told: Mapping[str, list[str]] = json.loads(memory.read_text())
        return {str(name): [str(serial) for serial in serials] for name, serials in told.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        raise ScenarioError(f"{memory}: it does not tell which faults struck; remove it to begin anew") from None

"""How a card printer says it is: state, reasons, supplies (RFC 8011 §5.4.11-12, PWG 5100.13 §5.6)."""

from dataclasses import dataclass
from enum import IntEnum

from personalization.station.ipp import Group
from personalization.station.printer import IppPrinter

NAMES = (
    "printer-state",
    "printer-state-reasons",
    "printer-is-accepting-jobs",
    "printer-make-and-model",
    "media-ready",
    "marker-names",
    "marker-levels",
    "marker-low-levels",
    "printer-supply",
    "printer-supply-description",
)
LOW_PERCENT = 10
"""Below this a supply is low, where the printer names no level of its own."""


class PrinterState(IntEnum):
    """printer-state (RFC 8011 §5.4.11)."""

    IDLE = 3
    PROCESSING = 4
    STOPPED = 5


@dataclass(frozen=True, slots=True)
class Supply:
    """A ribbon, film or laminate: percent that is left, None where the printer cannot tell; and whether that is low."""

    name: str
    percent: int | None
    low: bool


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """What the printer told; `state` is a `PrinterState` or a number unknown here, `reasons` without `none`."""

    model: str
    state: int
    reasons: tuple[str, ...]
    accepting: bool
    media: tuple[str, ...]
    supplies: tuple[Supply, ...]


def printer_status(printer: IppPrinter) -> PrinterStatus:
    """Ask the printer. Raises `StationUnavailable`, `PrinterRefused`."""
    told = printer.describe(*NAMES)
    state = told.first("printer-state")
    return PrinterStatus(
        model=next(iter(told.texts("printer-make-and-model")), "printer"),
        state=state if isinstance(state, int) else 0,
        reasons=tuple(reason for reason in told.texts("printer-state-reasons") if reason != "none"),
        accepting=told.first("printer-is-accepting-jobs") is not False,
        media=told.texts("media-ready"),
        supplies=_markers(told) or _supplies(told),
    )


def _contents(told: Group, name: str) -> tuple[object, ...]:
    return tuple(value.content for each in told.attributes if each.name == name for value in each.values)


def _markers(told: Group) -> tuple[Supply, ...]:
    """marker-names, marker-levels and marker-low-levels, side by side (as CUPS and card printers tell them)."""
    names, levels = told.texts("marker-names"), _contents(told, "marker-levels")
    lows = _contents(told, "marker-low-levels")
    supplies = []
    for place, (name, level) in enumerate(zip(names, levels, strict=False)):
        low = lows[place] if place < len(lows) else LOW_PERCENT
        supplies.append(_supply(name, level, low if isinstance(low, int) else LOW_PERCENT))
    return tuple(supplies)


def _supplies(told: Group) -> tuple[Supply, ...]:
    """printer-supply: octets such as `type=ribbon;maxcapacity=250;level=40;`, with a description each."""
    descriptions = told.texts("printer-supply-description")
    supplies = []
    for place, octets in enumerate(_contents(told, "printer-supply")):
        text = octets.decode("utf-8", "replace") if isinstance(octets, bytes) else str(octets)
        fields = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
        name = descriptions[place] if place < len(descriptions) else fields.get("type", "supply")
        supplies.append(_supply(name, _percent(fields), LOW_PERCENT))
    return tuple(supplies)


def _percent(fields: dict[str, str]) -> int | None:
    try:
        level, capacity = int(fields["level"]), int(fields.get("maxcapacity", "100"))
    except (KeyError, ValueError):
        return None
    return level * 100 // capacity if level >= 0 and capacity > 0 else None


def _supply(name: str, level: object, low: int) -> Supply:
    percent = level if isinstance(level, int) and level >= 0 else None  # -1, -2, -3: other, unknown, some is left
    return Supply(name, percent, percent is not None and percent <= low)

"""How long a real chip would take: a model kept as data (`latency.toml`, with the source of every number)."""

import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from simulators.chip.wire import Card

CURVE_BYTES = {32: "P-256", 48: "P-384"}
_SECURE_MESSAGING = 0x04
_GENERATE_KEY_PAIR, _INTERNAL_AUTHENTICATE, _PERFORM_SECURITY_OPERATION = 0x47, 0x88, 0x2A
_OK = b"\x90\x00"

_KEYS: Mapping[str, frozenset[str]] = {
    "line": frozenset(("bits_per_second", "bits_per_byte", "block_bytes", "block_overhead_bytes")),
    "exchange": frozenset(("milliseconds",)),
    "write": frozenset(("page_bytes", "milliseconds_per_page")),
    "secure_messaging": frozenset(("milliseconds_per_kilobyte",)),
    "generate_key_milliseconds": frozenset(CURVE_BYTES.values()),
    "sign_milliseconds": frozenset(CURVE_BYTES.values()),
}


class LatencyError(Exception):
    """The file is no latency model; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class LatencyModel:
    """All times of one chip on one line. `block_bytes`: information in one block; overhead: what stands around it."""

    line_bits_per_second: float
    line_bits_per_byte: float
    block_bytes: int
    block_overhead_bytes: int
    exchange_milliseconds: float
    page_bytes: int
    page_milliseconds: float
    secure_messaging_milliseconds_per_kilobyte: float
    generate_key_milliseconds: Mapping[str, float]
    sign_milliseconds: Mapping[str, float]

    def seconds(self, apdu: bytes, response: bytes, written_bytes: int) -> float:
        """What the exchange of this command and its response takes, `written_bytes` of memory changed by it."""
        pages = -(-written_bytes // self.page_bytes)
        milliseconds = self.exchange_milliseconds + pages * self.page_milliseconds + self._computing(apdu, response)
        return self._line_seconds(len(apdu)) + self._line_seconds(len(response)) + milliseconds / 1000

    def _line_seconds(self, size_bytes: int) -> float:
        blocks = max(1, -(-size_bytes // self.block_bytes))
        # Every block but the last is acknowledged by one without information.
        on_line_bytes = size_bytes + (2 * blocks - 1) * self.block_overhead_bytes
        return on_line_bytes * self.line_bits_per_byte / self.line_bits_per_second

    def _computing(self, apdu: bytes, response: bytes) -> float:
        milliseconds = 0.0
        cla, ins = apdu[:2].ljust(2, b"\x00")  # also what is no command APDU gets an answer
        if cla & _SECURE_MESSAGING:
            milliseconds += self.secure_messaging_milliseconds_per_kilobyte * (len(apdu) + len(response)) / 1024
        if not response.endswith(_OK):
            return milliseconds
        data_bytes = len(response) - len(_OK)
        if ins == _GENERATE_KEY_PAIR:
            milliseconds += self.generate_key_milliseconds["P-384" if data_bytes > 2 * 48 else "P-256"]
        elif ins in (_INTERNAL_AUTHENTICATE, _PERFORM_SECURITY_OPERATION) and data_bytes // 2 in CURVE_BYTES:
            milliseconds += self.sign_milliseconds[CURVE_BYTES[data_bytes // 2]]  # r | s
        return milliseconds


def load_latency(path: Path) -> LatencyModel:
    """The model of a file. Raises `LatencyError`."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise LatencyError(f"latency model {path}: it cannot be read") from None
    except tomllib.TOMLDecodeError as error:
        raise LatencyError(f"latency model {path}: it is not TOML: {error}") from None
    try:
        return _model(tables)
    except LatencyError as error:
        raise LatencyError(f"latency model {path}: {error}") from None


def _model(tables: Mapping[str, object]) -> LatencyModel:
    _check_names("tables", tables, frozenset(_KEYS))
    numbers = {name: _numbers(name, tables[name]) for name in _KEYS}
    line, write = numbers["line"], numbers["write"]
    if not line["bits_per_second"] or not line["block_bytes"] or not write["page_bytes"]:
        raise LatencyError("bits_per_second, block_bytes and page_bytes are more than 0")
    return LatencyModel(
        line_bits_per_second=line["bits_per_second"],
        line_bits_per_byte=line["bits_per_byte"],
        block_bytes=int(line["block_bytes"]),
        block_overhead_bytes=int(line["block_overhead_bytes"]),
        exchange_milliseconds=numbers["exchange"]["milliseconds"],
        page_bytes=int(write["page_bytes"]),
        page_milliseconds=write["milliseconds_per_page"],
        secure_messaging_milliseconds_per_kilobyte=numbers["secure_messaging"]["milliseconds_per_kilobyte"],
        generate_key_milliseconds=numbers["generate_key_milliseconds"],
        sign_milliseconds=numbers["sign_milliseconds"],
    )


def _numbers(name: str, table: object) -> Mapping[str, float]:
    if not isinstance(table, dict):
        raise LatencyError(f"{name} is a table, [{name}]")
    _check_names(f"keys of [{name}]", table, _KEYS[name])
    for key, value in table.items():
        if type(value) not in (int, float) or not 0 <= value < 1e9:
            raise LatencyError(f"[{name}] {key} is a number from 0")
    return table


def _check_names(what: str, given: Mapping[str, object], known: frozenset[str]) -> None:
    if unknown := sorted(set(given) - known):
        raise LatencyError(f"{unknown[0]} is not among the {what}: {', '.join(sorted(known))}")
    if missing := sorted(known - set(given)):
        raise LatencyError(f"{missing[0]} is missing among the {what}")


class PacedCard:
    """`Card` around a card that answers as late as the model says."""

    def __init__(self, card: Card, model: LatencyModel, *, sleep: Callable[[float], object] = time.sleep) -> None:
        self._card = card
        self._model = model
        self._sleep = sleep

    @property
    def serial(self) -> str:
        """As `Card.serial`."""
        return self._card.serial

    @property
    def atr(self) -> bytes:
        """As `Card.atr`."""
        return self._card.atr

    @property
    def powered(self) -> bool:
        """As `Card.powered`."""
        return self._card.powered

    @property
    def mute(self) -> bool:
        """As `Card.mute`."""
        return self._card.mute

    @property
    def written_bytes(self) -> int:
        """As `Card.written_bytes`."""
        return self._card.written_bytes

    def power_on(self) -> bytes:
        """As `Card.power_on`."""
        return self._card.power_on()

    def power_off(self) -> None:
        """As `Card.power_off`."""
        self._card.power_off()

    def reset(self) -> bytes:
        """As `Card.reset`."""
        return self._card.reset()

    def transmit(self, apdu: bytes) -> bytes:
        """As `Card.transmit`, after the time it takes."""
        began, written_bytes = time.monotonic(), self._card.written_bytes
        response = self._card.transmit(apdu)
        seconds = self._model.seconds(apdu, response, self._card.written_bytes - written_bytes)
        # What this machine itself took is part of that time.
        self._sleep(max(0.0, seconds - (time.monotonic() - began)))
        return response

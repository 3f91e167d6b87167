"""Everything a process of the centre needs to know, in one frozen value that is handed to it at its start."""

from dataclasses import dataclass
from pathlib import Path

from hsm.settings import TokenSettings


@dataclass(frozen=True, slots=True)
class StationSettings:
    """One station: its name, the feeder's control socket, its reader or direct chip socket, and its printer.

    `trace_directory`: where traces of encodings go (docs/trace-and-replay.md); None, as a rule, where none are wanted.
    """

    name: str
    feeder_socket: Path
    reader: str | None
    chip_socket: Path | None
    printer_uri: str
    trace_directory: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are. `pcsc_socket` is None where the chips are reached directly."""

    database_url: str
    key_store_url: str
    token: TokenSettings
    softhsm_conf: Path | None
    authorities: Path
    lock_directory: Path
    log_file: Path
    source_name: str
    source_url: str
    specimen: bool
    pcsc_socket: Path | None

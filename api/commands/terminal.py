"""How commands write for people: tables that fit, and nothing that came from outside taken as markup or as control."""

import json
import sys
import unicodedata

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_COLUMNS = 160


def console() -> Console:
    """Standard output; piped into a file there is no width to fit, and a cut table would lose the serials."""
    return Console() if sys.stdout.isatty() else Console(width=PIPED_COLUMNS)


def print_json(value: object) -> None:
    """One JSON value on standard output."""
    json.dump(value, sys.stdout, indent=1)
    sys.stdout.write("\n")


def plain(value: object) -> Text:
    """Text as it is: no markup, and control characters (which could drive a terminal) made visible."""
    shown = "" if value is None else str(value)
    return Text("".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) == "Cc" else c for c in shown))


class PlainTable:
    """A table of plain texts; identifiers are folded rather than cut."""

    def __init__(self, *columns: str) -> None:
        self._table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for column in columns:
            self._table.add_column(column, overflow="fold")

    def row(self, *values: object) -> None:
        """One row."""
        self._table.add_row(*(plain(value) for value in values))

    def print(self) -> None:
        """On standard output."""
        console().print(self._table)

"""The station's parts have the shape of their ports: a type checker reads the assignments, the tests read the rest."""

import pickle
from dataclasses import FrozenInstanceError

import pytest

from personalization.station.direct import DirectTerminal
from personalization.station.errors import ChipRefused
from personalization.station.feeder import FeederClient
from personalization.station.pcsc import PcscTerminal
from personalization.station.ports import Command, Feeder, Lost, Printer, Response, Script, ScriptId, Terminal
from personalization.station.printer import IppPrinter

TERMINALS: tuple[type[Terminal], ...] = (DirectTerminal, PcscTerminal)
FEEDER: type[Feeder] = FeederClient
PRINTER: type[Printer] = IppPrinter


def test_scripts_outcomes_and_errors_go_from_process_to_process() -> None:
    script = Script(ScriptId("job-1/a"), 1, (Command(b"\x00\xa4\x00\x00", "test"),))
    lost = Lost(0, "test", "the card is gone", (Response(b"", 0x9000),))
    assert pickle.loads(pickle.dumps((script, lost))) == (script, lost)  # noqa: S301
    refused = pickle.loads(pickle.dumps(ChipRefused("store files", 0x6985)))  # noqa: S301
    assert (refused.purpose, refused.status) == ("store files", 0x6985)
    assert str(refused) == "store files: the chip answered 6985"
    with pytest.raises(FrozenInstanceError):
        script.fence = 2  # type: ignore[misc]

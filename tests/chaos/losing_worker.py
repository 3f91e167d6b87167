"""The whole way of a record, as in `killed_worker`, at a terminal that loses chosen answers, or with a wrong order."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from personalization import assembly
from personalization.flow import Blank, ImagedJob
from personalization.inspection.own import Expected
from personalization.settings import StationSettings
from personalization.stages import inspect
from personalization.stages.inspect import expected_card
from personalization.station.direct import DirectTerminal
from personalization.station.journal import AnswerMissing, ScriptPlayer
from pki.authorities import Authorities
from tests.chaos import killed_worker


class LosingTerminal(DirectTerminal):
    """The chip runs a command, its answer never comes and it loses power.

    `lost` is made when it happens. `exchange`: which one of all (from 1), or, the first `powers` times, which one since
    the power came on.
    """

    def __init__(self, station: StationSettings, lost: Path, *, exchange: int, powers: int | None) -> None:
        assert station.chip_socket is not None
        self._lost = lost
        super().__init__(station.chip_socket)
        self._exchange = exchange
        self._powers = powers
        self._powered_times = 0
        self._exchanges = 0
        self._player = ScriptPlayer(self._transmit_or_lose)

    def power_on(self) -> bytes:
        self._powered_times += 1
        if self._powers is not None:
            self._exchanges = 0
        return super().power_on()

    def _transmit_or_lose(self, apdu: bytes) -> bytes:
        answer = self._transmit(apdu)
        self._exchanges += 1
        if self._exchanges == self._exchange and (self._powers is None or self._powered_times <= self._powers):
            self.release()
            self._lost.touch()
            raise AnswerMissing("the card is gone")
        return answer


def work(plan: Mapping[str, Any]) -> None:
    """Until nothing is left to do.

    `plan["lose"]`: exchange and powers of the terminal. `plan["misjudge"]`: a first card is not what is expected.
    """
    lost = Path(plan["root"]) / "lost"
    with pytest.MonkeyPatch.context() as patch:
        if "lose" in plan:
            patch.setattr(assembly, "open_terminal", lambda station: LosingTerminal(station, lost, **plan["lose"]))
        if plan.get("misjudge"):
            patch.setattr(inspect, "expected_card", _expected_wrongly)
        killed_worker.work(plan)


def _expected_wrongly(imaged: ImagedJob, blank: Blank, authorities: Authorities) -> Expected:
    expected = expected_card(imaged, blank, authorities)
    return dataclasses.replace(expected, portrait_digest=bytes(32)) if imaged.ref.attempt == 1 else expected

"""The web side of the acceptance process: its troubles are told, and it is started again whatever became of it."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from api.http import acceptance_client
from api.http.acceptance_client import AcceptanceClient, PushFailed
from hsm.settings import TokenSettings
from personalization.acceptance_door import AcceptanceAway
from personalization.errors import Halt, StoreUnavailable
from personalization.settings import Settings
from tests.api.http.stand_ins import never_ready, obliging
from tests.personalization.engine.made_up import NOW

NOWHERE = Path("/nonexistent")
SETTINGS = Settings(
    database_url="",
    key_store_url="",
    token=TokenSettings(NOWHERE, "", NOWHERE, NOWHERE),
    softhsm_conf=None,
    authorities=NOWHERE,
    lock_directory=NOWHERE,
    log_file=NOWHERE,
    source_name="",
    source_url="",
    specimen=True,
    pcsc_socket=None,
)


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(bounded())


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptance_client, "RESTART_SECONDS", 0.1)


async def revision(client: AcceptanceClient, asked: str) -> int | None:
    (answer,) = await client.push("padis", [asked.encode()], NOW + timedelta(0))
    return answer.revision if answer else None


async def until_taken(client: AcceptanceClient, asked: str) -> int | None:
    while True:
        try:
            return await revision(client, asked)
        except AcceptanceAway:
            await asyncio.sleep(0.05)


def test_each_caller_gets_its_own_answer() -> None:
    async def work() -> None:
        async with AcceptanceClient(SETTINGS, obliging) as client:
            numbers = list(range(1, 9))
            assert await asyncio.gather(*(revision(client, str(number)) for number in numbers)) == numbers

    run(work())


def test_who_goes_away_leaves_no_answer_to_the_next() -> None:
    async def work() -> None:
        async with AcceptanceClient(SETTINGS, obliging) as client:
            gone = asyncio.create_task(revision(client, "1"))
            await asyncio.sleep(0.01)
            gone.cancel()
            assert await revision(client, "2") == 2

    run(work())


def test_its_troubles_are_told() -> None:
    async def work() -> None:
        async with AcceptanceClient(SETTINGS, obliging) as client:
            for asked, kind in (
                ("store-unavailable", StoreUnavailable),
                ("hsm-unavailable", AcceptanceAway),
                ("halted", Halt),
                ("failed", PushFailed),
            ):
                with pytest.raises(kind):
                    await revision(client, asked)
            assert await revision(client, "3") == 3

    run(work())


@pytest.mark.parametrize("asked", ["die", "hang"])
def test_one_that_dies_or_hangs_is_replaced(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptance_client, "ANSWER_SECONDS", 1.0)

    async def work() -> None:
        async with AcceptanceClient(SETTINGS, obliging) as client:
            waiting = asyncio.gather(revision(client, asked), revision(client, "1"), return_exceptions=True)
            assert [type(each) for each in await waiting] == [AcceptanceAway, AcceptanceAway]
            assert await until_taken(client, "2") == 2

    run(work())


def test_where_there_is_none_nothing_is_taken_and_the_service_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptance_client, "READY_SECONDS", 1.5)

    async def work() -> None:
        async with AcceptanceClient(SETTINGS, never_ready) as client:
            with pytest.raises(AcceptanceAway):
                await revision(client, "1")

    run(work())


def test_not_everybody_can_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptance_client, "MOST_WAITING", 2)

    async def work() -> None:
        async with AcceptanceClient(SETTINGS, obliging) as client:
            waiting = asyncio.gather(*(revision(client, "1") for _ in range(4)), return_exceptions=True)
            assert sorted(str(type(each).__name__) for each in await waiting) == [
                "AcceptanceAway", "AcceptanceAway", "int", "int",
            ]  # fmt: skip

    run(work())

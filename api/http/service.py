"""What the routes work with; the concrete parts are handed in by whoever starts the service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from api.http.assertions import Tokens
from card_profiles.model import CardProfile
from personalization.acceptance import Answer
from personalization.store.database import Database


class AcceptancePort(Protocol):
    """Takes records in."""

    async def push(self, source: str, contents: Sequence[bytes], now: datetime) -> Sequence[Answer | None]:
        """The answers to JSON texts, all taken in one transaction; None: it is not JSON.

        Raises `AcceptanceAway`, `StoreUnavailable`, `Halt`: then none was taken.
        """


@dataclass(frozen=True, slots=True)
class Service:
    """`audiences`: by which names clients' assertions may mean this server; `stopping`: it is about to end."""

    database: Database
    acceptance: AcceptancePort
    tokens: Tokens
    audiences: frozenset[str]
    profile_for: Callable[[str], CardProfile | None]
    clock: Callable[[], datetime]
    stopping: Callable[[], bool]

"""The token's random generator."""

from hsm.session import TokenSession


class TokenRandomness:
    """`hsm.ports.Randomness` over a session."""

    def __init__(self, session: TokenSession) -> None:
        self._session = session

    def random_bytes(self, count: int) -> bytes:
        """Raises `HsmUnavailable`; `ValueError` for a negative count."""
        if count < 0:
            raise ValueError("a negative number of random bytes")
        with self._session.calls() as driver:
            drawn: bytes = driver.generate_random(count * 8) if count else b""
        return drawn

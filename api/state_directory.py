"""What lies where in the state directory of one line, and the lock that keeps two runs out of one state."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from api.failure import CommandFailed


class StateInUse(CommandFailed):
    """Another run works on this state directory."""


class StateOfAnotherKind(CommandFailed):
    """Production and specimen cards never share a state."""


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Paths under one root. `simulated/` is the other side of the wires; everything else is the centre's."""

    root: Path

    @property
    def database_url(self) -> str:
        """The engine's database where no other is named."""
        return f"sqlite:///{self.root / 'engine.sqlite'}"

    @property
    def key_store_url(self) -> str:
        """Wrapped data keys: never backed up with the rest (design, "Secrets")."""
        return f"sqlite:///{self.root / 'data-keys.sqlite'}"

    @property
    def token_directory(self) -> Path:
        """SoftHSM's objects, encrypted by SoftHSM under the token's PIN."""
        return self.root / "token"

    @property
    def softhsm_conf(self) -> Path:
        """SoftHSM's configuration."""
        return self.root / "softhsm2.conf"

    @property
    def pin_file(self) -> Path:
        """The token's user PIN, mode 600: the credential of the line, as a file secret would be in a centre."""
        return self.root / "token.pin"

    @property
    def exchange_key(self) -> Path:
        """Public exchange key (DER SubjectPublicKeyInfo): what the chip maker wraps the card masters for."""
        return self.root / "exchange-key.der"

    @property
    def locks(self) -> Path:
        """Lock files of worker names and of the token."""
        return self.root / "locks"

    @property
    def log_file(self) -> Path:
        """What the workers have to say: codes and places, no data."""
        return self.root / "perso.log"

    def authorities(self, *, specimen: bool) -> Path:
        """Certificates, authorities.json and the evidence of the ceremony."""
        return self.root / "pki" / ("specimen" if specimen else "production")

    @property
    def simulated(self) -> Path:
        """Stores of the simulators."""
        return self.root / "simulated"

    def station(self, number: int) -> Path:
        """Hopper, position and trays of a simulated station, numbered from 1."""
        return self.simulated / f"station-{number}"

    def vault(self, number: int) -> Path:
        """Boxes of blanks that were delivered for a station and are not in its hopper yet."""
        return self.simulated / f"vault-{number}"

    def create(self) -> None:
        """Make what is missing, closed to other users."""
        for directory in (self.root, self.token_directory, self.locks, self.simulated):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def bind(self, *, specimen: bool) -> None:
        """The first run decides for ever whether this state makes production or specimen cards.

        Raises `StateOfAnotherKind`.
        """
        wanted = "specimen" if specimen else "production"
        kind = self.root / "kind"
        if not kind.exists():
            kind.with_suffix(".new").write_text(wanted)
            kind.with_suffix(".new").rename(kind)
        if (bound := kind.read_text()) != wanted:
            raise StateOfAnotherKind(f"{self.root} makes {bound} cards; name another --state for {wanted} cards")

    @property
    def specimen(self) -> bool:
        """What the first run decided; production where none did."""
        kind = self.root / "kind"
        return kind.exists() and kind.read_text() == "specimen"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the state alone. Raises `StateInUse`."""
        descriptor = os.open(self.root / "locks" / "state.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sentence = f"another run works on {self.root}; wait for its end or name another --state"
                raise StateInUse(sentence) from None
            yield
        finally:
            os.close(descriptor)

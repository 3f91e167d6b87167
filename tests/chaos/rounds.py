"""Seeded rounds of trouble: `python -m tests.chaos.rounds --rounds 200 --seed 1` (or `make chaos`).

Each round gives the line a few records, with corrections and withdrawals among them, and does things to it while it
works: torn, slow and failing chips, kill -9, freezing, lost HSM sessions, a restarted or a locked database, a killed
pcscd, a station without power, jammed printers, a source that answers twice, wrongly or not at all. Then the line must
come to rest by itself, and the invariants must hold. Seed and round number decide everything but what the machine's own
timing adds.
"""

import argparse
import copy
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.invariants import check, check_signed
from tests.chaos.shaken_line import PREPARERS, STATIONS, RoundBroken, ShakenLine
from tests.chaos.twice_answering_source import TwiceAnsweringSource
from tests.personalization.engine.postgres import PostgresServer, find_programs, running_server

SAMPLES = Path(__file__).resolve().parents[2] / "simulators" / "records"
KINDS = ("PADIS-2026-0000001", "PADIS-2026-0000002", "PADIS-2026-0000009")
"""A child without fingers, a citizen, a non-citizen."""

CHIP_FAULTS = (
    ("torn-before", ""),
    ("torn-after", ""),
    ("slow", "milliseconds = 50\n"),
    ("status", 'status = "6F00"\n'),
)
LAST_COMMAND = 250
"""About as many commands as a card gets, the judges' among them."""

ROUNDS_PER_LINE = 25
RECORDS = (2, 5)
LONGEST_FREEZE_SECONDS = 2.0
PAST_THE_LEASE_SECONDS = 33.0


@dataclass(frozen=True)
class Round:
    """What happened in one round."""

    number: int
    seconds: float
    acts: tuple[str, ...]
    wrong: tuple[str, ...]


class Rounds:
    """Rounds on one line; its database is SQLite, or the PostgreSQL server that is handed in."""

    def __init__(self, seed: int, root: Path, stack: ExitStack, server: PostgresServer | None, *, direct: bool) -> None:
        self._seed = seed
        self._server = server
        self.source = TwiceAnsweringSource(Random(f"{seed}/source"))
        stack.callback(self.source.close)
        self.line = ShakenLine(
            root, stack, self.source, None if server is None else server.create(f"chaos_{seed}"), direct=direct
        )

    def run(self, number: int) -> Round:
        """One round. Never raises for what the line does."""
        random = Random(f"{self._seed}/{number}")
        self.line.supply()
        self._bring_records(random, number)
        self.source.trouble = random.choice((0, 0, 5, 30))
        chips = self._spoil_chips(random, number)
        acts = [act for _ in range(random.randint(2, 5)) for act in self._act(random)]
        if random.random() < 0.3:
            acts.append((random.uniform(0.0, 2.5), "withdraw", partial(self._withdraw, random, number)))
        started = time.monotonic()
        told = (*chips, *(f"{at:.2f} s {name}" for at, name, _ in sorted(acts, key=lambda act: act[0])))
        try:
            self.line.work([(at, do) for at, _, do in acts])
            wrong = check(
                self.line.database,
                self.line.state,
                {record["record_id"] for record in self.source.records},
                set(self.source.cancelled),
            )
        except RoundBroken as broken:
            wrong = [str(broken)]
        return Round(number, time.monotonic() - started, told, tuple(wrong))

    def end(self) -> tuple[str, ...]:
        """End the line orderly; what is wrong then."""
        self.line.end()
        return tuple(check_signed(self.line.database, self.line.state))

    def bring(self, count: int) -> None:
        """So many records that nothing is wrong with, apart from all rounds."""
        self.source.records += [_record(KINDS[place % len(KINDS)], self._seed, 99_999, place) for place in range(count)]

    def _bring_records(self, random: Random, number: int) -> None:
        for place in range(random.randint(*RECORDS)):
            record = _record(random.choice(KINDS), self._seed, number, place)
            self.source.records.append(record)
            if random.random() < 0.2:
                corrected = copy.deepcopy(record) | {"revision": 2}
                self.source.records.append(corrected)

    def _spoil_chips(self, random: Random, number: int) -> list[str]:
        """Faults for some of the next cards, anywhere from the first contact to the inspection by OpenSC."""
        faults, told = [], []
        for station in STATIONS:
            if random.random() < 0.4:
                card, apdu = self.line.next_card(station) + random.randint(0, 1), random.randint(1, LAST_COMMAND)
                kind, more = random.choice(CHIP_FAULTS)
                faults.append(f'[round-{number}-{station}]\nfault = "{kind}"\ncard = {card}\napdu = {apdu}\n{more}')
                told.append(f"card {card} {kind} at {apdu}")
        self.line.spoil_chips("\n".join(faults))
        return told

    def _withdraw(self, random: Random, number: int) -> None:
        self.source.cancelled.append(_record_id(self._seed, number, random.randrange(RECORDS[0])))

    def _act(self, random: Random) -> Iterator[tuple[float, str, Callable[[], None]]]:
        at = random.uniform(0.0, 3.0)
        worker = random.choice(self.line.workers)
        station = random.choice(STATIONS)
        line = self.line
        kinds: list[Callable[[], Iterator[tuple[float, str, Callable[[], None]]]]] = [
            lambda: iter([(at, f"kill {worker}", partial(line.signal, worker, signal.SIGKILL))]),
            lambda: self._freeze(random, at, worker),
            lambda: iter([(at, f"{worker} loses its HSM session", partial(line.signal, worker, signal.SIGUSR1))]),
            lambda: iter([(at, f"jam printer {station}", partial(line.jam_printer, station))]),
            lambda: iter([(at, f"power off station {station}", partial(line.kill_station_machine, station))]),
            lambda: iter([(at, "trouble the database", partial(self._trouble_database, random))]),
        ]
        if line.has_pcsc:
            kinds.append(lambda: iter([(at, "kill pcscd", line.kill_pcscd)]))
        return random.choice(kinds)()

    def _freeze(self, random: Random, at: float, worker: str) -> Iterator[tuple[float, str, Callable[[], None]]]:
        past_the_lease = worker in PREPARERS and random.random() < 0.05
        seconds = PAST_THE_LEASE_SECONDS if past_the_lease else random.uniform(0.1, LONGEST_FREEZE_SECONDS)
        yield at, f"freeze {worker} for {seconds:.1f} s", partial(self.line.signal, worker, signal.SIGSTOP)
        yield at + seconds, f"thaw {worker}", partial(self.line.signal, worker, signal.SIGCONT)

    def _trouble_database(self, random: Random) -> None:
        if self._server is not None:
            self._server.stop(random.choice((signal.SIGINT, signal.SIGQUIT)))
            time.sleep(random.uniform(0.0, 1.0))
            self._server.start()
            return
        with self.line.database.begin():
            time.sleep(random.uniform(0.2, 1.5))


def _record_id(seed: int, number: int, place: int) -> str:
    return f"PADIS-{2000 + seed % 1000}-{number * 10 + place + 1:07d}"


def _record(kind: str, seed: int, number: int, place: int) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads((SAMPLES / f"{kind}.json").read_text())
    return sample | {"record_id": _record_id(seed, number, place)}


@contextmanager
def rounds_on(seed: int, *, postgres: bool, direct: bool) -> Iterator[Rounds]:
    """A fresh line for the rounds of one seed; nothing of it is left."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perso-chaos-")))
        server = None
        if postgres:
            programs = find_programs()
            if programs is None:
                raise RoundBroken("PostgreSQL's programs are not installed")
            server = stack.enter_context(running_server(programs))
        yield Rounds(seed, root / "state", stack, server, direct=direct)


def main() -> int:
    """Rounds until one is broken; 0 when none was."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.rounds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the first line; each line of rounds takes the next one")
    parser.add_argument("--only", choices=("sqlite", "postgres"), help="else they take turns")
    parser.add_argument("--direct", action="store_true", help="without PC/SC")
    options = parser.parse_args()
    done, seed, begun = 0, options.seed, time.monotonic()
    while done < options.rounds:
        postgres = options.only == "postgres" or (options.only is None and seed % 2 == 0)
        with rounds_on(seed, postgres=postgres, direct=options.direct) as rounds:
            for number in range(min(ROUNDS_PER_LINE, options.rounds - done)):
                result = rounds.run(number)
                done += 1
                how = "PostgreSQL" if postgres else "SQLite"
                sys.stdout.write(
                    f"{done:4d}  seed {seed}/{number}  {how}  {result.seconds:5.1f} s  {'; '.join(result.acts)}\n"
                )
                sys.stdout.flush()
                if result.wrong:
                    sys.stdout.write("BROKEN: " + "\n        ".join(result.wrong) + "\n")
                    sys.stdout.write(rounds.line.state.log_file.read_text()[-6000:])
                    return 1
            if wrong := rounds.end():
                sys.stdout.write(f"BROKEN at its end, seed {seed}: {wrong}\n")
                return 1
        seed += 1
    sys.stdout.write(f"{done} rounds in a row without a broken one, {(time.monotonic() - begun) / done:.1f} s each\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`bench prepare`: accepted jobs to signed images, beside a raw loop of the same PKCS#11 calls."""

import inspect
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from api.bench.accept import accepting
from api.bench.engine_work import add_waiting, prepare, raw_loop
from api.bench.figure import WARM_UP_CARDS, BenchOptions, Figure, Measured, Turns, milliseconds, per_second
from api.bench.records import Numbers, take_in
from api.bench.workbench import Saying, Spent, Worker, bench_line, peak_memory_bytes, worker
from personalization.settings import Settings
from personalization.store.database import create_key_store, upgrade

FEW, MANY = 1_000, 50_000
SIDE_ROUNDS = 5
"""Rounds of what is told beside the main figure."""
QUICK_FEW, QUICK_MANY, QUICK_SIDE_ROUNDS = 100, 5_000, 1


def run(options: BenchOptions, say: Saying) -> Figure:
    """Measure all of it. Raises `CommandFailed`."""
    from hsm import raw_loop as printed

    numbers = Numbers()
    with bench_line(say) as (_, settings), ExitStack() as stack:
        clerk, first, second = (stack.enter_context(worker(name, settings)) for name in ("clerk", "first", "second"))
        supply = _Supply(clerk, options.records, numbers)
        for each in (first, second):
            supply(WARM_UP_CARDS)
            each.run(prepare, WARM_UP_CARDS)
            each.run(raw_loop, WARM_UP_CARDS)
        say(f"{options.rounds} rounds of {options.cards} cards, in turns with the raw loop")
        turns = _in_turns(first, supply, options.cards, options.rounds)
        memory = first.run(peak_memory_bytes)
        say("two processes beside one")
        growth = _two_processes(first, second, supply, options)
        say("few and many jobs waiting")
        flat = _flatness(settings, options, numbers, stack)
        say("accepting records")
        accept = clerk.run(accepting, options.records, numbers, options.cards, _side_rounds(options))
    return Figure(
        name="prepare",
        value=per_second(turns.ours),
        unit="cards/s",
        reference=Measured("raw loop of the same PKCS#11 calls", per_second(turns.reference), "cards/s"),
        ratio=turns.wall_ratio,
        details={
            **turns.to_json(),
            "cards_a_round": options.cards,
            "rounds": options.rounds,
            "worker_peak_mb": round(memory / 1e6, 1),
            "two_processes": growth,
            "waiting": flat,
            "accept": accept,
            "raw_loop": inspect.getsource(printed.raw_cards).splitlines(),
        },
    )


class _Supply:
    """Records taken in as they are needed."""

    def __init__(self, clerk: Worker, folder: Path, numbers: Numbers) -> None:
        self._clerk, self._folder, self._numbers = clerk, folder, numbers

    def __call__(self, count: int) -> None:
        self._clerk.run(take_in, self._folder, self._numbers.take(count), count)


def _in_turns(first: Worker, supply: _Supply, cards: int, rounds: int) -> Turns:
    ours, reference = [], []
    for turn in range(rounds):
        supply(cards)
        if turn % 2:  # neither side is always the one that finds the machine warm
            reference.append(first.run(raw_loop, cards))
        ours.append(first.run(prepare, cards))
        if not turn % 2:
            reference.append(first.run(raw_loop, cards))
    return Turns(tuple(ours), tuple(reference))


def _side_rounds(options: BenchOptions) -> int:
    return QUICK_SIDE_ROUNDS if options.quick else SIDE_ROUNDS


def _two_processes(first: Worker, second: Worker, supply: _Supply, options: BenchOptions) -> dict[str, object]:
    """CPU a card of two processes on one database over that of one; the raw loop's, for two cores may be one."""
    growth, raw_growth, alone_ms, pair_ms = [], [], [], []
    cards = options.cards
    for _ in range(_side_rounds(options)):
        supply(3 * cards)
        alone: Spent = first.run(prepare, cards)
        pair = _both(first, second, "prepare", cards)
        raw_alone: Spent = first.run(raw_loop, cards)
        raw_pair = _both(first, second, "raw", cards)
        growth.append(pair / alone.cpu_each - 1)
        raw_growth.append(raw_pair / raw_alone.cpu_each - 1)
        alone_ms.append(alone.cpu_each)
        pair_ms.append(pair)
    return {
        "cpu_growth": round(median(growth), 4),
        "raw_loop_cpu_growth": round(median(raw_growth), 4),
        "cpu_ms_one": milliseconds(alone_ms),
        "cpu_ms_two": milliseconds(pair_ms),
    }


def _both(first: Worker, second: Worker, what: str, cards: int) -> float:
    """CPU seconds a card while both work at once."""
    work = {"prepare": prepare, "raw": raw_loop}[what]
    for each in (first, second):
        each.start(work, cards)
    spent: list[Spent] = [first.result(), second.result()]
    return sum(each.cpu_seconds for each in spent) / sum(each.count for each in spent)


def _flatness(settings: Settings, options: BenchOptions, numbers: Numbers, stack: ExitStack) -> dict[str, object]:
    """CPU a card on two databases that differ in how many jobs wait behind the measured ones, in turns."""
    counts = (QUICK_FEW, QUICK_MANY) if options.quick else (FEW, MANY)
    workers = []
    for count in counts:
        apart = _another_database(settings, f"waiting-{count}")
        each = stack.enter_context(worker(f"waiting-{count}", apart))
        each.run(add_waiting, 1, count)
        workers.append(each)
    spent: list[list[Spent]] = [[], []]
    for turn in range(1 + _side_rounds(options)):
        for each, kept in zip(workers, spent, strict=True):
            each.run(take_in, options.records, numbers.take(options.cards), options.cards)
            measured = each.run(prepare, options.cards)
            if turn:  # the first fills the caches
                kept.append(measured)
    few, many = ([each.cpu_each for each in side] for side in spent)
    return {
        "jobs": list(counts),
        "cpu_growth": round(median(m / f for f, m in zip(few, many, strict=True)) - 1, 4),
        "cpu_ms_few": milliseconds(few),
        "cpu_ms_many": milliseconds(many),
    }


def _another_database(settings: Settings, name: str) -> Settings:
    root = settings.lock_directory.parent
    apart = replace(
        settings, database_url=f"sqlite:///{root / name}.sqlite", key_store_url=f"sqlite:///{root / name}-keys.sqlite"
    )
    upgrade(apart.database_url)
    create_key_store(apart.key_store_url)
    return apart

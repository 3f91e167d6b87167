"""`perso bench prepare|issue|encode|inspect|end-to-end|all`: one figure each, beside a reference of the same run."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from api.bench.figure import BenchOptions, Figure
from api.bench.page import page
from api.bench.workbench import Saying
from api.commands.terminal import console, plain
from api.failure import CommandFailed
from personalization.preparing import BATCH_JOBS

RECORDS = Path(__file__).resolve().parents[2] / "simulators" / "records"


@dataclass(frozen=True, slots=True)
class _Benchmark:
    """A benchmark and how much of it is measured where nothing is said; cards and rounds, whole and quick."""

    module: str
    """Loaded late: numpy and decoders are nothing that every command should wait for."""
    summary: str
    whole: tuple[int, int]
    quick: tuple[int, int]
    cards_of_a_batch: int = 1


BENCHMARKS: Mapping[str, _Benchmark] = {
    "prepare": _Benchmark(
        "api.bench.prepare",
        "accepted jobs to signed images, beside a raw loop of the same PKCS#11 calls",
        (BATCH_JOBS, 10),
        (BATCH_JOBS, 3),
        BATCH_JOBS,
    ),
    "issue": _Benchmark(
        "api.bench.issue", "certificates, beside the HSM's signatures alone", (BATCH_JOBS, 10), (20, 3)
    ),
    "encode": _Benchmark(
        "api.bench.encode", "bytes on the line and exchanges, beside the card's content", (20, 1), (6, 1)
    ),
    "inspect": _Benchmark("api.bench.inspect", "own inspection, beside reading the same bytes", (20, 1), (5, 1)),
    "end-to-end": _Benchmark("api.bench.end_to_end", "`perso run`, beside a station's bare loop", (40, 1), (4, 1)),
}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("bench", help="measure: every figure beside a reference of the same run")
    group = parser.add_subparsers(required=True, metavar="WHAT")
    for name, benchmark in BENCHMARKS.items():
        one = group.add_parser(name, help=benchmark.summary)
        one.add_argument("--cards", type=_positive, metavar="N", help=_default("cards a round", benchmark, 0))
        one.add_argument("--rounds", type=_positive, metavar="N", help=_default("rounds in turns", benchmark, 1))
        _add_common(one)
        one.set_defaults(command=_run_one, benchmark=name)
    every = group.add_parser("all", help="all of them, one JSON object a line with --json")
    every.add_argument("--page", type=Path, metavar="FILE.html", help="write a page with charts")
    _add_common(every)
    every.set_defaults(command=_run_all, cards=None, rounds=None)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=Path, default=RECORDS, metavar="DIR", help="records to multiply (*.json)")
    parser.add_argument("--quick", action="store_true", help="little of everything: shows that it works")
    parser.add_argument("--json", action="store_true", help="one JSON object on one line of standard output")


def _default(what: str, benchmark: _Benchmark, index: int) -> str:
    return f"{what} (default {benchmark.whole[index]}, with --quick {benchmark.quick[index]})"


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError("a number from 1 to 10000")
    return int(text)


def _run_one(options: argparse.Namespace) -> int:
    """Measure one thing. Raises `CommandFailed`."""
    _print(_measure(options.benchmark, options), as_json=options.json)
    return 0


def _run_all(options: argparse.Namespace) -> int:
    """Measure everything; each figure is printed as soon as it is there. Raises `CommandFailed`."""
    figures = []
    for name in BENCHMARKS:
        figures.append(_measure(name, options))
        _print(figures[-1], as_json=options.json)
    if options.page is not None:
        options.page.parent.mkdir(parents=True, exist_ok=True)
        options.page.write_text(page(figures), encoding="utf-8")
    return 0


def _measure(name: str, options: argparse.Namespace) -> Figure:
    if not options.records.is_dir():
        raise CommandFailed(f"--records: {options.records} is not a folder")
    benchmark = BENCHMARKS[name]
    cards, rounds = benchmark.quick if options.quick else benchmark.whole
    cards = options.cards or cards
    if cards % benchmark.cards_of_a_batch:
        raise CommandFailed(f"--cards: {name} measures whole batches of {benchmark.cards_of_a_batch}")
    wanted = BenchOptions(options.records.resolve(), cards, options.rounds or rounds, options.quick)
    run: Callable[[BenchOptions, Saying], Figure] = import_module(benchmark.module).run
    return run(wanted, lambda sentence: _say(f"{name}: {sentence}"))


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def _print(figure: Figure, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(figure.to_json(), ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return
    reference = figure.reference
    output = console()
    output.print(plain(f"{figure.name}: {figure.value:.1f} {figure.unit}"))
    output.print(plain(f"  beside {reference.value:.1f} {reference.unit} ({reference.name}): ratio {figure.ratio:.3f}"))
    for name, value in figure.details.items():
        if not isinstance(value, list):
            output.print(plain(f"  {name}: {value}"), soft_wrap=True)

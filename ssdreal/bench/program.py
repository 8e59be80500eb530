"""Measure real decoding on this machine beside transformers, and beside ssdsim's prediction of it.

`python -m ssdreal.bench` runs everything alternating on the same prompts and cores, and prints:
what a core can stream and what the target's pass streams; tokens/s of AR, SD and SSD, each at its
best settings, of the target on both cores, and of transformers; the share of a round outside model
passes; and ssdsim's prediction from service times and acceptance that are measured in the same run.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from ssdreal.bench.arguments import RANGES, SIZES, parser
from ssdreal.bench.contenders import Contest
from ssdreal.bench.helper_process import Helper
from ssdreal.bench.measurements import BenchRuns
from ssdreal.bench.memory_bandwidth import BYTES, Ceiling, ceiling
from ssdreal.bench.predictions import Forecast
from ssdreal.bench.results import Results, collect, unfinished
from ssdreal.bench.tables import tables
from ssdreal.bench.transformers_peer import weight_bytes
from ssdreal.command.arguments import check_ranges, option, sized
from ssdreal.command.journal import NAME, Journal, digest, journal, plain
from ssdreal.executor.pair import Pair, read_pair
from ssdreal.executor.prompt_files import read_prompts, tokenized
from ssdreal.executor.setup import Setup
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import describe
from ssdreal.places.places import cautions
from ssdreal.places.topology import Cpu
from ssdreal.profile.calibration_runs import DECODINGS, CalibrationRuns
from ssdsim.command.console import ending, say, speak_as, table_console
from ssdsim.errors import ConfigError, require
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.system.atomic_files import write_text
from ssdsim.system.destination import file, taken
from ssdsim.workloads.closed import Closed

CALIBRATION_PROMPTS = 3
DRAFTS = 16
SEED = 0


@dataclass(frozen=True)
class Plan:
    """What the command line asks for."""

    pair: str
    dtype: str
    prompts: int
    tokens: int
    repeats: int
    few: int
    few_tokens: int
    decodings: tuple[str, ...]
    quick: bool
    out: Path | None
    resume: bool

    def made_with(self, tasks: list[Task], cores: Sequence[int]) -> dict[str, Any]:
        """Return the options that decide what is measured; another way of decoding may follow."""
        names = ("pair", "dtype", "prompts", "tokens", "repeats", "few", "few_tokens", "quick")
        options = {option(name): getattr(self, name) for name in names}
        texts = digest([task.tokens for task in tasks])
        return {**options, "texts": texts, "cores": list(cores)}


def plan(arguments: list[str] | None = None) -> Plan:
    """Read the command line."""
    given = check_ranges(sized(parser().parse_args(arguments), SIZES), RANGES)
    if given.resume and given.out is None:
        raise ConfigError("--resume: needs --out, the file of the bench to go on with")
    return Plan(
        given.pair,
        given.dtype,
        given.prompts,
        given.tokens,
        given.repeats,
        min(given.few, given.prompts),
        min(given.few_tokens, given.tokens),
        tuple(DECODINGS) if given.sampled else ("greedy",),
        given.quick,
        None if given.out is None else file("--out", given.out),
        given.resume,
    )


@dataclass
class Numbers:
    """What a bench has found so far, in a file if one was asked for.

    Every way of decoding says there whether it is `complete`.
    """

    asked: Plan
    found: list[dict[str, Any]] = field(default_factory=list)

    def add(self, results: Results) -> None:
        """Write down a way of decoding that has come to its end."""
        self.found.append({**results.plain(), "complete": True})
        self._write(self.found)

    def keep(self, bench_runs: BenchRuns) -> None:
        """Write down one that has not."""
        decoding = self.asked.decodings[len(self.found)]
        self._write([*self.found, unfinished(bench_runs, decoding)])

    def _write(self, found: list[dict[str, Any]]) -> None:
        coming = self.asked.decodings[len(found) :]
        left = [{"decoding": name, "complete": False} for name in coming]
        if self.asked.out:
            write_text(self.asked.out, json.dumps([*found, *left], indent=1) + "\n")


def measure(
    asked: Plan, console: Console, folder: Path, keep: Callable[[BenchRuns], None] = lambda _: None
) -> Iterator[Results]:
    """Measure everything; yield the results of one way of decoding after the other.

    Every measurement goes into `folder`, until all are made; `keep` is told of every result as it
    comes.
    """
    pair, cpu = read_pair(asked.pair), Cpu()
    for caution in cautions(cpu.cores):
        say(caution)
    tasks = _tasks(pair, asked.prompts + CALIBRATION_PROMPTS, asked.tokens)
    kept = journal(folder / NAME, asked.made_with(tasks, cpu.cores), resume=asked.resume)
    _say(console, "what a core can stream")
    reads = (BYTES // 16, 0.1) if asked.quick else ()
    found = kept.once("ceiling", plain(Ceiling), lambda: ceiling(cpu.cores, *reads))
    with ExitStack() as exits:
        sitting = exits.enter_context(closing(Sitting(pair, asked.dtype)))
        helper = exits.enter_context(Helper(cpu.cores[:1]))
        size = helper.call(weight_bytes, pair.target, asked.dtype)
        for name in asked.decodings:
            bench_runs = _course(asked, sitting, helper, tasks, name, console, kept)
            bench_runs.keep = keep
            yield _results(bench_runs, asked, name, found, size)
    kept.discard()


def _results(bench_runs: BenchRuns, asked: Plan, name: str, found: Ceiling, size: int) -> Results:
    bench_runs.choose()
    if name == "greedy":
        bench_runs.choose_peers(read_pair(asked.pair), asked.dtype)
    bench_runs.alternate(asked.repeats)
    bench_runs.probe()
    bench_runs.say("recording, and simulating")
    with TemporaryDirectory(prefix="ssdreal-bench-") as folder:
        return collect(bench_runs, Forecast(bench_runs, SEED, Path(folder)), name, found, size)


def _course(
    asked: Plan,
    sitting: Sitting,
    helper: Helper,
    tasks: list[Task],
    name: str,
    console: Console,
    kept: Journal,
) -> BenchRuns:
    contest = Contest(sitting, tasks[: asked.prompts])
    return BenchRuns(
        contest=contest,
        calibration=_tour(asked, sitting, tasks[asked.prompts :]),
        few=contest.first(asked.few),
        base=Setup(
            Autoregressive(),
            workload=Closed(asked.prompts, output_tokens=asked.tokens),
            decoding=DECODINGS[name],
            seed=SEED,
        ),
        few_tokens=asked.few_tokens,
        helper=helper,
        say=lambda text: _say(console, f"{name}: {text}"),
        kept=kept,
        name=name,
        quick=asked.quick,
    )


def _tour(asked: Plan, sitting: Sitting, tasks: list[Task]) -> CalibrationRuns:
    """Return calibration runs over these prompts, and over all of them as a single long one."""
    text = [token for task in tasks for token in task.tokens]
    room = _room(sitting.pair, asked.few_tokens)
    return CalibrationRuns(
        sitting, Cpu(), tasks, [Task("long", "long", text[:room])], asked.few_tokens
    )


def _room(pair: Pair, tokens: int) -> int:
    """Return the most tokens of a prompt that leave room for so many, and drafts behind them."""
    return describe(pair.target).context - tokens - DRAFTS


def _tasks(pair: Pair, count: int, tokens: int) -> list[Task]:
    """Return the first prompts that leave room for so many tokens."""
    room = _room(pair, tokens)
    fitting = [
        task for task in tokenized(read_prompts(None), pair.target) if len(task.tokens) <= room
    ]
    require(count <= len(fitting), "prompts", count, f"{len(fitting)} of the project's own fit")
    return fitting[:count]


def _say(console: Console, text: str) -> None:
    console.print(f"[dim]{text} ...[/dim]", highlight=False)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write down."""
    speak_as("ssdreal.bench")
    with ending("interrupted; with a file of --out, --resume goes on from what is measured"):
        _run(plan(arguments), table_console(110))


def _run(asked: Plan, console: Console) -> None:
    with _folder(asked.out) as folder:
        _measure(asked, folder, console)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Say where measurements are kept: beside the file of results, or for this once."""
    if out is None:
        with TemporaryDirectory(prefix="ssdreal-bench-") as folder:
            yield Path(folder)
        return
    beside = out.with_name(f"{out.name}.kept")
    with taken("--out", beside):  # better an error now than after ten minutes
        yield beside


def _measure(asked: Plan, folder: Path, console: Console) -> None:
    numbers = Numbers(asked)
    for results in measure(asked, Console(stderr=True), folder, numbers.keep):
        numbers.add(results)
        for table in tables(results):
            console.print(table)
            console.print()
        if asked.out:
            console.print(f"all numbers: {asked.out}")

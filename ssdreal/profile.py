"""Measure this machine and a pair of models, so that ssdsim can predict them.

`python -m ssdreal.profile` makes calibration runs in random order, lets the target speak at several
temperatures, lets both models read what it said, and writes `traces/NAME/`: every timing, the
acceptance trace, and a profile that `python -m ssdsim profile=NAME` takes. With `--split 0.5 0.6`
there is one for each way to share one GPU's multiprocessors out: NAME_split50, NAME_split60.
"""

import argparse
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from numpy.random import default_rng
from rich.console import Console

from ssdreal.config import Pair, read_pair
from ssdreal.help import PAIRS
from ssdreal.models.catalog import describe
from ssdreal.models.tokenizers import encode_prompt
from ssdreal.profiling.split import Fitted, read_split
from ssdreal.profiling.texts import Speaker, Told, decodings, read_by_both, shortened
from ssdreal.profiling.visits import Tour, joined
from ssdreal.setup import CHUNK
from ssdreal.sitting import Sitting
from ssdreal.topology import Topology, topology
from ssdreal.workload import Prompt, Task
from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.trace_file import write_trace
from ssdsim.calibration.fit import Calibration
from ssdsim.calibration.plan import plan, shuffled
from ssdsim.calibration.profile_file import TIMINGS, write_profile
from ssdsim.calibration.timings import Timing, to_table
from ssdsim.console import ending, progress, speak_as
from ssdsim.errors import require
from ssdsim.plugins import TRACES
from ssdsim.results import describe as described
from ssdsim.results import provenance
from ssdsim.workload import Workload

SEED = 0
LONG = 1800
"""Characters of a long prompt: some 450 tokens."""


@dataclass(frozen=True)
class Order:
    """What the command line asks for.

    Attributes
    ----------
    split
        What is fitted to.
    share
        Of one GPU's multiprocessors for the target; None: they are not split.

    """

    name: str
    pair: str
    dtype: str
    topology: str
    repeats: int
    tokens: int
    visit_tokens: int
    prompts: str | None
    split: Fitted
    share: float | None = None

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return TRACES / self.name

    @property
    def models(self) -> Pair:
        """Both models."""
        return read_pair(self.pair)

    def shared(self, share: float) -> "Order":
        """Return the order of a profile of its own, on a GPU that is split so."""
        return replace(self, name=f"{self.name}_split{100 * share:.0f}", share=share)

    def where(self) -> Topology:
        """Return where the models run; `ConfigError` if this machine cannot."""
        return topology(self.topology, self.share)

    def shares_devices(self) -> bool:
        """Whether a draft of its own is on the target's devices."""
        return len(self.where().places("own").devices("own")) == 1


def orders(arguments: list[str] | None = None) -> list[Order]:
    """Read the command line: an order, or one for each way to split a GPU."""
    parser = argparse.ArgumentParser(
        prog="python -m ssdreal.profile", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--name", default="this_machine", help="of the profile")
    parser.add_argument("--pair", choices=PAIRS, default="smollm2")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--topology", default="auto", help="cpu, one_gpu, two_gpus")
    parser.add_argument(
        "--split", type=float, nargs="+", help="shares of one GPU for the target, a profile each"
    )
    parser.add_argument("--repeats", type=int, default=3, help="of every calibration run")
    parser.add_argument("--tokens", type=int, default=48, help="of every text")
    parser.add_argument("--visit-tokens", type=int, default=32, help="of a calibration run's texts")
    parser.add_argument("--prompts", help="a file of prompts instead of the project's own")
    parser.add_argument("--quick", action="store_true", help="a look, in about a minute")
    given = parser.parse_args(arguments)
    split = read_split().fit
    if given.quick:
        given.repeats, given.tokens, given.visit_tokens = 1, 16, 16
        split = split.quick()
    for name in ("repeats", "tokens", "visit_tokens"):
        value = getattr(given, name)
        require(value >= 1, f"--{name.replace('_', '-')}", value, "needs a number >= 1")
    fine = given.name.isidentifier()
    require(fine, "--name", given.name, "needs letters, digits and underscores")
    names = ("name", "pair", "dtype", "topology", "repeats", "tokens", "visit_tokens", "prompts")
    asked = Order(**{name: getattr(given, name) for name in names}, split=split)
    if given.split is None:
        return [asked]
    found = {one.name: one for one in map(asked.shared, given.split)}
    require(len(found) == len(given.split), "--split", given.split, "needs percentages that differ")
    return list(found.values())


def measure(asked: Sequence[Order], console: Console) -> None:
    """Measure everything, and write it down.

    Parameters
    ----------
    asked
        Orders that differ in name and share alone: they have the texts and what both models make
        of them in common.
    console
        Where to say how far it is.

    Raises
    ------
    ConfigError
        Something that was asked for cannot be.
    RunError
        A worker was lost.

    """
    first, wheres = asked[0], [one.where() for one in asked]
    prompts = first.split.read(first.prompts)
    short, long = _tasks(first, prompts), _tasks(first, joined(prompts, LONG))
    pieces = []
    with closing(Sitting(first.models, first.dtype)) as sitting:
        for one, where in zip(asked, wheres, strict=True):
            one.folder.mkdir(parents=True, exist_ok=True)
            pieces.append(
                _visited(one, Tour(sitting, where, short, long or short, one.visit_tokens))
            )
        told = _told(first, sitting, wheres[0], short)
    _say(console, "both models read the texts")
    names = (first.models.target, first.models.draft, first.dtype)
    rows = [shortened(row) for row in read_by_both(names, told, first.split.saguaro)]
    for one, found in zip(asked, pieces, strict=True):
        _write(one, short, found, rows)


def _visited(asked: Order, tour: Tour) -> list[Timing]:
    found: list[Timing] = []
    fit = asked.split
    visits = plan(fit.lookaheads, fit.branches, fit.batch, spread=tour.spreads)
    rounds = shuffled(visits, asked.repeats, default_rng(SEED))
    with progress(shown=True) as bar:
        task = bar.add_task(f"calibration runs of {asked.name}", total=len(rounds))
        for number, visit in enumerate(rounds):
            found += tour.pieces(visit, number)
            pq.write_table(to_table(found), asked.folder / TIMINGS, compression="zstd")
            bar.advance(task)
    return found


def _told(asked: Order, sitting: Sitting, where: Topology, tasks: Sequence[Task]) -> list[Told]:
    speaker = Speaker(sitting, where, tasks, asked.tokens, SEED)
    ways = list(decodings(asked.split.temperatures))
    with progress(shown=True) as bar:
        return [speaker.told(way) for way in bar.track(ways, description="the target speaks")]


def _write(
    asked: Order, tasks: Sequence[Task], pieces: Sequence[Timing], rows: list[dict[str, Any]]
) -> None:
    made = {
        "pair": asked.pair,
        "dtype": asked.dtype,
        "split": asked.share,
        "padding": CHUNK,
        "shared": asked.shares_devices(),
    }
    write_trace(
        asked.folder,
        rows,
        grid=asked.split.saguaro,
        vocabulary=describe(asked.models.target).vocabulary,
        prompts={task.name: task.tokens for task in tasks},
        info={**provenance(), **made},
    )
    sections = {
        "pair": asked.pair,
        "acceptance": described(Recorded(".")),
        "workload": described(Workload(len(tasks), 0, asked.tokens)),
    }
    calibration = Calibration(pieces, CHUNK, asked.shares_devices())
    write_profile(asked.folder, calibration, sections, _notes(asked))


def _notes(asked: Order) -> list[str]:
    made = provenance()
    machine = made["machine"]
    return [
        f"Measured by python -m ssdreal.profile on {made['created_at'][:10]}: pair={asked.pair},",
        f"{asked.dtype}, topology={asked.topology}, split={asked.share or 'null'};",
        f"{machine['model']}, {machine['cores']} cores.",
        "Tables hold medians in seconds of a model that works alone, as fitted to all runs at once",
        "(ssdsim/calibration); every single timing is in timings.parquet.",
    ]


def _tasks(asked: Order, prompts: Sequence[Prompt]) -> list[Task]:
    """Return the prompts that leave room for their texts, as tokens."""
    room = describe(asked.models.target).context - max(asked.tokens, asked.visit_tokens) - 32
    tasks = [Task(p.name, p.kind, encode_prompt(asked.models.target, p.text)) for p in prompts]
    return [task for task in tasks if len(task.tokens) <= room]


def _say(console: Console, text: str) -> None:
    console.print(f"[dim]{text} ...[/dim]", highlight=False)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and say where it is."""
    speak_as("ssdreal.profile")
    with ending(f"interrupted; the timings so far are in traces/NAME/{TIMINGS}"):
        asked = orders(arguments)
        measure(asked, Console(stderr=True))
        for name in (one.name for one in asked):
            print(f"written to traces/{name}; python -m ssdsim profile={name} simulates it")


if __name__ == "__main__":
    main()

"""The list of the check's parts and their commands, by calls, the most informative first."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ssdreal.command.config import register
from ssdreal.gpu_check.compiles import decoding_runs, profile_runs, shapes
from ssdreal.gpu_check.subjects import TINY, Subject
from ssdreal.gpu_check.timetable import Call, Part, Shape
from ssdsim.system.package_data import ROOT

TESTS = ROOT / "tests" / "real" / "executor" / "test_on_gpu.py"
"""In a checkout alone."""

SHARDING = TESTS.parents[1] / "sharding"
"""Tests of a sharded target's ranks, which are processes on cores."""

SHARDED = {
    "tp2": ("batch=2",),
    "tp2_gumbel": ("batch=2", "temperature=1", "coupling=gumbel"),
    "tp2_maximal": ("batch=2", "temperature=1"),
    "tp2_eager": ("batch=2", "passes=eager"),
}
"""Ways to decode with a sharded target: what crosses devices differs."""

UNFUSED = {"TORCH_COMPILE_DISABLE": "1"}
"""Environment of what asks whether passes are right, not how fast: nothing is compiled."""

SPEAKING = "method.exit=0.5", "method.second=exit_target"
"""A target that speaks in mid-verify, between two captured passes."""

EVERY = "autoregressive", "speculative", "ssd"


@dataclass(frozen=True)
class Wanted:
    """What to check.

    Attributes
    ----------
    folder
        Where everything goes.
    topology
        Where the models run. On the host there are no graphs and nothing is split.
    scripted, real
        Pairs of true sizes without weights, and one that has them.
    split
        Share of the GPU that the target gets, to be compared with none.
    prompts, tokens
        Of every run.
    dtype
        Of the models.
    quick
        Whether profiles are a look only.

    """

    folder: Path
    topology: str = "one_gpu"
    scripted: tuple[Subject, ...] = (Subject("llama31_8b_1b"), Subject("qwen3_32b_0.6b"))
    real: Subject = Subject("smollm2")
    split: float | None = 0.75
    prompts: int = 4
    tokens: int = 64
    dtype: str = "bfloat16"
    quick: bool = False

    @property
    def device(self) -> str:
        """The target's, as torch names it."""
        return "cpu" if self.topology == "cpu" else "cuda:0"


def calls(wanted: Wanted) -> list[Call]:
    """Return all parts, in order, by the calls that ask for them."""
    register()
    first, *others = wanted.scripted
    return [
        Call("first", 200, tuple(_first(wanted))),
        Call("second", 300, tuple(_second(wanted, first))),
        Call("third", 200, tuple(_third(wanted, first))),
        Call("further", 540, tuple(_further(wanted, first, others))),
        Call("many", 540, tuple(_many(wanted, first))),
    ]


def _first(wanted: Wanted) -> Iterator[Part]:
    """Yield what tells whether anything runs at all, and what the device could do at best."""
    device = wanted.device
    asked = _module("smoke", device, _file(wanted, "smoke"), *_words(wanted, TINY))
    yield Part("smoke", asked, 25, _smoked(wanted))
    yield Part("ceilings", _module("ceilings", device, _file(wanted, "ceilings")), 15)
    yield from _lossless("lossless", "cpu" if device == "cpu" else "one_gpu", seconds=90)
    yield _decoded(wanted, "tiny_fused", TINY, ("ssd",), seconds=25)


def _second(wanted: Wanted, pair: Subject) -> Iterator[Part]:
    """Yield AR, SD and SSD in one sitting, what their passes consist of, and what a layer takes."""
    yield _decoded(wanted, pair.name, pair, EVERY, seconds=110)
    words = _words(wanted, pair)
    traced = _module("replay_trace", wanted.device, wanted.folder / "trace", *words)
    compiled = shapes(decoding_runs(("autoregressive", "speculative"), words))
    yield Part("trace", traced, 60, compiled)
    file = _file(wanted, "layer_kernels")
    yield Part("layer_kernels", _module("layer_kernels", wanted.device, file), 30)


def _third(wanted: Wanted, pair: Subject) -> Iterator[Part]:
    """Yield what is there on a GPU alone: multiprocessors split, and passes without graphs."""
    if wanted.device == "cpu":
        return
    if wanted.split is not None:
        name = f"{pair.name}_split{100 * wanted.split:.0f}"
        yield _decoded(wanted, name, pair, ("ssd",), f"split={wanted.split}", seconds=50)
    methods = ("ssd", "autoregressive")
    yield _decoded(wanted, f"{pair.name}_eager", pair, methods, "passes=eager", seconds=50)
    yield from _lossless("lossless_split", "split", seconds=50)


def _further(wanted: Wanted, pair: Subject, others: Sequence[Subject]) -> Iterator[Part]:
    """Yield what a second lending goes on with: profiles, and other pairs."""
    for split in dict.fromkeys((wanted.split, None)):
        yield _profile(wanted, pair, split)
    for other in others:
        yield _decoded(wanted, other.name, other, EVERY, seconds=150)
        yield _profile(wanted, other, None)
    yield _decoded(wanted, wanted.real.name, wanted.real, EVERY, seconds=60)
    name = f"{wanted.real.name}_two_phase"
    yield _decoded(wanted, name, wanted.real, ("two_phase",), *SPEAKING, seconds=50)
    peer = (wanted.real.name, wanted.dtype, wanted.device, _file(wanted, "peer"))
    yield Part("peer", _module("transformers_peer", *peer), 60)


def _many(wanted: Wanted, pair: Subject) -> Iterator[Part]:
    """Yield what needs several GPUs: one for the draft, and as many as a sharded target has ranks.

    Where there are too few of them, a part ends with a line that says how many it needs.
    """
    if wanted.device == "cpu":
        return
    where, three = replace(wanted, topology="two_gpus"), replace(TINY, lookahead=3)
    yield _apart(where, TINY, "apart", 1, seconds=60)
    for name, options in SHARDED.items():
        yield _apart(where, three, name, 2, *options, seconds=60)
    if SHARDING.is_dir():
        yield Part("ranks", [sys.executable, "-m", "pytest", "-v", "--tb=short", str(SHARDING)], 90)
    for name, ranks in (("apart", 1), ("tp2", 2)):
        yield _apart(where, pair, name, ranks, seconds=140)
    yield _apart(where, Subject("llama31_70b_1b"), "tp4", 4, seconds=240)
    yield _profile(where, pair, None, "_apart")


def _apart(
    where: Wanted, pair: Subject, name: str, ranks: int, *options: str, seconds: float
) -> Part:
    ranked = (*options, f"pair.tp={ranks}")
    return _decoded(where, f"{pair.name}_{name}", pair, EVERY, *ranked, seconds=seconds)


def _lossless(name: str, where: str, seconds: float) -> Iterator[Part]:
    if TESTS.is_file():
        kept = f"{where} and (own or operations) and not default_pair"
        how = ("-x", "-v", "--tb=short", "-k", kept)
        command = [sys.executable, "-m", "pytest", *how, str(TESTS)]
        yield Part(name, command, seconds, environment=UNFUSED)


def _decoded(
    wanted: Wanted,
    name: str,
    pair: Subject,
    methods: Sequence[str],
    *options: str,
    seconds: float,
) -> Part:
    """Return a part that decodes with several methods on the same models."""
    words = (*_words(wanted, pair), *options)
    command = _module("decoding", wanted.folder / name, ",".join(methods), *words)
    return Part(name, command, seconds, shapes(decoding_runs(methods, words)))


def _words(wanted: Wanted, pair: Subject) -> tuple[str, ...]:
    return (
        *pair.overrides,
        f"topology={wanted.topology}",
        f"dtype={pair.dtype or wanted.dtype}",
        f"workload.prompts={wanted.prompts}",
        f"workload.output_tokens={wanted.tokens}",
        *pair.drafting,
    )


def _profile(wanted: Wanted, pair: Subject, split: float | None, name: str = "") -> Part:
    shared = [] if split is None else ["--split", str(split)]
    counts = ["--quick"] if wanted.quick else ["--repeats", "1"]
    places = ["--topology", wanted.topology, "--dtype", wanted.dtype, "--out", str(wanted.folder)]
    places.append("--overwrite")  # a part is run again where it ended badly
    words = ["--name", pair.profile(None) + name, *pair.arguments, *places, *counts, *shared]
    command = [sys.executable, "-m", "ssdreal.profile", *words]
    return Part(pair.profile(split) + name, command, 120, shapes(profile_runs(words)))


def _smoked(wanted: Wanted) -> frozenset[Shape]:
    """Return what the smoke script compiles: each function once, for the tiny pair's shapes."""
    tiny = shapes(decoding_runs(("ssd",), _words(wanted, TINY)))
    once = {shape[0]: shape for shape in sorted(tiny, key=str)}
    return frozenset(once.get(name, (name, "smoke")) for name in FUSED)


FUSED = (
    "begun",
    "through",
    "ended",
    "chosen",
    "drawn",
    "ranked",
    "probabilities",
    "gumbel",
    "uniforms",
    "tested",
    "settled",
)
"""The functions that are compiled where there is a GPU."""


def _file(wanted: Wanted, name: str) -> Path:
    return wanted.folder / f"{name}.json"


def _module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"ssdreal.gpu_check.{name}", *map(str, arguments)]

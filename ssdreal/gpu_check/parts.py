"""The list of the check's parts and their commands, the most informative first."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ssdreal.gpu_check.part_runner import Part
from ssdsim.system.package_data import ROOT

TESTS = ROOT / "tests" / "real" / "executor" / "test_on_gpu.py"
"""In a checkout alone."""


@dataclass(frozen=True)
class Subject:
    """A pair to check with.

    Attributes
    ----------
    name
        Of its folders; of the pair in `conf/pair` too, unless models are named.
    models
        Target and draft, where they are no pair of `conf/pair`.
    acceptance
        What tells the outcomes of a pair without weights; None: what it has by default.
    lookahead
        Tokens drafted a round; None: the default.

    """

    name: str
    models: tuple[str, ...] = ()
    acceptance: str | None = None
    lookahead: int | None = None

    @property
    def overrides(self) -> list[str]:
        """What names it to `python -m ssdreal`."""
        roles = ("target", "draft") if self.models else ()
        named = [f"pair.{role}={name}" for role, name in zip(roles, self.models, strict=True)]
        told = [f"acceptance={self.acceptance}"] if self.acceptance else []
        return [*(named or [f"pair={self.name}"]), *told]

    @property
    def arguments(self) -> list[str]:
        """What names it to `python -m ssdreal.profile`."""
        told = ["--acceptance", self.acceptance] if self.acceptance else []
        return ["--pair", *(self.models or (self.name,)), *told]

    @property
    def drafting(self) -> list[str]:
        """How many tokens a method that drafts is to draft."""
        return [] if self.lookahead is None else [f"lookahead={self.lookahead}"]

    def profile(self, split: float | None) -> str:
        """Return what its profile is called that was measured on a GPU split so."""
        plain = f"gpu_{self.name.replace('.', '_')}"
        return plain if split is None else f"{plain}_split{100 * split:.0f}"


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
    splits
        Shares of the GPU that the target gets, to be compared with none.
    prompts, tokens
        Of every run.
    dtype
        Of the models.
    quick
        Whether profiles are a look only.

    """

    folder: Path
    topology: str = "one_gpu"
    scripted: tuple[Subject, ...] = (
        Subject("llama31_8b_1b", lookahead=4),
        Subject("qwen3_32b_0.6b", lookahead=4),
    )
    real: Subject = Subject("smollm2")
    splits: tuple[float, ...] = (0.6, 0.75, 0.9)
    prompts: int = 6
    tokens: int = 96
    dtype: str = "bfloat16"
    quick: bool = False

    @property
    def device(self) -> str:
        """The target's, as torch names it."""
        return "cpu" if self.topology == "cpu" else "cuda:0"

    @property
    def split(self) -> float | None:
        """The one of which there is to be a profile."""
        return self.splits[len(self.splits) // 2] if self.splits else None


def parts(wanted: Wanted) -> list[Part]:
    """Return all parts, in order."""
    first, *others = wanted.scripted
    rates = _module("gpu_check.ceilings", wanted.device, _file(wanted, "ceilings"))
    found = [
        Part("ceilings", rates, 30),
        *_lossless(wanted),
        *_decoded(wanted, first, seconds=70),
        *_shared(wanted, first),
        *_decoded(wanted, wanted.real, seconds=45),
        Part("peer", _peer(wanted), 40),
        *(_profile(wanted, first, split) for split in dict.fromkeys((wanted.split, None))),
    ]
    for pair in others:
        found += [*_decoded(wanted, pair, seconds=100), _profile(wanted, pair, None)]
    return found


def _lossless(wanted: Wanted) -> Iterator[Part]:
    if TESTS.is_file():
        command = [sys.executable, "-m", "pytest", *_selected(wanted), str(TESTS)]
        yield Part("lossless", command, 120)


def _decoded(wanted: Wanted, pair: Subject, seconds: float) -> Iterator[Part]:
    """Yield what decodes on the whole of a device: AR, and what drafts."""
    yield _runs(wanted, "ar", pair, "method=autoregressive", seconds=seconds)
    drafting = ("method=speculative,ssd", *pair.drafting)
    yield _runs(wanted, "graph", pair, *drafting, seconds=seconds)


def _shared(wanted: Wanted, pair: Subject) -> Iterator[Part]:
    """Yield what is there on a GPU alone: its multiprocessors split, and passes without graphs."""
    if wanted.splits:
        swept = f"split={','.join(map(str, wanted.splits))}"
        yield _runs(wanted, "split", pair, swept, *pair.drafting, seconds=90)
    if wanted.device != "cpu":
        yield _runs(wanted, "eager", pair, "passes=eager", *pair.drafting, seconds=90)


def _runs(wanted: Wanted, name: str, pair: Subject, *options: str, seconds: float) -> Part:
    """Return a part that decodes with several settings on the same models."""
    name = f"{pair.name}_{name}"
    common = (
        *pair.overrides,
        f"topology={wanted.topology}",
        f"dtype={wanted.dtype}",
        f"workload.prompts={wanted.prompts}",
        f"workload.output_tokens={wanted.tokens}",
        f"out={wanted.folder / name}",
        "overwrite=true",  # a part is run again where it ended badly
    )
    command = [sys.executable, "-m", "ssdreal", "--multirun", *common, *options]
    return Part(name, command, seconds)


def _profile(wanted: Wanted, pair: Subject, split: float | None) -> Part:
    shared = [] if split is None else ["--split", str(split)]
    counts = ["--quick"] if wanted.quick else ["--repeats", "1"]
    places = ["--topology", wanted.topology, "--dtype", wanted.dtype, "--out", str(wanted.folder)]
    places.append("--overwrite")  # a part is run again where it ended badly
    options = ["--name", pair.profile(None), *pair.arguments, *places, *counts, *shared]
    return Part(pair.profile(split), _module("profile", *options), 120)


def _peer(wanted: Wanted) -> list[str]:
    named = (wanted.real.name, wanted.dtype, wanted.device)
    return _module("gpu_check.transformers_peer", *named, _file(wanted, "peer"))


def _selected(wanted: Wanted) -> tuple[str, str]:
    return ("-k", "cpu and not default_pair") if wanted.device == "cpu" else ("-m", "gpu")


def _file(wanted: Wanted, name: str) -> Path:
    return wanted.folder / f"{name}.json"


def _module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"ssdreal.{name}", *map(str, arguments)]

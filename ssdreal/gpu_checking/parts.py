"""The parts of the check, the most telling ones first."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssdreal.gpu_checking.course import Part


@dataclass(frozen=True)
class Wanted:
    """What to check.

    Attributes
    ----------
    folder
        Where everything goes.
    topology
        Where the models run.
    scripted, real
        Pairs of true sizes without weights, and a pair that has them.
    splits
        Shares of the GPU that the target gets, to be compared with none.
    prompts, tokens
        Of every run.

    """

    folder: Path
    topology: str = "one_gpu"
    scripted: tuple[str, ...] = ("llama31_8b_1b", "qwen3_32b_0.6b")
    real: str = "smollm2"
    splits: tuple[float, ...] = (0.6, 0.75, 0.9)
    prompts: int = 6
    tokens: int = 96

    @property
    def profiles(self) -> list[str]:
        """Names of the profiles that come of it."""
        return [f"gpu_{pair.replace('.', '_')}" for pair in self.scripted]


METHODS = "method=autoregressive,speculative,ssd"


def parts(wanted: Wanted) -> list[Part]:
    """Return all parts, in order."""
    first, *others = wanted.scripted
    split = wanted.splits[len(wanted.splits) // 2]
    return [
        Part("ceilings", _module("gpu_checking.ceilings", wanted.folder / "ceilings.json"), 30),
        Part("lossless", [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests"], 90),
        _runs(wanted, "graph", first, METHODS, seconds=100),
        _runs(wanted, "split", first, _swept("split", wanted.splits), seconds=90),
        _runs(wanted, "graph", wanted.real, METHODS, seconds=60),
        Part("peer", _module("gpu_checking.peer", wanted.real, wanted.folder / "peer.json"), 40),
        _runs(wanted, "eager", first, METHODS, "passes=eager", seconds=60),
        _profile(wanted, first, split),
        *(
            part
            for pair in others
            for part in (
                _runs(wanted, "graph", pair, METHODS, seconds=110),
                _profile(wanted, pair, None),
            )
        ),
    ]


def _runs(wanted: Wanted, name: str, pair: str, *options: str, seconds: float) -> Part:
    """Return a part that decodes with several settings on the same models."""
    name = f"{pair}_{name}"
    common = (
        f"pair={pair}",
        f"topology={wanted.topology}",
        f"workload.prompts={wanted.prompts}",
        f"workload.output_tokens={wanted.tokens}",
        f"out={wanted.folder / name}",
    )
    command = [sys.executable, "-m", "ssdreal", "--multirun", *common, *options]
    return Part(name, command, seconds)


def _profile(wanted: Wanted, pair: str, split: float | None) -> Part:
    name = f"gpu_{pair.replace('.', '_')}"
    shared = [] if split is None else ["--split", str(split)]
    options = ["--name", name, "--pair", pair, "--topology", wanted.topology, "--repeats", "1"]
    return Part(f"profile_{pair}", _module("profile", *options, *shared), 110)


def _module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"ssdreal.{name}", *map(str, arguments)]


def _swept(option: str, values: Sequence[float]) -> str:
    return f"{option}={','.join(map(str, values))}"

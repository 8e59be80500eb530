"""Reads what a profile was measured with: models, devices, sizes and prompts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from ssdreal.executor.pair import Pair, read_pair
from ssdreal.executor.workload import Task
from ssdreal.profile.split import Fitted, read_split
from ssdsim.acceptance.trace_file import INFO, read_trace
from ssdsim.errors import ConfigError, require


@dataclass(frozen=True)
class Sizes:
    """Of the calibration runs; see `ssdsim.calibration.calibration_plan.plan`."""

    lookaheads: Sequence[int]
    branches: Sequence[int]
    batch: int

    def of(self, fit: Fitted) -> Fitted:
        """Return a split's side that is fitted to, with these sizes."""
        return replace(fit, lookaheads=self.lookaheads, branches=self.branches, batch=self.batch)


def sizes(fit: Fitted) -> Sizes:
    """Return the sizes of what is fitted to."""
    return Sizes(fit.lookaheads, fit.branches, fit.batch)


@dataclass(frozen=True)
class MeasuredWith:
    """What `run.json` of a profile says of its measurement.

    Attributes
    ----------
    pair
        Its name in `conf/pair`, or both models'.
    dtype, split
        Of the models; which share of one GPU the target had, if it was split.
    models
        Target and draft; None in old profiles: those that the pair's name means.
    acceptance
        What scripted the outcomes of a pair without weights.
    sizes
        Of the calibration runs.
    sittings
        When each was made.

    """

    pair: str | dict[str, str]
    dtype: str
    split: float | None = None
    models: tuple[str, str] | None = None
    acceptance: str | None = None
    sizes: Sizes = field(default_factory=lambda: sizes(read_split().fit))
    sittings: list[str] = field(default_factory=list)

    @property
    def names(self) -> Pair:
        """Both models."""
        if self.models is not None:
            return Pair(*self.models)
        if isinstance(self.pair, str):
            return read_pair(self.pair)
        return Pair(self.pair["target"], self.pair["draft"])

    def check_weights(self, option: str, value: str) -> None:
        """Refuse a pair whose outcomes were scripted.

        Raises
        ------
        ConfigError
            Naming the option that the profile is.

        """
        right = "needs a pair with weights, whose own texts tell what is accepted"
        require(self.acceptance is None, option, value, right)


def measured_with(folder: Path) -> tuple[MeasuredWith, dict[str, Any]]:
    """Return what a profile was measured with, and everything else that its `run.json` says.

    Raises
    ------
    ConfigError
        It is not a profile that was measured.

    """
    try:
        info = json.loads((folder / INFO).read_text(encoding="utf-8"))
        return msgspec.convert(info, MeasuredWith), info
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        right = f"needs a folder of traces/ that python -m ssdreal.profile has written ({error})"
        raise ConfigError(f"--profile={folder.name}: {right}") from error


def prompts_of(folder: Path) -> list[Task]:
    """Return the prompts that a profile's texts answer."""
    trace = read_trace(folder)
    kinds = dict(zip(trace.columns["prompt"], trace.columns["kind"], strict=True))
    return [Task(name, str(kinds[name]), tokens) for name, tokens in trace.prompts.items()]

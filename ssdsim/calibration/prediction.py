"""Predicts a run from a measured profile by simulation, with a 90 % interval."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import pyarrow.parquet as pq
from numpy.random import Generator, default_rng

from ssdsim.acceptance.recorded import Recorded, RecordedSource
from ssdsim.acceptance.trace_file import INFO, read_trace
from ssdsim.calibration.fit import LANES, Calibration
from ssdsim.calibration.fitted_machine import machine
from ssdsim.calibration.profile_file import TIMINGS
from ssdsim.calibration.timings import from_table
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import simulate
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Machine
from ssdsim.run.trace import Run
from ssdsim.sampling.settings import Sampling

REPLICATES = 40
COVERED = 0.9
METRICS = ("tokens_per_s", "acceptance_length", "hit_rate", "step_seconds")


@dataclass(frozen=True)
class Picked:
    """An acceptance trace of which some texts are taken, perhaps several times.

    Attributes
    ----------
    recorded
        The trace.
    picks
        Which text each sequence gets, as shares in [0, 1) of their number.

    """

    recorded: Recorded
    picks: tuple[float, ...]
    uses: ClassVar[frozenset[str]] = Recorded.uses

    def open(self, sampling: Sampling, rng: Generator) -> RecordedSource:
        """Return the source of the texts picked; raises as `Recorded.open` does."""
        source = self.recorded.open(sampling, rng)
        texts = source.texts
        return replace(source, texts=tuple(texts[int(pick * len(texts))] for pick in self.picks))


@dataclass(frozen=True)
class Predicted:
    """What simulations say of one run.

    Attributes
    ----------
    draws
        For each metric a value a replicate, NaN where a run has none.

    """

    draws: Mapping[str, tuple[float, ...]]

    def middle(self, metric: str = "tokens_per_s") -> float:
        """Return the median; NaN where there is no such thing."""
        return float(np.median(self.draws[metric]))

    def interval(self, metric: str = "tokens_per_s") -> tuple[float, float]:
        """Return where 90 % of single measurements should lie."""
        tail = (1 - COVERED) / 2
        low, high = np.quantile(self.draws[metric], [tail, 1 - tail])
        return float(low), float(high)


@dataclass(frozen=True)
class Profile:
    """A measured profile: its acceptance trace and its timings.

    Attributes
    ----------
    folder
        Where `python -m ssdreal.profile` wrote it.

    Raises
    ------
    ConfigError
        There are no timings in it.

    """

    folder: Path
    known: dict[int, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def calibration(self) -> Calibration:
        """The fit of its timings."""
        try:
            table = pq.read_table(self.folder / TIMINGS)
            info = json.loads((self.folder / INFO).read_text(encoding="utf-8"))
            padding, shared = info["padding"], info.get("shared", False)
        except (OSError, ValueError, KeyError) as error:
            right = "needs a profile that python -m ssdreal.profile has measured"
            raise ConfigError(f"profile={self.folder.name}: {right} ({error})") from error
        return Calibration(from_table(table), padding, shared)

    @cached_property
    def prompts(self) -> int:
        """How many prompts its acceptance trace has."""
        return len(read_trace(self.folder).prompts)

    @property
    def acceptance(self) -> Recorded:
        """Its acceptance trace."""
        return Recorded(str(self.folder))

    @cached_property
    def machine(self) -> Machine:
        """The machine that it found."""
        return machine(self.calibration.fit)

    def predict(self, setup: Setup, name: str, replicates: int = REPLICATES) -> Predicted:
        """Predict one run, as it would be measured on other prompts at another time.

        In every replicate the profile's prompts and timings are samples that might have come out
        otherwise (both are drawn again), the run's prompts are a sample like the profile's, and
        the machine is in the state of one of the calibration runs.

        Parameters
        ----------
        setup
            Method, workload and sampling; its acceptance and machine are replaced.
        name
            Keeps the states that this run meets apart from those that another one meets; the
            prompts and the fit of a replicate are the same for all.
        replicates
            Simulations.

        """
        runs = [simulate(one) for one in self._replicates(setup, name, replicates)]
        return Predicted({metric: tuple(_value(run, metric) for run in runs) for metric in METRICS})

    def _replicates(self, setup: Setup, name: str, count: int) -> Iterator[Setup]:
        effects = list(self.calibration.fit.effects.values())
        for number in range(count):
            rng, state = default_rng([number]), default_rng([number, crc32(name.encode())])
            might_have_been = rng.random(self.prompts)
            picks = tuple(rng.choice(might_have_been, setup.workload.prompts).tolist())
            met = effects[state.integers(len(effects))]
            state_of = {lane: met.get(lane, 1.0) for lane in LANES}
            yield replace(
                setup,
                acceptance=Picked(self.acceptance, picks),
                machine=machine(self._fit(number), state_of),
                seed=number,
            )

    def _fit(self, number: int) -> Any:
        if number not in self.known:
            self.known[number] = self.calibration.resampled(default_rng([number, 1]))
        return self.known[number]


def _value(run: Run, metric: str) -> float:
    value = run.metrics[metric]
    return float("nan") if value is None else float(value)

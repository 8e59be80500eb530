"""Predicts a run from a measured profile by simulation, with a 90 % interval.

What an interval holds: the run's prompts are a few of many, and so are the profile's; a kind of
prompt that the profile lacks differs from its kinds as these do from each other; the fit might have
come out otherwise; the machine has slow hours and slow runs, and runs in which both models slow
each other more than in others; and every single pass scatters.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import pyarrow.parquet as pq
from numpy.random import default_rng
from numpy.typing import NDArray

from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.trace_file import INFO, read_trace
from ssdsim.calibration.fit import Calibration, Fit
from ssdsim.calibration.fitted_machine import machine
from ssdsim.calibration.machine_state import Anchor, anchor, draw_slowdown, draw_state
from ssdsim.calibration.picked_texts import Picked
from ssdsim.calibration.prediction_errors import Interval
from ssdsim.calibration.predictive_distribution import another
from ssdsim.calibration.profile_file import TIMINGS
from ssdsim.calibration.timings import Timing, from_table
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import simulate
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Machine
from ssdsim.run.trace import Run
from ssdsim.sampling.distributions import Array

REPLICATES = 40
COVERED = 0.9
METRICS = ("tokens_per_s", "acceptance_length", "hit_rate", "step_seconds")


class KnownPrompt(NamedTuple):
    """What is known of a prompt before it is decoded.

    Attributes
    ----------
    kind
        Of text.
    tokens
        Its length.

    """

    kind: str
    tokens: int


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

    def interval(self, metric: str = "tokens_per_s") -> Interval:
        """Return the median, and where 90 % of single measurements should lie.

        The share of new values below the i-th of n draws is i / (n + 1) in the mean, so the bounds
        are the draws at tail · (n + 1), as those of a tolerance interval; of few draws the least
        and the greatest.
        """
        tail = (1 - COVERED) / 2
        # The usual quantiles lie further in: of 40 draws they hold 86 %.
        low, high = np.quantile(self.draws[metric], [tail, 1 - tail], method="weibull")
        return Interval(self.middle(metric), float(low), float(high))

    def over(self, baseline: "Predicted", metric: str = "tokens_per_s") -> "Predicted":
        """Return the ratio of a metric to a baseline's, replicate by replicate.

        What both have in common in a replicate, as the hour and the fit, cancels.
        """
        pairs = zip(self.draws[metric], baseline.draws[metric], strict=True)
        return Predicted({metric: tuple(one / base for one, base in pairs)})


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
    known: dict[int, Fit] = field(default_factory=dict, compare=False)

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

    @property
    def prompts(self) -> int:
        """How many prompts its acceptance trace has."""
        return sum(map(len, self.kinds.values()))

    @cached_property
    def kinds(self) -> dict[str, list[str]]:
        """The prompts of its acceptance trace by kind, in order."""
        columns = read_trace(self.folder).columns
        found: dict[str, dict[str, None]] = {}
        for kind, name in zip(columns["kind"], columns["prompt"], strict=True):
            found.setdefault(str(kind), {})[str(name)] = None
        return {kind: list(names) for kind, names in sorted(found.items())}

    @property
    def acceptance(self) -> Recorded:
        """Its acceptance trace."""
        return Recorded(str(self.folder))

    @cached_property
    def machine(self) -> Machine:
        """The machine that it found."""
        return machine(self.calibration.fit)

    def anchor(self, pieces: Sequence[Timing]) -> Anchor:
        """Return what runs of sizes that it has say of the machine now."""
        return anchor(self.calibration.fit, pieces)

    def predict(
        self,
        setup: Setup,
        name: str,
        replicates: int = REPLICATES,
        *,
        prompts: Sequence[KnownPrompt] = (),
        known: Anchor | None = None,
    ) -> Predicted:
        """Predict one run, as it would be measured on other prompts at another time.

        In every replicate the profile's prompts and timings are samples that might have come out
        otherwise (both are drawn again), the run's prompts are a sample of their kinds, and the
        machine is in a state that it may be in.

        Parameters
        ----------
        setup
            Method, workload and sampling, and which recorded layer its `acceptance` hears in
            mid-verify; texts and machine are replaced.
        name
            Keeps the states that this run meets apart from those that another one meets; the
            prompts and the fit of a replicate are the same for all.
        replicates
            Simulations.
        prompts
            What is known of the run's, in order; none: they are as those of the profile.
        known
            What an anchor says of the machine just before; None: it is predicted for any hour.

        """
        runs = [
            simulate(self.replicate(setup, name, number, prompts, known))
            for number in range(replicates)
        ]
        found = {metric: np.array([_value(run, metric) for run in runs]) for metric in METRICS}
        if {prompt.kind for prompt in prompts} - self.kinds.keys():
            stand_ins = np.arange(replicates) % len(self.kinds)
            found = {metric: of_a_new_kind(draws, stand_ins) for metric, draws in found.items()}
        return Predicted({metric: tuple(draws.tolist()) for metric, draws in found.items()})

    def replicate(
        self,
        setup: Setup,
        name: str,
        number: int,
        prompts: Sequence[KnownPrompt] = (),
        known: Anchor | None = None,
    ) -> Setup:
        """Return a setup as a replicate of `predict` has it: its prompts, fit, and state."""
        names = self._picked(number, [of.kind for of in prompts], setup.workload.prompts)
        lengths = tuple(of.tokens for of in prompts)
        # Apart for every run, but for what it has in common with others: the fit, and the hour.
        own, fit = default_rng([number, crc32(name.encode())]), self.calibration.fit
        state = draw_state(fit, default_rng([number, 2]), own, known)
        met = replace(self._fit(number), slowdown=draw_slowdown(fit, self._fit(number), own))
        return replace(
            setup,
            acceptance=Picked(self._heard(setup), names, lengths),
            machine=machine(met, state),
            seed=number,
        )

    def _heard(self, setup: Setup) -> Recorded:
        """Return the trace with the early view that a setup asks for."""
        asked = setup.acceptance
        layer = asked.exit_layer if isinstance(asked, Recorded) else None
        return replace(self.acceptance, exit_layer=layer)

    def _picked(self, number: int, kinds: Sequence[str], count: int) -> tuple[str, ...]:
        """Return the prompts of a replicate, out of those that the profile might have had.

        In each replicate another one of its kinds stands in for those that it has not.
        """
        rng, there = default_rng([number]), list(self.kinds)
        might_have_been = {
            kind: rng.choice(names, len(names)) for kind, names in self.kinds.items()
        }
        stand_in = there[number % len(there)]
        if kinds:
            among = [might_have_been.get(kind, might_have_been[stand_in]) for kind in kinds]
        else:
            among = [np.concatenate(list(might_have_been.values()))] * count
        return tuple(str(rng.choice(names)) for names in among)

    def _fit(self, number: int) -> Fit:
        if number not in self.known:
            self.known[number] = self.calibration.resampled(default_rng([number, 1]))
        return self.known[number]


def of_a_new_kind(draws: Array, stand_ins: NDArray[np.int64]) -> Array:
    """Return what runs of a kind that nothing is known of may give.

    Parameters
    ----------
    draws
        A positive value a replicate; others stay as they are.
    stand_ins
        For each the known kind that its prompts are of.

    Returns
    -------
    array
        The same with the differences between kinds replaced by those of another kind.

    """
    if not (draws > 0).all():
        return draws
    logs = np.log(draws)
    means = np.array([logs[stand_ins == kind].mean() for kind in np.unique(stand_ins)])
    news = [another(means, default_rng([number, 3])) for number in range(len(draws))]
    return np.asarray(np.exp(logs - means[stand_ins] + news))


def _value(run: Run, metric: str) -> float:
    value = run.metrics[metric]
    return float("nan") if value is None else float(value)

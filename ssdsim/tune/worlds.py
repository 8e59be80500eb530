"""Worlds that a profile leaves possible, and others that a choice might have to stand.

What is known of a pair and a machine was measured, so it might have come out otherwise. A measured
profile says how far: its prompts and timings are drawn again. Of published figures nobody knows;
there what is taken for granted is an option of `python -m ssdsim.tune`. In a world all candidates
meet the same prompts, times and random numbers, so their differences scatter far less than they.
"""

from dataclasses import dataclass, replace
from math import exp
from typing import ClassVar

import numpy as np
from numpy.random import Generator, default_rng
from scipy.optimize import brentq

from ssdsim.acceptance.base import Acceptance, Source
from ssdsim.acceptance.by_position import Difficulty, PositionalSource
from ssdsim.acceptance.recorded import RecordedSource, Texts
from ssdsim.acceptance.trace_replay import RecordedText
from ssdsim.calibration.prediction import Profile
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Machine
from ssdsim.latency.scaled import Scaled
from ssdsim.sampling.distributions import Array
from ssdsim.sampling.settings import Sampling

STEEPEST = 500.0
"""No tilt beyond it is looked for: there one text is left."""
LEAST_TEXTS = 64
"""Texts that stand for weights."""
LEAST_REJECTED = 0.001
"""No draft is taken to be right always, by whatever acceptance rises."""
ACCEPTANCE_ERROR, TIME_ERROR = 0.02, 0.05
"""Of figures that were published: nobody has measured it, so it is an option."""
APART = 10**6
"""Between the seeds of two lucks: further than those of worlds."""


@dataclass(frozen=True)
class World:
    """What may be otherwise than a profile says.

    Attributes
    ----------
    number
        Which draw of what the profile leaves open; None: what it says.
    acceptance
        What is added to the chance that a drafted token is accepted.
    target, draft
        Factors on the seconds of either model.
    slope
        A factor on what a verify takes longer for more than one token a row.
    batch
        A factor on the sequences decoded at a time.
    tokens
        Of the workload so many are decoded, or little more; None: all.
    luck
        Which random numbers decide what the world leaves to chance.

    """

    number: int | None = None
    acceptance: float = 0.0
    target: float = 1.0
    draft: float = 1.0
    slope: float = 1.0
    batch: float = 1.0
    tokens: int | None = None
    luck: int = 0


@dataclass(frozen=True)
class Uncertainty:
    """How far a profile may be wrong.

    Attributes
    ----------
    acceptance
        Standard deviation of the chance that a drafted token is accepted.
    times
        Standard deviation of the logarithm of either model's seconds.
    profile
        A measured profile, whose prompts and timings say it instead.

    """

    acceptance: float = ACCEPTANCE_ERROR
    times: float = TIME_ERROR
    profile: Profile | None = None

    def drawn(self, setup: Setup, number: int) -> Setup:
        """Return a setup as it may be; what is drawn is the same for every candidate."""
        if self.profile:
            return self.profile.replicate(setup, "", number)
        return changed(replace(setup, seed=setup.seed + number), self.world(setup.seed, number))

    def world(self, seed: int, number: int) -> World:
        """Return what is otherwise in a draw where no measurement tells.

        Every second draw is the opposite of the one before (antithetic variates), so that what is
        linear in the changes cancels in the mean over worlds.
        """
        rng, sign = default_rng([seed, number // 2, 4]), 1 - 2 * (number % 2)
        scales = np.array([self.acceptance, self.times, self.times])
        by, target, draft = (sign * scales * rng.standard_normal(3)).tolist()
        return World(None, by, exp(target), exp(draft))


def of_world(setup: Setup, world: World, uncertainty: Uncertainty) -> Setup:
    """Return a setup in a world.

    Raises
    ------
    ConfigError
        The acceptance source cannot be changed as the world says.

    """
    if world.number is not None:
        setup = uncertainty.drawn(setup, world.number)
    setup = replace(setup, seed=setup.seed + APART * world.luck)
    return changed(setup, world)


def changed(setup: Setup, world: World) -> Setup:
    """Return a setup with a world's changes to acceptance, times and batch."""
    if world.acceptance:
        setup = replace(setup, acceptance=Shifted(setup.acceptance, world.acceptance))
    if world.target != 1 or world.draft != 1 or world.slope != 1:
        setup = replace(setup, machine=_slower(setup.machine, world))
    setup = replace(setup, batch=max(1, round(setup.batch * world.batch)))
    return setup if world.tokens is None else _part(setup, world.tokens)


def _part(setup: Setup, tokens: int) -> Setup:
    """Return the setup with the first prompts of its workload, at least one a slot."""
    workload = setup.workload
    prompts = max(setup.batch, -(-tokens // workload.longest_output))
    return replace(setup, workload=replace(workload, prompts=min(prompts, workload.prompts)))


def _slower(machine: Machine, world: World) -> Machine:
    return replace(
        machine,
        target=Scaled(machine.target, world.target, world.slope),
        draft_scale=machine.draft_scale * world.draft,
    )


@dataclass(frozen=True)
class Shifted:
    """An acceptance source whose draft is right more often, or less.

    Attributes
    ----------
    acceptance
        The source.
    by
        What is added to the chance that a drafted token is accepted, wherever it stands. Recorded
        texts are taken more or less often instead, by how well the draft does on them, until the
        mean is so much higher: as with other prompts of the same kinds.

    """

    acceptance: Acceptance
    by: float
    uses: ClassVar[frozenset[str]] = frozenset({"temperature", "coupling", "saguaro"})

    def open(self, sampling: Sampling, rng: Generator) -> Source:
        """Return the source.

        Raises
        ------
        ConfigError
            As the source's own `open`; or nobody knows how to change its acceptance.

        """
        source = self.acceptance.open(sampling, rng)
        if isinstance(source, PositionalSource):
            easy, hard = (_shifted(of, self.by) for of in (source.easy, source.hard))
            return replace(source, easy=easy, hard=hard)
        if isinstance(source, RecordedSource):
            return _tilted(source, self.by)
        raise ConfigError(f"acceptance: cannot be changed by {self.by:+g}, it follows from models")


def _shifted(difficulty: Difficulty, by: float) -> Difficulty:
    shifted = [min(1.0, max(min(h, LEAST_REJECTED), h - by)) for h in difficulty.reject]
    return replace(difficulty, reject=shifted)


def _tilted(source: RecordedSource, by: float) -> RecordedSource:
    """Return texts of which those with a higher acceptance come more often: exponential tilting.

    Of all weights that have the mean wanted those nearest to equal ones.
    """
    rates = np.array([text.table.a[_rows(text)].mean() for text in source.texts])
    wanted = float(rates.mean()) + by
    right = f"the texts' own go from {rates.min():.2f} to {rates.max():.2f}"
    if not rates.min() < wanted < rates.max():
        raise ConfigError(f"acceptance: cannot have a mean of {wanted:.2f}, {right}")

    def weights(tilt: float) -> Array:
        raised = np.exp(tilt * (rates - wanted))
        return np.asarray(raised / raised.sum())

    tilt = brentq(lambda tilt: float(weights(tilt) @ (rates - wanted)), -STEEPEST, STEEPEST)
    return replace(source, texts=_taken(source.texts, weights(tilt)))


def _rows(text: RecordedText) -> slice:
    return slice(text.first, text.first + text.length)


def _taken(texts: Texts, weights: Array) -> Texts:
    """Return texts as often as their weights say, in their order (systematic sampling)."""
    count = max(len(texts), LEAST_TEXTS)
    places = np.searchsorted(np.cumsum(weights), (np.arange(count) + 0.5) / count)
    chosen = places.clip(max=len(texts) - 1)
    # Runs of one text would make a short workload of a few texts.
    spread = default_rng(0).permutation(chosen)
    return tuple(texts[at] for at in spread.tolist())

"""Which runs a calibration makes, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from numpy.random import Generator

from ssdsim.calibration.exit_probe import ExitProbe
from ssdsim.calibration.timing_probe import Probe
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.base import Method
from ssdsim.methods.speculative import Speculative
from ssdsim.policies.uniform_fanout import UniformFanout

Drawn = Literal["greedy", "maximal", "gumbel"]

ANCHORED = 3
"""How often an anchor makes each of its visits."""


@dataclass(frozen=True)
class Visit:
    """One calibration run.

    Attributes
    ----------
    method
        AR, SD on the target's devices, or a `Probe`.
    lookahead
        K; 0 for AR.
    branches
        Of a row's tree; 0 without one.
    batch
        Rows.
    coupling
        "greedy", or how tokens are drawn at temperature 1.
    long
        Whether the prompts are long ones.
    spread
        Whether both models take turns on all devices.

    """

    method: Method
    lookahead: int = 0
    branches: int = 0
    batch: int = 1
    coupling: Drawn = "greedy"
    long: bool = False
    spread: bool = False

    @property
    def policy(self) -> UniformFanout:
        """A policy that predicts that many outcomes, as evenly as they can be shared."""
        nodes = self.lookahead + 1
        return UniformFanout(budget=max(self.branches, 1), fanout=-(-self.branches // nodes))


def plan(
    lookaheads: Sequence[int],
    branches: Sequence[int],
    batch: int,
    *,
    spread: bool = False,
    exits: Sequence[float] = (),
) -> list[Visit]:
    """Return the visits of one round through everything.

    Parameters
    ----------
    lookaheads
        Those to measure chains, verifies and trees at.
    branches
        Those to measure trees at, from few to many.
    batch
        Rows of the visits that measure batches.
    spread
        Whether AR and SD are measured on all devices as well.
    exits
        Shares of the target's layers after which it is to speak in mid-verify.

    """
    middle, most = lookaheads[len(lookaheads) // 2], branches[-2]
    return [
        Visit(Autoregressive()),
        Visit(Autoregressive(), long=True),
        *(Visit(Speculative(), K) for K in lookaheads),
        Visit(Speculative(), middle, long=True),
        *_trees(lookaheads, branches),
        Visit(Probe(), middle, most, long=True),
        *_batches(lookaheads, branches, batch),
        *_drawn(middle, most, "maximal"),
        *_drawn(middle, most, "gumbel"),
        *(_spread(lookaheads) if spread else []),
        *(Visit(ExitProbe(exit=share), middle) for share in exits),
    ]


def anchor(lookaheads: Sequence[int], branches: Sequence[int]) -> list[Visit]:
    """Return visits that tell in some twenty seconds how fast a machine is just now.

    They are of those that `plan` returns: the target alone, and chains, verifies and trees each
    alone and side by side; in turns, so that a moment's burst does not fall on one model.
    """
    both = Visit(Probe(), lookaheads[len(lookaheads) // 2], branches[-2])
    return [Visit(Autoregressive()), both] * ANCHORED


def _trees(lookaheads: Sequence[int], branches: Sequence[int]) -> list[Visit]:
    """Return visits of a tree of every number of branches, each at two lookaheads in turn."""
    return [
        Visit(Probe(), K, B)
        for at, B in enumerate(branches)
        for K in {lookaheads[at % len(lookaheads)], lookaheads[(at + 1) % len(lookaheads)]}
    ]


def _drawn(lookahead: int, branches: int, coupling: Drawn) -> list[Visit]:
    """Return visits in which tokens are drawn."""
    return [
        Visit(Autoregressive(), coupling=coupling),
        Visit(Speculative(), lookahead, coupling=coupling),
        Visit(Probe(), lookahead, branches, coupling=coupling),
    ]


def _batches(lookaheads: Sequence[int], branches: Sequence[int], batch: int) -> list[Visit]:
    """Return the visits of several rows: at two sizes of every pass, or a line could not tell."""
    middle, few = lookaheads[len(lookaheads) // 2], lookaheads[0]
    sizes = ((middle, branches[1]), (few, branches[len(branches) // 2]))
    return [
        Visit(Autoregressive(), batch=batch),
        *(Visit(Speculative(), K, batch=batch) for K in dict.fromkeys((middle, few))),
        *(Visit(Probe(), K, B, batch=batch) for K, B in sizes),
    ]


def _spread(lookaheads: Sequence[int]) -> list[Visit]:
    drafting = [Visit(Speculative(), K, spread=True) for K in lookaheads[:2]]
    return [Visit(Autoregressive(), spread=True), *drafting]


def shuffled(visits: Sequence[Visit], repeats: int, rng: Generator) -> list[Visit]:
    """Return all visits `repeats` times, in random order within each repeat.

    So a slow hour of the machine falls on everything alike.
    """
    return [visits[at] for _ in range(repeats) for at in rng.permutation(len(visits))]

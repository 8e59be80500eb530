"""The interface of outcome policies, and the base of those with a static fan-out."""

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import ClassVar, Literal, Protocol

from numpy.random import Generator

from ssdsim.errors import ConfigError, require
from ssdsim.outcomes import Outcome, Speculation, children, depths

Budget = int | Literal["verify"]
"""Outcomes to prepare a row and round; "verify": what the draft finishes before the verify ends."""


MOST_OUTCOMES = 10**6
"""Outcomes of a row that there is memory for in every round."""


class Predictor(Protocol):
    """A policy at work in one run. It may learn from what it sees."""

    @property
    def budget(self) -> Budget:
        """What the policy may spend."""
        ...

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        """Return at most `budget` outcomes to prepare for."""
        ...

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """See how the verify of `speculation` ended."""
        ...


@dataclass(frozen=True)
class Policy:
    """The configuration of an outcome policy: one file each in this folder.

    Attributes
    ----------
    budget
        Outcomes to prepare a row and round, or "verify".

    `reads_drafts` says whether it looks at tokens, confidences or candidates of a speculation,
    `hears_target` whether at what the target says of one in mid-verify.
    """

    reads_drafts: ClassVar[bool] = True
    hears_target: ClassVar[bool] = False
    budget: Budget = 24

    def __post_init__(self) -> None:
        enough = self.budget == "verify" or (isinstance(self.budget, int) and self.budget >= 1)
        require(enough, "policy.budget", self.budget, 'needs a number >= 1 or "verify"')

    def start(self, lookahead: int, rng: Generator) -> Predictor:
        """Return a fresh predictor for one run.

        Raises
        ------
        ConfigError
            The policy does not fit this lookahead.

        """
        raise NotImplementedError


def check_outcomes(count: int, option: str, value: object) -> None:
    """Refuse more outcomes of a row than a policy can hold."""
    right = f"makes {count} outcomes a row, at most {MOST_OUTCOMES} are possible"
    require(count <= MOST_OUTCOMES, option, value, right)


@dataclass(frozen=True)
class StaticPolicy(Policy):
    """A policy that keeps the top F_k candidates after k accepted tokens, whatever happens.

    Every node of a token tree gets what its depth does: those of the first-ranked path first, as
    in a chain, then the others in order, as far as the budget goes.
    """

    reads_drafts: ClassVar[bool] = False

    def fanouts(self, lookahead: int, budget: int) -> tuple[int, ...]:
        """Return F_0..F_K."""
        raise NotImplementedError

    def start(self, lookahead: int, rng: Generator) -> Predictor:  # noqa: ARG002 - nothing random
        """Return a predictor that looks the fan-outs up."""
        fanouts = self.fanouts(lookahead, 1 if self.budget == "verify" else self.budget)
        check_outcomes(sum(fanouts), "policy.budget", self.budget)
        return _Static(self, self.budget)


@dataclass
class _Static:
    policy: StaticPolicy
    budget: Budget
    known: dict[tuple[tuple[int, ...], int], frozenset[Outcome]] = field(default_factory=dict)

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        key = (speculation.parents, budget)
        found = self.known.get(key)
        if found is None:
            depth = max(depths(speculation.parents))
            fanouts = self.policy.fanouts(depth, budget) if budget else ()
            found = self.known[key] = top_candidates(fanouts, speculation.parents, budget)
        return found

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """Learn nothing."""


@lru_cache(maxsize=4096)
def top_candidates(
    fanouts: tuple[int, ...], parents: tuple[int, ...], budget: int
) -> frozenset[Outcome]:
    """Return outcomes (node, rank) with rank < F_depth, the first-ranked path's first.

    Depths past the list get none.
    """
    depth, first = depths(parents), _first_path(parents)
    others = (node for node in range(1, len(depth)) if node not in first)
    nodes = (node for node in (*first, *others) if depth[node] < len(fanouts))
    ranked = (Outcome(node, rank) for node in nodes for rank in range(fanouts[depth[node]]))
    return frozenset(islice(ranked, min(budget, MOST_OUTCOMES)))


def _first_path(parents: tuple[int, ...]) -> list[int]:
    """Return the root, its first child, that one's first child, and so on."""
    path = [0]
    while following := children(parents)[path[-1]]:
        path.append(following[0])
    return path


def power_law(scale: float, exponent: float, most: int) -> list[float]:
    """Return P(bonus outside the top F) = min(1, A·F^-r) for F = 0..most; 1 at F = 0.

    The form fitted to SSD's Fig. 3; Thm 12 assumes A = 1.
    """
    if scale < 0 or exponent < 0:
        raise ConfigError(f"miss curve {scale}·F^-{exponent}: needs scale >= 0 and exponent >= 0")
    return [1.0, *(min(1.0, scale * F**-exponent) for F in range(1, most + 1))]

"""The interface of verification cuts: how much of what was drafted is verified.

A length control says how much to draft; a cut comes behind the draft, knows the whole batch, and
sends only the beginning of each speculation to the target. Whether a token is sent must not depend
on that token, or a sampled one would be biased (docs/sampling.md, "Traps"): a level is judged by
the tokens before it, and by how often levels so deep were accepted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Literal, NamedTuple

from ssdsim.errors import require
from ssdsim.lengths.base import Frequency, Signal, bin_of
from ssdsim.outcomes import Outcome, Speculation, depths


class Pass(NamedTuple):
    """A verify that may be made larger by one more level of a row.

    Attributes
    ----------
    tokens
        Tokens of all rows together, bonus tokens included.
    expected
        Tokens that it is expected to deliver.

    """

    tokens: int
    expected: float


@dataclass(frozen=True)
class Cost:
    """What a batch's passes take.

    Attributes
    ----------
    nodes
        Tokens of a speculation of so many levels.
    verify
        Seconds of a verify of so many tokens, all rows together.
    round
        Seconds of a round whose verify takes so long.

    """

    nodes: Callable[[int], int]
    verify: Callable[[int], float]
    round: Callable[[float], float]


@dataclass(frozen=True)
class Cut:
    """The configuration of a cut: one file each in this folder."""

    @property
    def needs(self) -> Signal | None:
        """What a source must know of drafted tokens."""
        return None

    def start(self) -> "Cutter | None":
        """Return a fresh one for a run; None: everything is verified."""
        return None


@dataclass(frozen=True)
class Informed(Cut):
    """A cut by the chances that levels survive.

    Attributes
    ----------
    chances
        Of a token already in: how often tokens at its "position" were accepted, or those of such
        a "confidence".
    alpha
        First guess of the chance that a token is accepted where those before it were.
    prior
        How many tokens the guess counts for, at every position.

    """

    chances: Literal["position", "confidence"] = "position"
    alpha: float = 0.7
    prior: float = 32.0

    def __post_init__(self) -> None:
        require(0 <= self.alpha <= 1, "verify.alpha", self.alpha, "needs a probability in [0, 1]")
        require(self.prior > 0, "verify.prior", self.prior, "needs a number > 0")

    @property
    def needs(self) -> Signal | None:
        """Confidences, where it goes by them."""
        return "confidences" if self.chances == "confidence" else None

    def start(self) -> "Cutter":
        """Return a cutter that has seen nothing yet."""
        return Cutter(self)

    def pays(self, now: Pass, more: Pass, rows: int, cost: Cost) -> bool:
        """Return whether the next likeliest level belongs into the verify."""
        raise NotImplementedError


@dataclass
class Cutter:
    """A cut at work in one run: it takes in the likeliest level until that does not pay.

    Chances fall with depth, so that where a verify's seconds rise ever faster with its tokens (or
    in a line) the first level that does not pay is the last one to be looked at.
    """

    config: Informed
    by_position: dict[int, Frequency] = field(default_factory=dict)
    by_confidence: dict[int, Frequency] = field(default_factory=dict)

    def depths(self, speculations: Sequence[Speculation], cost: Cost) -> list[int]:
        """Return how many levels of each speculation are verified."""
        rows = len(speculations)
        kept, now = [0] * rows, Pass(rows, float(rows))
        whole = [max(depths(one.parents)) for one in speculations]
        heap: list[tuple[float, int, float]] = []
        for place in range(rows):
            self._offer(heap, place, 0, whole[place], 1.0, cost)
        while heap:
            _, place, gain = heappop(heap)
            depth = kept[place]
            width = cost.nodes(depth + 1) - cost.nodes(depth)
            more = Pass(now.tokens + width, now.expected + gain)
            if not self.config.pays(now, more, rows, cost):
                break
            kept[place], now = depth + 1, more
            before = gain / self._mean(depth) * self._chance(speculations[place], depth)
            self._offer(heap, place, depth + 1, whole[place], before, cost)
        return kept

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """See how a verify ended."""
        deep = depths(speculation.parents)
        accepted = deep[outcome.node]
        for depth in range(min(accepted + 1, max(deep))):
            self._frequency(self.by_position, depth).see(depth < accepted)
            if self._informs(speculation):
                seen = bin_of(speculation.confidences[depth])
                self._frequency(self.by_confidence, seen).see(depth < accepted)

    def _offer(
        self,
        heap: list[tuple[float, int, float]],
        place: int,
        depth: int,
        whole: int,
        before: float,
        cost: Cost,
    ) -> None:
        """Put the next level of a row up, by what it gains a token."""
        if depth < whole:
            gain = before * self._mean(depth)
            width = cost.nodes(depth + 1) - cost.nodes(depth)
            heappush(heap, (-gain / width, place, gain))

    def _mean(self, depth: int) -> float:
        return max(self._frequency(self.by_position, depth).mean, 1e-9)

    def _chance(self, speculation: Speculation, depth: int) -> float:
        """Return the chance of a token that is in."""
        if not self._informs(speculation):
            return self._mean(depth)
        return self._frequency(self.by_confidence, bin_of(speculation.confidences[depth])).mean

    def _informs(self, speculation: Speculation) -> bool:
        confidences = self.config.chances == "confidence"
        return confidences and len(speculation.confidences) == max(depths(speculation.parents))

    def _frequency(self, known: dict[int, Frequency], key: int) -> Frequency:
        if key not in known:
            known[key] = Frequency(self.config.alpha, self.config.prior)
        return known[key]

"""Checks whether what sources tell can be, and whether they agree with each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from ssdsim.errors import ConfigError
from ssdsim.observe.files import OPTION
from ssdsim.observe.told import Told

AGREE = 0.05
NEAR = 0.1
SURE = 0.999
ROUNDING = 1.02
MUCH = 1.5
"""Times K + 1: what first tokens, which are of no round, do not come to."""


@dataclass(frozen=True)
class Gate:
    """A check: what has to be, whether it is, and the numbers."""

    what: str
    passed: bool
    numbers: str


def gates(merged: Told, of: Sequence[tuple[str, Told]]) -> list[Gate]:
    """Return the checks for which there are numbers.

    Parameters
    ----------
    merged
        All sources together.
    of
        Each of them, with its name.

    """
    return [*_of_acceptance(merged), *_of_times(merged), *_of_agreement(of)]


def refuse_impossible(merged: Told) -> None:
    """Refuse numbers that no server can have.

    Raises
    ------
    ConfigError
        A round makes more tokens than were drafted and one, or rates are no probabilities.

    """
    K = merged.lookahead
    if K and (tau := _too_many(merged, K + 1)):
        right = f"more than the {K:.4g} drafts and the bonus of a round: is this of two servers?"
        raise ConfigError(f"{OPTION}: {tau:.4g} tokens a round: {right}")
    if merged.round_seconds is not None and merged.round_seconds <= 0:
        raise ConfigError(f"{OPTION}: {merged.round_seconds:.4g} seconds a round: needs above 0")
    if merged.hits and not 0 <= merged.hits.rate <= 1:
        raise ConfigError(f"{OPTION}: hits {merged.hits.rate:.4g}: needs a share in [0, 1]")
    if any(not 0 <= p <= ROUNDING for p in (*merged.positions, *merged.conditional)):
        shown = " ".join(f"{p:.3g}" for p in merged.positions)
        raise ConfigError(f"{OPTION}: acceptance by position {shown}: needs shares in [0, 1]")


def _too_many(told: Told, most: float) -> float | None:
    """Return the tokens of a round if there are more than can be.

    Rates by position say it exactly; tokens over rounds have the first ones of texts in them.
    """
    by_position = 1 + sum(told.positions) if told.positions else told.tau
    if by_position and by_position > ROUNDING * most:
        return by_position
    return told.tau if told.tau and told.tau > MUCH * most else None


def _of_acceptance(told: Told) -> Iterator[Gate]:
    tau, K, positions = told.tau, told.lookahead, told.positions
    if tau and K:
        numbers = f"{tau:.3f} of {K + 1:.3g}"
        yield Gate("tokens a round at most K + 1", tau <= ROUNDING * (K + 1), numbers)
    if tau and positions:
        numbers = f"{1 + sum(positions):.3f} and {tau:.3f}"
        fine = abs(1 + sum(positions) - tau) <= AGREE * tau
        yield Gate("1 + the sum over positions is tokens a round, within 5 %", fine, numbers)
    if positions:
        falling = all(after <= before * ROUNDING for before, after in pairwise((1.0, *positions)))
        shown = " ".join(f"{p:.3f}" for p in positions)
        yield Gate("rates by position never rise", falling, shown)
        high = f"the highest is {max(positions):.4f}"
        if max(positions) >= SURE:
            high += ": do all prompts repeat themselves, or are few rounds counted?"
        yield Gate("no position is always accepted", max(positions) < SURE, high)
    if told.varies and positions:
        numbers = f"{K:.3g} in the mean" if K else "they vary"
        yield Gate("drafts of one length, else rates by position are too low", False, numbers)


def _of_times(told: Told) -> Iterator[Gate]:
    tau, tpot, seconds = told.tau, told.tpot_seconds, told.round_seconds
    if tau and tpot and seconds:
        own = seconds / tau
        fine = abs(own - tpot) <= NEAR * tpot
        numbers = f"{1000 * own:.2f} and {1000 * tpot:.2f} ms"
        yield Gate("a round over its tokens is the time per token, within 10 %", fine, numbers)
    if told.throughput and tpot and told.requests:
        most = told.requests / tpot
        numbers = f"{told.throughput:.0f} of {most:.0f} tokens/s"
        yield Gate("no more tokens/s than requests have", told.throughput <= 1.05 * most, numbers)


def _of_agreement(of: Sequence[tuple[str, Told]]) -> Iterator[Gate]:
    for (one, a), (other, b) in combinations(of, 2):
        if a.tau and b.tau:
            fine = abs(a.tau - b.tau) <= AGREE * max(a.tau, b.tau)
            numbers = f"{a.tau:.3f} and {b.tau:.3f}"
            yield Gate(f"{one} and {other} agree on tokens a round, within 5 %", fine, numbers)
        if a.lookahead and b.lookahead and not (_supposed(a) or _supposed(b)):
            fine = abs(a.lookahead - b.lookahead) <= AGREE * max(a.lookahead, b.lookahead)
            numbers = f"{a.lookahead:.3g} and {b.lookahead:.3g}"
            yield Gate(f"{one} and {other} agree on K, within 5 %", fine, numbers)


def _supposed(told: Told) -> bool:
    """Return whether K is only the longest that was accepted."""
    return any(said.startswith("K") for said in told.unknown)

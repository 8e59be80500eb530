"""What an interval of vLLM's V1 log says of its speculation, and intervals together."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ssdsim.observe.numbers import NUMBER, number, shares
from ssdsim.observe.told import TimedPass

ALIKE = 0.02
ROUNDED = 0.0005
"""How far a printed rate is from its value at most."""
FIRST_NAMES = {"Number of accepted tokens": "Accepted", "Number of draft tokens": "Drafted"}
"""As 0.8.0 wrote them."""


class Load(NamedTuple):
    """What an engine did: tokens a second of prompts and outputs, sequences, share of its cache.

    Where a line is of several `engines`, they are taken for equally busy.
    """

    prompts: float
    tokens: float
    running: float
    used: float
    engines: int = 1


@dataclass
class Interval:
    """What stands in the lines of one interval."""

    drafts: float
    accepted: float
    drafted: float
    positions: tuple[float, ...]
    round_seconds: float | None
    load: Load | None

    def mean(self) -> Iterator[TimedPass]:
        """Yield the mean over its rounds, if it is known how many sequences they had."""
        if self.load and self.load.running and self.round_seconds:
            b, K = self.load.running, self.drafted / self.drafts
            rounds = max(2.0, self.drafts / b)
            yield TimedPass(0, b, b * (K + 1), K, self.round_seconds, None, rounds)


def fields_of(text: str) -> dict[str, float]:
    """Return the numbers of a line by what stands before them, under their later names."""
    pairs = re.findall(rf"([A-Z][\w -]*?): ({NUMBER})", text)
    return {FIRST_NAMES.get(name, name): number(value) for name, value in pairs}


def positions_in(text: str, tau: float | None) -> tuple[float, ...]:
    """Return the rates by position; none of a line that was cut in the middle of them."""
    found = re.search(r"[Pp]er-position acceptance rate: (.*?)(?:, Avg|, [A-Z]|$)", text)
    rates = shares(found[1]) if found else ()
    lengths = 1 + sum(rates), sum(rates)
    """Up to 0.9.0 the mean length was printed without the bonus token."""
    return rates if tau is None or any(abs(n - tau) <= ALIKE * tau for n in lengths) else ()


def drafts_of(
    said: dict[str, float], positions: tuple[float, ...], configured: int | None
) -> float | None:
    """Return how many drafts an interval had, which no line says."""
    accepted, drafted = said.get("Accepted", 0.0), said.get("Drafted", 0.0)
    tau = said.get("Mean acceptance length")
    if positions and drafted:
        return _drafts_by(positions, accepted, drafted)
    if tau and accepted and abs(tau - 1) > ALIKE:
        return accepted / _accepted_a_round(tau, drafted / accepted)
    return drafted / configured if configured and drafted else None


def _drafts_by(positions: Sequence[float], accepted: float, drafted: float) -> float | None:
    """Return drafts from rates of three decimals; None where those are of other numbers.

    As many as were drafted at every position, or more of them that are shorter.
    """
    fewest, rates = drafted / len(positions), sum(positions)
    rounding = ROUNDED * len(positions)
    if abs(accepted / fewest - rates) <= ALIKE * rates + rounding:
        return fewest
    return accepted / rates if 0 < rates < accepted / fewest else None


def _accepted_a_round(length: float, drafted: float) -> float:
    """Return accepted tokens a round from a mean length, with the bonus token or without.

    Up to 0.9.0 it was without: where only that makes K, `drafted` for every accepted one, whole.
    """
    K, older = (length - 1) * drafted, length * drafted
    with_bonus = K >= 1 - ALIKE and (_off(K) <= ALIKE or _off(older) > ALIKE)
    return length - 1 if with_bonus else length


def _off(ratio: float) -> float:
    return abs(ratio - round(ratio)) / ratio


def pooled(of: Sequence[Interval]) -> tuple[float, ...]:
    """Return shares of all rounds by position; where less was drafted, nothing was accepted."""
    rounds = sum(one.drafts for one in of if one.positions)
    return tuple(
        sum(one.drafts * one.positions[at] for one in of if len(one.positions) > at) / rounds
        for at in range(max((len(one.positions) for one in of), default=0))
    )


def conditional(of: Sequence[Interval]) -> tuple[float, ...]:
    """Return the chance at every position of those drafts that went so far."""
    found = []
    for at in range(max((len(one.positions) for one in of), default=0)):
        long = [one for one in of if len(one.positions) > at]
        before = sum(one.drafts * (one.positions[at - 1] if at else 1.0) for one in long)
        here = sum(one.drafts * one.positions[at] for one in long)
        found.append(min(1.0, here / before) if before else 0.0)
    return tuple(found)

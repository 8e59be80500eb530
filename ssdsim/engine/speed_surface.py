"""The expected speed over a grid: lookaheads one way, fan-outs or budgets the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ssdsim.engine.exact_expectation import expect, mean_context
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError, require
from ssdsim.kinds import short_name
from ssdsim.policies.base import Policy, StaticPolicy
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout

LOOKAHEADS = tuple(range(1, 13))
FEW = (1, 2, 3, 4, 5, 7, 9, 12)
"""Enough to see where the peak is; every run writes them down."""
FANOUTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32)
BUDGETS = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)


@dataclass(frozen=True)
class Surface:
    """Tokens/s by the exact expectation.

    Attributes
    ----------
    option
        What goes up: "policy.fanout" or "policy.budget".
    lookaheads, values
        K, and the values of that option.
    speeds
        Tokens/s, shape (values, lookaheads); None where that cannot be.
    chosen
        K and the value of the setup that it is of; None where that has no such number.
    evenly
        Whether budgets are spread evenly, since what the policy learns is not known beforehand.
    context
        Tokens in the caches that all passes are counted at; None: those of the workload.

    """

    option: str
    lookaheads: tuple[int, ...]
    values: tuple[int, ...]
    speeds: tuple[tuple[float | None, ...], ...]
    chosen: tuple[int, int] | None
    evenly: bool
    context: int | None

    @property
    def how(self) -> str:
        """How the speeds are known."""
        evenly = ", each budget spread evenly" if self.evenly else ""
        at = "" if self.context is None else f", at the texts' mean context of {self.context}"
        return f"exact expectation{evenly}{at}"

    def plain(self, source: str) -> dict[str, Any]:
        """Return it as a page holds it, "precomputed" or "live"."""
        return {
            "x": {"name": "lookahead", "values": [*self.lookaheads]},
            "y": {"name": self.option, "values": [*self.values]},
            "metric": "tokens_per_s",
            "unit": "tokens/s",
            "values": [[*row] for row in self.speeds],
            "ci": None,
            "exact": not self.evenly and self.context is None,
            "how": self.how,
            "chosen": self.chosen and [*self.chosen],
            "source": source,
        }


def speed_surface(setup: Setup, lookaheads: Sequence[int] = LOOKAHEADS) -> Surface:
    """Return the expected tokens/s of a setup at other lookaheads and fan-outs, or budgets.

    Parameters
    ----------
    setup
        Of a method that prepares outcomes. Its own values are part of the grid.
    lookaheads
        The grid's, besides the setup's own.

    Raises
    ------
    ConfigError
        The method prepares none, the policy has neither number, or the exact expectation does not
        cover the setup whatever these numbers are.

    """
    method = short_name(type(setup.method))
    right = "needs a method that prepares outcomes, as ssd does"
    require("policy" in setup.method.uses, "method", method, right)
    option, usual = _option(setup.policy)
    own = getattr(setup.policy, option)
    chosen = own if isinstance(own, int) else None
    columns = _grid(lookaheads, setup.lookahead)
    rows = _grid(usual, chosen)
    context = mean_context(_at(setup, setup.lookahead, option, rows[0]))
    cells = [[_at(setup, lookahead, option, value) for value in rows] for lookahead in columns]
    # A lookahead after the other: what follows from it and the texts alone is remembered.
    speeds = tuple(zip(*([_speed(cell, context) for cell in of] for of in cells), strict=True))
    where = None if chosen is None else (setup.lookahead, chosen)
    return Surface(f"policy.{option}", columns, rows, speeds, where, _learns(setup.policy), context)


def _option(policy: Policy) -> tuple[str, Sequence[int]]:
    """Return which number of a policy is varied, and over which values."""
    if isinstance(policy, UniformFanout):
        return "fanout", FANOUTS
    name = short_name(type(policy))
    several = isinstance(policy, StaticPolicy) and not hasattr(policy, "fanout")
    right = "has neither a fan-out nor a budget that the exact expectation covers"
    require(_learns(policy) or several, "policy", name, right)
    return "budget", BUDGETS


def _learns(policy: Policy) -> bool:
    return isinstance(policy, TopkOutcomes)


def _grid(usual: Sequence[int], own: int | None) -> tuple[int, ...]:
    """Return the usual values and the setup's own, none of them 0."""
    return tuple(sorted({*usual, *([own] if own else [])}))


def _speed(setup: Setup, context: int | None) -> float | None:
    """Return the expected tokens/s; None where a run would be refused."""
    try:
        return expect(setup, context).tokens_per_s
    except ConfigError:
        return None


def _at(setup: Setup, lookahead: int, option: str, value: int) -> Setup:
    if _learns(setup.policy):
        spread = UniformFanout(budget=value, fanout=value)
        return replace(setup, lookahead=lookahead, policy=spread)
    policy: Any = setup.policy
    return replace(setup, lookahead=lookahead, policy=replace(policy, **{option: value}))

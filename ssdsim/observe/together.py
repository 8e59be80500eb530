"""Puts together what several sources of one server tell."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from ssdsim.observe.told import Told, rates_for

ACCEPTANCE = ("rounds", "lookahead", "varies", "tau", "positions", "conditional")
"""What is of one source: rates by position belong to the rounds that they were counted in."""
ADDED = ("passes", "suspicious", "unknown", "read", "unread")
TOPICS = {
    "acceptance": "conditional",
    "acceptance by position": "positions",
    "K": "lookahead",
    "seconds of a round": "round_seconds",
    "the load": "requests",
}
"""Which field answers what another source could not find out."""


def together(told: Sequence[Told]) -> Told:
    """Return what sources tell together: each thing from the one that counted the most rounds.

    What one of them does not know another one may.
    """
    ordered = sorted(told, key=lambda one: -one.rounds)
    found: dict[str, Any] = {}
    for field in fields(Told):
        values = [getattr(one, field.name) for one in ordered]
        if field.name in ADDED:
            found[field.name] = sum(values[1:], values[0])
        else:
            found[field.name] = next(
                (value for value in values if value not in (None, (), 0)), None
            )
    best = max(ordered, key=lambda one: (bool(one.positions), bool(one.conditional)))
    acceptance = {name: getattr(best, name) for name in ACCEPTANCE}
    acceptance["lookahead"] = best.lookahead or found["lookahead"]
    merged = Told(**(found | acceptance))
    return replace(merged, conditional=_conditional(merged), unknown=_left(told))


def _conditional(merged: Told) -> tuple[float, ...]:
    """Return the chances by position; where no source has them, the one that makes the length."""
    tau, K = merged.tau, merged.lookahead
    if merged.conditional or not tau or not K or not 1 <= tau <= K + 1:
        return merged.conditional
    return rates_for(tau, K)


def _left(told: Sequence[Told]) -> tuple[str, ...]:
    """Return what is still not known: what a source could not find out, and no other did."""
    said = [(each, one) for one in told for each in one.unknown]
    open_ones = [
        each
        for each, by in said
        if not any(_answers(each, other) for other in told if other is not by)
    ]
    return tuple(dict.fromkeys(open_ones))


def _answers(said: str, other: Told) -> bool:
    return bool(getattr(other, TOPICS.get(said.partition(":")[0], ""), None))

"""Tells what a choice hangs on: how far the world may differ before another candidate is better."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ssdsim.tune.evaluation import Figures, Trial
from ssdsim.tune.launching import Evaluations
from ssdsim.tune.search_space import Options
from ssdsim.tune.worlds import World

ALIKE = 0.002
"""A choice that is behind by less is as good as the best."""
HALVINGS = 4
"""How often the interval in which the winner changes is halved."""


class Change(NamedTuple):
    """A way in which the world may differ: a field of `World`, its values, and how it is said."""

    field: str
    values: tuple[float, ...]
    says: str


CHANGES = (
    Change("acceptance", (-0.05, 0.05), "acceptance {:+.3f}"),
    Change("draft", (0.8, 1.2), "draft time x {:.2f}"),
    Change("target", (0.8, 1.2), "target time x {:.2f}"),
    Change("slope", (0.5, 2.0), "verify slope x {:.2f}"),
    Change("batch", (0.5, 2.0, 4.0), "batch x {:.2g}"),
)


@dataclass(frozen=True)
class Effect:
    """What a change comes to.

    Attributes
    ----------
    says
        The change, in words.
    winner, tokens_per_s
        Of the candidates the best one there; None if none can be evaluated there.
    behind
        By which share of it the choice falls behind.
    from_
        Where the winner changes, in words; empty if it does not.
    refused
        Why nothing can be said; empty if something can.

    """

    says: str
    winner: Options | None
    tokens_per_s: float
    behind: float
    from_: str = ""
    refused: str = ""


def effects(
    choice: Options, candidates: Sequence[Options], evaluations: Evaluations
) -> list[Effect]:
    """Return what changes of the world do to a choice among candidates."""
    return list(_effects(choice, candidates, evaluations))


def _effects(
    choice: Options, candidates: Sequence[Options], evaluations: Evaluations
) -> Iterator[Effect]:
    batch = evaluations.bench.setup(Trial(choice)).batch
    worlds = {
        _world(change, value): (change, value)
        for change in CHANGES
        for value in change.values
        if change.field != "batch" or max(1, round(value * batch)) != batch
    }
    evaluations.figures([Trial(one, world) for world in worlds for one in candidates])  # at once
    for world, (change, value) in worlds.items():
        found = _found(candidates, world, evaluations)
        yield _effect(choice, found, change, value, evaluations)


def _world(change: Change, value: float) -> World:
    changed: dict[str, Any] = {change.field: value}
    return World(**changed)


def _found(
    candidates: Sequence[Options], world: World, evaluations: Evaluations
) -> dict[Options, Figures]:
    figures = evaluations.figures([Trial(one, world) for one in candidates])
    return dict(zip(candidates, figures, strict=True))


def _effect(
    choice: Options,
    found: dict[Options, Figures],
    change: Change,
    value: float,
    evaluations: Evaluations,
) -> Effect:
    says = change.says.format(value)
    winner = max(found, key=lambda one: found[one].tokens_per_s)
    best, own = found[winner].tokens_per_s, found[choice].tokens_per_s
    if not best:
        return Effect(says, None, 0.0, 0.0, refused=found[winner].refused)
    if own >= (1 - ALIKE) * best:
        return Effect(says, choice, own, 0.0)
    at = _crossing((choice, winner), change, value, evaluations)
    return Effect(says, winner, best, 1 - own / best, change.says.format(at))


def _crossing(
    both: tuple[Options, Options], change: Change, value: float, evaluations: Evaluations
) -> float:
    """Return from which value on the second is better, where the first is in the world as it is."""
    batch = evaluations.bench.setup(Trial(both[0])).batch if change.field == "batch" else None
    low, high = 0.0 if change.field == "acceptance" else 1.0, value
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if batch:
            middle = round(middle * batch) / batch
        if middle in (low, high):
            break
        found = _found(both, _world(change, middle), evaluations)
        ahead = found[both[0]].tokens_per_s >= found[both[1]].tokens_per_s
        low, high = (middle, high) if ahead else (low, middle)
    return high

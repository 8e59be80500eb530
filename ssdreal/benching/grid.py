"""SSD's service times at settings that were not measured: between probes at a few that were."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace

import numpy as np

from ssdreal.benching.figures import Figures, figures
from ssdreal.benching.prediction import SEEDS, branches, predict
from ssdreal.benching.probe import Probe
from ssdreal.benching.search import BUDGETS, LOOKAHEADS, Options
from ssdreal.benching.stand import Contender, Piece, Stand
from ssdreal.execution import Setup
from ssdreal.topology import Places
from ssdsim.policies.topk_outcomes import TopkOutcomes

PROBED_LOOKAHEADS = (1, 3, 6)
PROBED_BRANCHES = (4, 12, 24)


@dataclass(frozen=True)
class Grid:
    """Figures by (lookahead, branches), each linear in both between those probed."""

    known: Mapping[tuple[int, int], Figures]

    def at(self, lookahead: int, branches: int) -> Figures:
        """Return the figures there; beyond the probed range, those of its edge."""
        rows = {K: self._row(K, branches) for K in sorted({K for K, _ in self.known})}
        names = [field.name for field in fields(Figures)]
        return Figures(
            **{
                name: float(np.interp(lookahead, list(rows), [row[name] for row in rows.values()]))
                for name in names
            }
        )

    def _row(self, lookahead: int, branches: int) -> dict[str, float]:
        """Return the figures at a probed lookahead, by name."""
        points = sorted(
            (B, astuple(known)) for (K, B), known in self.known.items() if lookahead == K
        )
        most, values = zip(*points, strict=True)
        names = [field.name for field in fields(Figures)]
        columns = zip(names, zip(*values, strict=True), strict=True)
        return {name: float(np.interp(branches, most, column)) for name, column in columns}


def probed(stand: Stand, base: Setup, places: Places, *, quick: bool) -> Grid:
    """Measure the grid, or a quick look's part of it."""
    return Grid(
        {
            (lookahead, most): figures([_pieces(stand, base, places, lookahead, most)], lookahead)
            for lookahead in (PROBED_LOOKAHEADS[1:2] if quick else PROBED_LOOKAHEADS)
            for most in (PROBED_BRANCHES[:2] if quick else PROBED_BRANCHES)
        }
    )


@dataclass(frozen=True)
class Simulated:
    """SSD at any settings, simulated.

    Attributes
    ----------
    grid
        Its service times.
    base, places
        What all settings have in common.
    trace, prompts
        The acceptance trace, and how many of its texts.
    sharing
        How much of the measured contention there is.

    """

    grid: Grid
    base: Setup
    places: Places
    trace: str
    prompts: int
    sharing: float

    def best(self, few: int) -> tuple[Options, float]:
        """Return the fastest settings, looked for on a few texts, and their tokens/s on all."""
        found = max(_options(), key=lambda options: self.speed(options, few, seeds=1))
        return found, self.speed(found, self.prompts)

    def speed(self, options: Options, prompts: int, seeds: int = SEEDS) -> float:
        """Return the tokens/s of these settings."""
        contender = Contender("", options.setup(self.base), self.places)
        known = self.grid.at(options.lookahead, branches(contender))
        found = predict(contender, known, self.trace, prompts, self.sharing, seeds)
        return found.tokens_per_s


def _options() -> Iterator[Options]:
    for lookahead in LOOKAHEADS:
        for budget in BUDGETS:
            yield Options(lookahead, TopkOutcomes(budget=budget))


def _pieces(
    stand: Stand, base: Setup, places: Places, lookahead: int, most: int
) -> Sequence[Piece]:
    policy = TopkOutcomes(budget=most)
    setup = replace(base, method=Probe(), lookahead=lookahead, policy=policy)
    return stand.run(Contender("probe", setup, places)).pieces

"""Runs beside the first of them: metrics, ratios, settings and rounds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ssdsim.compare.alignment import Alignment, align
from ssdsim.compare.explanation import Explanation, explained
from ssdsim.compare.settings import differing
from ssdsim.run.metrics import speedup
from ssdsim.run.report import FIGURES
from ssdsim.run.trace import Run

COUNTS = {"token_mismatches", "near_tie_flips", "largest_flip_lead"}
"""Metrics whose ratio says nothing."""


@dataclass(frozen=True)
class Comparison:
    """Runs, and what tells them from the first.

    Attributes
    ----------
    names, runs
        The runs, and what they are called.
    settings
        Values by option, a run each, where they differ.
    alignments
        Of every other run with the first.
    explanation
        Of two runs, one measured and one simulated; else None.

    """

    names: tuple[str, ...]
    runs: tuple[Run, ...]
    settings: dict[str, list[Any]]
    alignments: tuple[Alignment, ...]
    explanation: Explanation | None

    def ratios(self, metric: str) -> list[tuple[float, float] | None]:
        """Return each other run's value over the first's, with its 95 % half-width."""
        first, *others = self.runs
        return [None if metric in COUNTS else _ratio(run, first, metric) for run in others]

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        found = self.explanation
        return {
            "runs": [
                {"name": name, "source": run.info["source"], "metrics": run.metrics}
                for name, run in zip(self.names, self.runs, strict=True)
            ],
            "ratios": {name: self.ratios(name) for name, _, _ in FIGURES},
            "settings": self.settings,
            "rounds": [asdict(one) | {"share": one.share} for one in self.alignments],
            "causes": found and found.causes and asdict(found.causes),
            "causes_missing": found and found.missing,
        }


def compare(runs: Sequence[Run], paths: Sequence[Path]) -> Comparison:
    """Compare runs with the first of them.

    Parameters
    ----------
    runs
        Two or more.
    paths
        Their directories.

    """
    first, *others = runs
    return Comparison(
        names=_names(paths),
        runs=tuple(runs),
        settings=differing([run.info.get("config") or {} for run in runs]),
        alignments=tuple(align(first, run) for run in others),
        explanation=explained(*runs) if len(runs) == 2 else None,
    )


def _names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Name runs after their folders, or where these are called alike after all of the path."""
    short = [path.resolve().name for path in paths]
    alike = len(set(short)) < len(short)
    return tuple(str(path) for path in paths) if alike else tuple(short)


def _ratio(run: Run, first: Run, metric: str) -> tuple[float, float] | None:
    mine, theirs = run.metrics.get(metric), first.metrics.get(metric)
    if not mine or not theirs:
        return None
    widths = [(each.metrics.get("ci95") or {}).get(metric, 0.0) for each in (run, first)]
    return speedup(mine, widths[0], theirs, widths[1])

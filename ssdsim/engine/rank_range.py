"""What a run that prepares outcomes would be with other ranks of bonus tokens, which no log tells.

From nothing predicted, or predicted in vain where that costs, to an oracle; with the ranks that
others published in between.
"""

from collections.abc import Iterator
from dataclasses import replace

from ssdsim.acceptance.observed import SURE, Observed
from ssdsim.engine.baselines import enter
from ssdsim.engine.pace import By
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import evaluate
from ssdsim.errors import ConfigError
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.run.trace import Run

NOTHING, VAIN, WORST, BEST, ORACLE = "nothing", "vain", "worst", "best", "oracle"
FIGURES = ("tokens_per_s", "hit_rate", "speedup_over_ar", "speedup_over_sd")
LABELS = {
    NOTHING: "nothing\npredicted",
    VAIN: "no\nrank",
    WORST: "worst\nranks",
    BEST: "best\nranks",
    ORACLE: "all\npredicted",
}
"""What the columns of a table are called, in their order."""


def rank_range(setup: Setup) -> dict[str, Run]:
    """Return the runs at the ends of both ranges; none where ranks are known or do not matter.

    They have metrics and no tables. One whose times the machine does not cover is left out.
    """
    if not isinstance(setup.acceptance, Observed) or "policy" not in setup.method.uses:
        return {}
    return {name: run for name, each in _ends(setup, setup.acceptance) if (run := _covered(each))}


def enter_range(run: Run, ends: dict[str, Run], baselines: dict[str, Run]) -> None:
    """Enter the range into a run's information, with the speedups over its baselines."""
    by: By = next((of["by"] for of in run.info["baselines"].values()), "tokens_per_s")
    for end in ends.values():
        enter(end, baselines, by)
    if ends:
        run.info["rank_range"] = {
            name: {figure: end.metrics[figure] for figure in FIGURES} for name, end in ends.items()
        }


def range_sentence(run: Run) -> str:
    """Say what the range comes to; nothing where a run has none."""
    ends = run.info.get("rank_range")
    if not ends or set(ends) != set(LABELS):
        return ""
    over = {name: of["speedup_over_sd"] or of["tokens_per_s"] for name, of in ends.items()}
    unit = "× best SD" if ends[NOTHING]["speedup_over_sd"] else "tokens/s"
    least = min(over[NOTHING], over[VAIN])
    whole = f"{least:.2f} to {over[ORACLE]:.2f} {unit}"
    band = f"{over[WORST]:.2f} to {over[BEST]:.2f} with ranks as published of other pairs"
    why = "no log tells the rank of the bonus token, so whether it was predicted (scores do)"
    return f"{run.info['method']} gives {whole}, {band}: {why}"


def _ends(setup: Setup, acceptance: Observed) -> Iterator[tuple[str, Setup]]:
    yield NOTHING, replace(setup, policy=UniformFanout(fanout=0))
    yield VAIN, replace(setup, acceptance=acceptance.known_by(1.0))
    for name, between in ((WORST, 1.0), (BEST, 0.0)):
        yield name, replace(setup, acceptance=replace(acceptance, between=between))
    yield ORACLE, replace(setup, policy=Oracle(), acceptance=acceptance.known_by(SURE))


def _covered(setup: Setup) -> Run | None:
    try:
        return evaluate(setup)
    except ConfigError:
        return None

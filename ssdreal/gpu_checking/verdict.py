"""What the check's runs say: how near to the hardware's limit, and what is left between passes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from ssdreal.models.configs import parameters_of, read_config
from ssdsim.trace import Run, load_run

BYTES = {"bfloat16": 2, "float32": 4}
LEAST_SHARE, MOST_IDLE = 0.70, 0.05
"""What AR at batch 1 must reach of the memory's bound, and what may lie between passes."""


@dataclass(frozen=True)
class Judged:
    """One run of the check.

    Attributes
    ----------
    name
        Of its folder.
    run
        The run.
    bound
        Tokens/s over those of a target that reads its weights once a token at the rate of a copy;
        None where several tokens come of a pass, or the rate is not known.

    """

    name: str
    run: Run
    bound: float | None

    @property
    def idle(self) -> float:
        """Share of decoding in which no model worked."""
        return float(self.run.metrics["idle"])

    @property
    def failings(self) -> Iterator[str]:
        """Say what misses its mark."""
        if self.idle > MOST_IDLE:
            yield f"{self.idle:.1%} of the time outside passes, over {MOST_IDLE:.0%}"
        if self.bound is not None and self.bound < LEAST_SHARE:
            yield f"{self.bound:.0%} of the memory's bound, under {LEAST_SHARE:.0%}"


def judged(folder: Path) -> list[Judged]:
    """Return all whole runs below a folder, by name; `ceilings.json` in it holds the device's.

    Parameters
    ----------
    folder
        Of the check.

    """
    ceilings = folder / "ceilings.json"
    rate = json.loads(ceilings.read_text())["copy_bytes_per_s"] if ceilings.is_file() else None
    found = []
    for path in sorted(folder.rglob("run.json")):
        run = load_run(path.parent)
        if run.info["complete"]:
            name = str(path.parent.relative_to(folder))
            found.append(Judged(name, run, bound_share(run, rate)))
    return found


def bound_share(run: Run, rate: float | None) -> float | None:
    """Return a run's tokens/s over what the memory allows a token a pass at batch 1."""
    config = run.info["config"]
    if rate is None or run.info["method"] != "autoregressive" or config["batch"] != 1:
        return None
    _, products = parameters_of(read_config(config["pair"]["target"]))
    return float(run.metrics["tokens_per_s"] * products * BYTES[config["dtype"]] / rate)


def table(runs: Sequence[Judged]) -> Table:
    """Return a row a run."""
    columns = ("run", "tokens/s", "x AR", "x SD", "hits", "idle", "of the bound", "misses its mark")
    found = Table(*columns, title="what the GPU did")
    for one in runs:
        metrics, info = one.run.metrics, one.run.info
        found.add_row(
            f"{one.name} ({info['source']})",
            _number(metrics["tokens_per_s"], ".1f"),
            _number(metrics.get("speedup_over_ar"), ".2f"),
            _number(metrics.get("speedup_over_sd"), ".2f"),
            _number(metrics["hit_rate"], ".2f"),
            f"{one.idle:.1%}",
            _number(one.bound, ".0%"),
            "; ".join(one.failings) or "-",
        )
    return found


def _number(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)

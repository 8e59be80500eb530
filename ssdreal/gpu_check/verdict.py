"""Compares the check's runs with the hardware's limits, with each other, and with ssdsim."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ssdreal.gpu_check.predictions import predicted
from ssdreal.models.configs import parameters_of, read_config
from ssdsim.run.trace import Run, load_run
from ssdsim.system.atomic_files import write_text

VERDICT = "verdict.json"
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
    predicted
        Tokens/s that ssdsim says it has; None where no profile was measured for it.

    """

    name: str
    run: Run
    bound: float | None
    predicted: float | None = None

    @property
    def idle(self) -> float:
        """Share of decoding in which no model worked."""
        return float(self.run.metrics["idle"])

    @property
    def speed(self) -> float:
        """Tokens/s."""
        return float(self.run.metrics["tokens_per_s"])

    @property
    def error(self) -> float | None:
        """How far the prediction is off, as a share of what was measured."""
        return None if self.predicted is None else self.predicted / self.speed - 1

    @property
    def pair(self) -> tuple[str, str]:
        """Names of both models."""
        pair = self.run.info["config"]["pair"]
        return pair["target"], pair["draft"]

    @property
    def where(self) -> str:
        """On which devices the models were."""
        config = self.run.info["config"]
        ranks = config["pair"].get("tp", 1)
        return str(config.get("topology", "")) + (f" tp={ranks}" if ranks > 1 else "")

    @property
    def split(self) -> float | None:
        """Share of the multiprocessors that the target had for itself."""
        share: float | None = self.run.info["config"]["split"]
        return share

    @property
    def passes(self) -> str:
        """How they were computed."""
        return str(self.run.info["config"]["passes"])

    @property
    def method(self) -> str:
        """How it decoded."""
        return str(self.run.info["method"])

    @property
    def failings(self) -> Iterator[str]:
        """Say what misses its mark."""
        if lost := self.run.info.get("draft_lost"):
            yield f"lost its draft: {lost}"
        if unlike := self.run.metrics.get("token_mismatches"):
            yield f"{unlike} tokens unlike the target's own"
        yield from sorted({given["whole"] for given in _given(self.run) if given["whole"]})
        if self.idle > MOST_IDLE:
            yield f"{self.idle:.1%} of the time outside passes, over {MOST_IDLE:.0%}"
        if self.bound is not None and self.bound < LEAST_SHARE:
            yield f"{self.bound:.0%} of the memory's bound, under {LEAST_SHARE:.0%}"

    def summary(self) -> dict[str, Any]:
        """Return what is worth keeping of it."""
        metrics, info = self.run.metrics, self.run.info
        names = ("speedup_over_ar", "speedup_over_sd", "speedup_over_same_devices", "hit_rate")
        return {
            "run": self.name,
            "source": info["source"],
            "pair": list(self.pair),
            "method": self.method,
            "where": self.where,
            "passes": self.passes,
            "split": self.split,
            "tokens_per_s": self.speed,
            **{name: metrics.get(name) for name in names},
            "token_mismatches": metrics.get("token_mismatches"),
            "idle": self.idle,
            "bound_share": self.bound,
            "predicted_tokens_per_s": self.predicted,
            "prediction_error": self.error,
            "failings": list(self.failings),
        }


@dataclass(frozen=True)
class Compared:
    """What a pair's runs say when they are held against each other; None where one is missing.

    Attributes
    ----------
    pair, where
        Both models, and on which devices they were.
    ssd_over_others, split
        The best SSD's tokens/s over the better of SD and AR on all of the same devices, and how
        the GPU was split for it.
    graph_over_eager
        Tokens/s of AR, and of SSD, with graphs over those without.

    """

    pair: tuple[str, str]
    where: str
    ssd_over_others: float | None
    split: float | None
    graph_over_eager: dict[str, float | None]

    def summary(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "pair": list(self.pair),
            "where": self.where,
            "ssd_over_sd_or_ar_on_the_same_devices": self.ssd_over_others,
            "split_of_that_ssd": self.split,
            "graph_over_eager": self.graph_over_eager,
        }


def judged(folder: Path) -> list[Judged]:
    """Return all whole runs below a folder, by name.

    Parameters
    ----------
    folder
        Of the check; `ceilings.json` in it holds the device's rates, and its profiles what ssdsim
        predicts with.

    """
    ceilings = folder / "ceilings.json"
    rate = json.loads(ceilings.read_text())["copy_bytes_per_s"] if ceilings.is_file() else None
    found = []
    for path in sorted(folder.rglob("run.json")):
        if "complete" not in json.loads(path.read_text()):
            continue  # a profile's
        run = load_run(path.parent)
        if run.info["complete"] and run.metrics["tokens_per_s"]:
            name = str(path.parent.relative_to(folder))
            found.append(Judged(name, run, bound_share(run, rate), predicted(run, folder)))
    return found


def compared(runs: Sequence[Judged]) -> list[Compared]:
    """Hold the runs of each pair on the same devices against each other."""
    groups = dict.fromkeys((one.pair, one.where) for one in runs)
    return [
        _compared(*key, [one for one in runs if (one.pair, one.where) == key]) for key in groups
    ]


def _compared(pair: tuple[str, str], where: str, runs: Sequence[Judged]) -> Compared:
    graphs = [one for one in runs if one.passes == "graph" and not one.run.info.get("draft_lost")]
    ssd = [one for one in graphs if one.method == "ssd"]
    others = [speed for one in graphs for speed in _others(one)]
    best = max(ssd, key=lambda one: one.speed, default=None)
    over = {name: _over(runs, name) for name in ("autoregressive", "ssd")}
    if best is None or not others:
        return Compared(pair, where, None, None, over)
    return Compared(pair, where, best.speed / max(others), best.split, over)


def _others(one: Judged) -> Iterator[float]:
    """Yield tokens/s of SD and AR on the whole of a device, from runs of theirs or beside one."""
    if one.method in {"autoregressive", "speculative"} and one.split is None:
        yield one.speed
    baseline = one.run.info["baselines"].get("same_devices")
    if baseline is not None:
        yield float(baseline["tokens_per_s"])


def _over(runs: Sequence[Judged], method: str) -> float | None:
    """Return a method's tokens/s with graphs over those without, on a GPU that is not split."""
    speeds: dict[str, list[float]] = {"graph": [], "eager": []}
    for one in runs:
        if one.split is None:
            speeds[one.passes] += _speeds(one, method)
    if not all(speeds.values()):
        return None
    return max(speeds["graph"]) / max(speeds["eager"])


def _speeds(one: Judged, method: str) -> Iterator[float]:
    """Yield tokens/s of a method in a run, or beside it."""
    if one.method == method:
        yield one.speed
    if method == "autoregressive" and "ar" in one.run.info["baselines"]:
        yield float(one.run.info["baselines"]["ar"]["tokens_per_s"])


def save(folder: Path, runs: Sequence[Judged]) -> None:
    """Write down what the runs come to."""
    ceilings = folder / "ceilings.json"
    content = {
        "ceilings": json.loads(ceilings.read_text()) if ceilings.is_file() else None,
        "marks": {"bound_share": LEAST_SHARE, "idle": MOST_IDLE},
        "runs": [one.summary() for one in runs],
        "pairs": [one.summary() for one in compared(runs)],
    }
    write_text(folder / VERDICT, json.dumps(content, indent=2) + "\n")


def bound_share(run: Run, rate: float | None) -> float | None:
    """Return a run's tokens/s over what the memory allows a token a pass at batch 1."""
    config = run.info["config"]
    if rate is None or run.info["method"] != "autoregressive" or config["batch"] != 1:
        return None
    _, products = parameters_of(read_config(config["pair"]["target"]))
    ranks = config["pair"].get("tp", 1)  # each reads its share
    return float(run.metrics["tokens_per_s"] * products * BYTES[config["dtype"]] / rate / ranks)


def table(runs: Sequence[Judged]) -> Table:
    """Return a row a run."""
    columns = ("run", "tokens/s", "predicted", "error", "x AR", "x SD", "hits", "idle", "bound")
    found = Table(*columns, "misses its mark", title="what the device did")
    for one in runs:
        metrics, info = one.run.metrics, one.run.info
        found.add_row(
            f"{one.name} ({info['source']}){_at(one)}",
            _number(one.speed, ".1f"),
            _number(one.predicted, ".1f"),
            _number(one.error, "+.1%"),
            _number(metrics.get("speedup_over_ar"), ".2f"),
            _number(metrics.get("speedup_over_sd"), ".2f"),
            _number(metrics["hit_rate"], ".2f"),
            f"{one.idle:.1%}",
            _number(one.bound, ".0%"),
            "; ".join(one.failings) or "-",
        )
    return found


def summary(runs: Sequence[Judged]) -> Table:
    """Return a row a pair."""
    columns = ("pair", "on", "SSD x SD or AR, same devices", "split", "graphs x eager: AR", "SSD")
    found = Table(*columns, title="what it is good for")
    for one in compared(runs):
        found.add_row(
            ", ".join(Path(model).name.removesuffix(".json") for model in one.pair),
            one.where,
            _number(one.ssd_over_others, ".2f"),
            _number(one.split, "g"),
            *(_number(ratio, ".2f") for ratio in one.graph_over_eager.values()),
        )
    return found


def _given(run: Run) -> Iterator[dict[str, Any]]:
    """Yield what a GPU gave each lane."""
    for device in run.info["devices"]:
        yield from device.get("given", {}).values()


def _at(one: Judged) -> str:
    split = "" if one.split is None else f" split={one.split:g}"
    return f" {one.method}{split}"


def _number(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)

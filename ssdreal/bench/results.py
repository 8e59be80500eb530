"""The results of a bench as plain numbers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from ssdreal.bench.coordination import Coordination
from ssdreal.bench.measurements import BenchRuns, Entry, PeerEntry
from ssdreal.bench.memory_bandwidth import Ceiling
from ssdreal.bench.predicted_run import Prediction
from ssdreal.bench.predictions import Forecast, Shared
from ssdreal.bench.service_times import ServiceTimes
from ssdreal.bench.settings_search import describe
from ssdsim.calibration.observations import DISPATCH
from ssdsim.run.results import provenance

TITLES = {
    "ar": "AR",
    "sd": "best SD",
    "ssd": "best SSD",
    "ar2": "AR, both cores",
    "sd2": "best SD, both cores",
    "hf": "HF generate",
    "hf_assisted": "HF assisted",
}


@dataclass(frozen=True)
class Row:
    """One contender.

    Attributes
    ----------
    name, settings
        Which one, and how.
    speeds, speed
        Tokens/s of decoding in every run, and their median.
    e2e
        Median tokens/s with prefill.
    acceptance_length, hit_rate, step_seconds
        Medians; None where there is no such thing, or transformers does not tell.
    same_texts
        Prompts whose output is AR's, token for token.

    """

    name: str
    settings: str
    speeds: Sequence[float]
    speed: float
    e2e: float
    acceptance_length: float | None
    hit_rate: float | None
    step_seconds: float | None
    same_texts: int


@dataclass(frozen=True)
class Streaming:
    """Seconds of the target's pass, and the bytes a second that it reads its weights with."""

    name: str
    width: int
    seconds: float
    rate: float


@dataclass(frozen=True)
class Results:
    """Everything that tables show, and the fit; by contender's name where there are several."""

    decoding: str
    prompts: int
    tokens: int
    machine: dict[str, Any]
    ceiling: Ceiling
    weight_bytes: int
    streaming: list[Streaming]
    rows: dict[str, Row]
    coordination: dict[str, Coordination]
    service: dict[str, ServiceTimes]
    fitted: list[dict[str, Any]]
    dispatch: float
    slowdown: dict[str, float]
    predictions: dict[str, Prediction]
    sharing: list[Shared]
    searched: dict[str, dict[str, float]]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    def error(self, name: str) -> float:
        """Return how far a prediction is off, relative to what was measured."""
        return self.predictions[name].tokens_per_s / self.rows[name].speed - 1

    def winner(self, predicted: bool) -> str:
        """Return the fastest of this project's contenders, predicted or measured."""
        speeds = {
            name: found.tokens_per_s if predicted else self.rows[name].speed
            for name, found in self.predictions.items()
        }
        return max(speeds, key=lambda name: speeds[name])


def unfinished(bench_runs: BenchRuns, decoding: str) -> dict[str, Any]:
    """Return what a bench has measured so far, as JSON has it."""
    own = {name: describe(entry.contender.setup) for name, entry in bench_runs.entries.items()}
    every: dict[str, Entry | PeerEntry] = {**bench_runs.entries, **bench_runs.peers}
    rows = {
        name: {"name": name, "settings": own.get(name), "speeds": entry.speeds}
        for name, entry in every.items()
    }
    return {
        "decoding": decoding,
        "prompts": len(bench_runs.contest.tasks),
        "tokens": bench_runs.base.workload.longest_output,
        "machine": provenance(),
        "rows": rows,
        "searched": bench_runs.searched,
        "complete": False,
    }


def collect(
    bench_runs: BenchRuns, forecast: Forecast, decoding: str, found: Ceiling, size: int
) -> Results:
    """Return what a course found; records the acceptance traces and simulates."""
    entries = bench_runs.entries
    plain = _outputs(entries["ar"])
    rows = {name: _row(entry, plain) for name, entry in entries.items()}
    rows |= {name: _peer_row(entry, plain) for name, entry in bench_runs.peers.items()}
    return Results(
        decoding=decoding,
        prompts=len(bench_runs.contest.tasks),
        tokens=bench_runs.base.workload.longest_output,
        machine=provenance(),
        ceiling=found,
        weight_bytes=size,
        streaming=[_streaming(entry, size) for entry in entries.values()],
        rows=rows,
        coordination={name: entry.coordination for name, entry in entries.items()},
        service=forecast.service(),
        fitted=[{**key._asdict(), "seconds": value} for key, value in forecast.fit.seconds.items()],
        dispatch=forecast.fit.seconds.get(DISPATCH, 0.0),
        slowdown=dict(forecast.fit.slowdown),
        predictions=forecast.predictions(),
        sharing=forecast.sharing(),
        searched=bench_runs.searched,
    )


def _row(entry: Entry, plain: Sequence[Sequence[int]]) -> Row:
    return Row(
        name=entry.contender.name,
        settings=describe(entry.contender.setup),
        speeds=entry.speeds,
        speed=entry.speed,
        e2e=entry.metric("tokens_per_s_e2e") or 0.0,
        acceptance_length=entry.metric("acceptance_length"),
        hit_rate=entry.metric("hit_rate"),
        step_seconds=entry.metric("step_seconds"),
        same_texts=_same(_outputs(entry), plain),
    )


def _peer_row(entry: PeerEntry, plain: Sequence[Sequence[int]]) -> Row:
    peer = entry.peer
    cache = "static cache" if peer.static else "dynamic cache"
    return Row(
        name=entry.name,
        settings=f"K={peer.drafted} constant" if peer.drafted else cache,
        speeds=entry.speeds,
        speed=entry.speed,
        e2e=median(generated.tokens_per_s_e2e for generated in entry.runs),
        acceptance_length=None,
        hit_rate=None,
        step_seconds=None,
        same_texts=_same(entry.runs[0].outputs, plain),
    )


def _streaming(entry: Entry, size: int) -> Streaming:
    passes = [p.passes for run in entry.runs for p in run.pieces if p.verify]
    seconds = median(passes)
    width = entry.contender.setup.pass_width
    return Streaming(entry.contender.name, width, seconds, size / seconds)


def _outputs(entry: Entry) -> list[list[int]]:
    outputs: list[list[int]] = entry.runs[0].run.tables["sequences"]["output"].to_pylist()
    return outputs


def _same(outputs: Sequence[Sequence[int]], plain: Sequence[Sequence[int]]) -> int:
    return sum(list(a) == list(b) for a, b in zip(outputs, plain, strict=True))

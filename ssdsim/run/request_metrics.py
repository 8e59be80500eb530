"""What requests saw of a run, and what serving them took: latencies, throughput, queues, cost.

Times to first token and end to end count from a request's arrival. A request's time per output
token is that after its first, (finish - first token) / (tokens - 1); of a single token there is
none. 95 % half-widths are batch means over the requests in order of arrival, as in
`ssdsim.run.metrics`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssdsim.run.columns import Floats
from ssdsim.run.metrics import half_width
from ssdsim.run.station import STAGE, Station
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.thinned import QUANTILES

LATENCIES = ("ttft", "tpot", "e2e", "queueing")
"""Time to first token, per output token, end to end, and before admission."""


@dataclass(frozen=True)
class Limits:
    """What a request must keep to for counting as good; None: whatever it is.

    Attributes
    ----------
    ttft, tpot, e2e
        Seconds to the first token, per output token, and end to end.

    """

    ttft: float | None = None
    tpot: float | None = None
    e2e: float | None = None


NO_LIMITS = Limits()


def request_metrics(
    sequences: Sequence[SequenceRecord],
    stations: Sequence[Station],
    blocks: float,
    limits: Limits,
    now: float,
) -> dict[str, Any]:
    """Return the metrics of `run.json` that requests and replicas make up, as of time `now`.

    `blocks` is how many KV blocks a replica has.
    """
    seen = _Seen.of([one for one in sequences if one.finish is not None])
    metrics = dict(_latencies(seen))
    metrics |= _rates(seen, limits, now) | _state(stations, blocks, now)
    metrics["preemptions"] = sum(one.preempted for one in sequences)
    metrics["prefix_hit_rate"] = _prefix_hits(sequences)
    return metrics


def request_confidence(sequences: Sequence[SequenceRecord]) -> dict[str, float]:
    """Return the 95 % half-widths of mean latencies, by batch means."""
    seen = _Seen.of([one for one in sequences if one.finish is not None])
    return {
        f"{name}_mean": half_width(values, np.ones(len(values)))
        for name in LATENCIES
        if len(values := getattr(seen, name)) >= 4
    }


def costs(
    devices: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any], now: float
) -> dict[str, float | None]:
    """Return a device's tokens a second, and what a million tokens cost and take of energy (J)."""
    million = metrics["tokens"] / 1e6
    prices = [device.get("price_per_hour") for device in devices]
    known = None not in prices and million
    paid = sum(of["count"] * (of.get("price_per_hour") or 0) for of in devices) * now / 3600
    energy = metrics["energy_j"]
    speed, count = metrics["output_tokens_per_s"], sum(device["count"] for device in devices)
    return {
        "output_tokens_per_s_per_device": speed / count if speed and count else None,
        "cost_per_million_tokens": paid / million if known else None,
        "energy_j_per_million_tokens": energy / million if million and energy else None,
    }


@dataclass(frozen=True)
class _Seen:
    """Latencies of finished requests in order of arrival, seconds; their tokens."""

    tokens: Floats
    ttft: Floats
    tpot: Floats
    each: Floats
    e2e: Floats
    queueing: Floats

    @classmethod
    def of(cls, sequences: Sequence[SequenceRecord]) -> "_Seen":
        names = ("arrival", "admitted", "first_token", "finish", "tokens")
        columns = (np.array([getattr(one, n) for one in sequences], np.float64) for n in names)
        arrival, admitted, first, finish, tokens = columns
        with np.errstate(invalid="ignore", divide="ignore"):
            each = (finish - first) / (tokens - 1)  # NaN of a single token
        tpot = each[~np.isnan(each)]
        return cls(tokens, first - arrival, tpot, each, finish - arrival, admitted - arrival)


def _latencies(seen: _Seen) -> Iterator[tuple[str, float | None]]:
    for name in LATENCIES:
        values = getattr(seen, name)
        yield f"{name}_mean", float(values.mean()) if len(values) else None
        for label, quantile in QUANTILES.items():
            yield f"{name}_{label}", float(np.quantile(values, quantile)) if len(values) else None


def _rates(seen: _Seen, limits: Limits, now: float) -> dict[str, float | None]:
    """Return what was delivered a second, from the run's start to its end."""
    good = np.ones(len(seen.tokens), np.bool_)
    for name, values in (("ttft", seen.ttft), ("tpot", seen.each), ("e2e", seen.e2e)):
        limit = getattr(limits, name)
        if limit is not None:
            good &= ~(values > limit)
    limited = limits != NO_LIMITS
    return {
        "requests_per_s": len(good) / now if now else None,
        "output_tokens_per_s": float(seen.tokens.sum()) / now if now else None,
        "goodput_requests_per_s": float(good.sum()) / now if now and limited else None,
        "good_fraction": float(good.mean()) if len(good) and limited else None,
    }


def _prefix_hits(sequences: Sequence[SequenceRecord]) -> float | None:
    """Return the share of prompts' tokens that were in a prefix cache; None without any."""
    asked = [one for one in sequences if one.cached_tokens is not None]
    tokens = sum(one.prompt_tokens for one in asked)
    return sum(one.cached_tokens or 0 for one in asked) / tokens if tokens else None


def _state(stations: Sequence[Station], blocks: float, now: float) -> dict[str, float | None]:
    """Return mean counts: requests at all stations together, KV blocks as a share of all."""
    waiting, running, held = np.sum([station.means(now) for station in stations], axis=0).tolist()
    replicas = sum(station.replica != STAGE for station in stations)
    share = blocks * replicas if np.isfinite(blocks) else None
    peak = max(station.peak for station in stations)
    return {
        "waiting_mean": waiting,
        "running_mean": running,
        "kv_usage_mean": held / share if share else None,
        "kv_usage_max": peak / blocks if share else None,
    }

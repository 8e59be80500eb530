"""Gauges and counters of an SGLang server as Prometheus reads them, `--enable-metrics`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ssdsim.observe.files import Source
from ssdsim.observe.formats.base import known, mean, missing
from ssdsim.observe.prometheus import Counters, Scrape, counters_in, engine_of, sample_of
from ssdsim.observe.sglang_rates import lookahead_of
from ssdsim.observe.told import TimedPass, Told, rates_for

SAMPLE = sample_of("sglang")
ROUNDS, GENERATED = "spec_verify_calls", "generation_tokens"
LENGTH, RATE = "spec_accept_length", "spec_accept_rate"
STEPS, NODES = "spec_num_steps", "spec_num_draft_tokens"
RUNNING = ("num_running_reqs",)
PER_TOKEN = ("inter_token_latency_seconds", "time_per_output_token_seconds")
"""The newer name and the older one; either counts every token of a round by itself."""
RANKS = ("tp_rank", "pp_rank", "moe_ep_rank")
"""Of one engine, whose ranks all say the same."""


@dataclass(frozen=True)
class SglangMetrics:
    """Rises of counters between scrapes; means of gauges, which are the last decode lines'."""

    title: ClassVar[str] = "metrics of SGLang (Prometheus)"
    key: ClassVar[str] = "sglang_metrics.prom"

    def recognises(self, source: Source) -> bool:
        """Return whether there is a sample of it."""
        return any(SAMPLE.match(line) for line in source.head)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return tokens and seconds a round between the first scrape and the last."""
        counters = counters_in(sources, SAMPLE, _generated)
        scrapes = [_of_one_rank(each) for each in counters.scrapes]
        counters, gauges = replace(counters, scrapes=scrapes), _Gauges(scrapes)
        rounds = counters.total(ROUNDS)
        tokens = counters.total(GENERATED) - counters.total("num_requests")
        tau = tokens / rounds if rounds and tokens >= rounds else gauges.busy(LENGTH)
        if not tau:
            raise missing(
                sources,
                f"no {LENGTH} above 0 in any scrape: needs one taken under load "
                "from a server that speculates",
            )
        return _told(counters, gauges, rounds or max(0.0, tokens) / tau, tau)

    def says(self, told: Told) -> dict[str, Any]:
        """Return tokens and seconds a round."""
        return known(rounds=told.rounds, K=told.lookahead, tau=told.tau, round_s=told.round_seconds)


def _of_one_rank(scrape: Scrape) -> Scrape:
    """Return every engine's series once, without the rank: all of its ranks say the same."""
    kept: Scrape = {}
    for (name, labels), value in sorted(scrape.items()):
        kept.setdefault((name, tuple(each for each in labels if each[0] not in RANKS)), value)
    return kept


def _generated(scrape: Scrape) -> float:
    return sum(v for (name, _), v in scrape.items() if name == f"{GENERATED}_total")


@dataclass(frozen=True)
class _Gauges:
    """What stood in the scrapes at their moments."""

    scrapes: list[Scrape]

    def busy(self, name: str) -> float | None:
        """Return a gauge's mean over engines and scrapes, by the requests that were running."""
        found = [
            (value, self._running(scrape, series[1]))
            for scrape in self.scrapes
            for series, value in scrape.items()
            if series[0] == name and value
        ]
        values = [value for value, _ in found]
        return mean(values, [n for _, n in found]) or mean(values)

    def last(self, name: str) -> float | None:
        """Return a gauge's largest value in the last scrape that has it."""
        for scrape in reversed(self.scrapes):
            if found := [v for series, v in scrape.items() if series[0] == name and v]:
                return max(found)
        return None

    def _running(self, scrape: Scrape, labels: tuple[tuple[str, str], ...]) -> float:
        engine = engine_of(("", labels))
        return sum(v for s, v in scrape.items() if s[0] in RUNNING and engine_of(s) == engine)


def _told(counters: Counters, gauges: _Gauges, rounds: float, tau: float) -> Told:
    running, speed = counters.gauge(*RUNNING), counters.gauge("gen_throughput")
    per_token = counters.ratio(*PER_TOKEN)
    seconds = per_token * tau if per_token else _seconds_alone(running, speed, tau)
    steps, nodes = gauges.last(STEPS), gauges.last(NODES)
    length, rate = gauges.busy(LENGTH), gauges.busy(RATE)
    K = steps or (lookahead_of([(length, rate)]) if length and rate else None)
    engines = counters.engines(RUNNING)
    each = running / engines if running else None
    context, usage = counters.gauge("num_used_tokens"), counters.gauge("token_usage")
    return Told(
        rounds=rounds,
        lookahead=K,
        tau=tau,
        conditional=rates_for(tau, K) if K else (),
        round_seconds=seconds,
        requests=each,
        kv_per_request=usage / running if usage and running else None,
        prompt_tokens=counters.ratio("prompt_tokens_histogram"),
        output_tokens=counters.ratio("generation_tokens_histogram"),
        throughput=speed or None,
        tpot_seconds=per_token,
        passes=_passes(each, K, nodes, seconds, context and context / engines, rounds),
        suspicious=(*counters.suspicious(), *_suspicious(counters, nodes, steps)),
        unknown=tuple(_unknown(K, seconds, running)),
        read=sum(map(len, counters.scrapes)),
    )


def _seconds_alone(running: float | None, speed: float | None, tau: float) -> float | None:
    """Return seconds a round from the load: all make `tau` tokens in it."""
    return running * tau / speed if running and speed else None


def _passes(
    requests: float | None,
    lookahead: float | None,
    nodes: float | None,
    seconds: float | None,
    context: float | None,
    rounds: float,
) -> tuple[TimedPass, ...]:
    if not (requests and lookahead and seconds):
        return ()
    tokens = requests * (nodes or lookahead + 1)
    weight = max(1.0, rounds / requests)
    return (TimedPass(0, requests, tokens, lookahead, seconds, context, weight),)


def _suspicious(counters: Counters, nodes: float | None, steps: float | None) -> Iterator[str]:
    if not counters.total(ROUNDS):
        yield f"{LENGTH} is of the last steps before each scrape, not of all in between"
    if nodes and steps and nodes > steps + 1:
        yield f"a tree of {nodes:.0f} nodes: taken for a chain of {steps:.0f} that accepts as much"


def _unknown(
    lookahead: float | None, seconds: float | None, running: float | None
) -> Iterator[str]:
    yield "acceptance by position: the metrics have its mean alone"
    if not lookahead:
        yield f"K: neither {STEPS} nor {RATE}"
    if not seconds:
        yield "seconds of a round: no inter-token latency was counted"
    if not running:
        yield "the load: num_running_reqs is missing, or 0 at every scrape"

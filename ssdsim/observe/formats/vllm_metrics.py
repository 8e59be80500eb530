"""Counters of vLLM or llama.cpp as Prometheus reads them: one scrape, or several of a server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ssdsim.observe.files import Source
from ssdsim.observe.formats.base import known, missing
from ssdsim.observe.prometheus import Counters, Scrape, counters_in, sample_of
from ssdsim.observe.told import TimedPass, Told, conditional_of

SAMPLE = sample_of("vllm", "llamacpp")
SPECULATION = "spec_decode_num_"
DRAFTS = "spec_decode_num_drafts"
INTERVALS = ("inter_token_latency_seconds", "time_per_output_token_seconds")
"""The newer name, and the older one of the same histogram."""
PER_TOKEN = ("request_time_per_output_token_seconds",)
RUNNING = ("num_requests_running", "requests_processing")
CACHE = ("kv_cache_usage_perc", "gpu_cache_usage_perc")

ADDS_UP = 0.02


@dataclass(frozen=True)
class VllmMetrics:
    """Differences between scrapes; of a single one all since the server's start."""

    title: ClassVar[str] = "metrics of vLLM or llama.cpp (Prometheus)"
    key: ClassVar[str] = "vllm_metrics"

    def recognises(self, source: Source) -> bool:
        """Return whether there is a sample of either."""
        return any(SAMPLE.match(line) for line in source.head)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return the rates between the first scrape and the last."""
        counters = counters_in(sources, SAMPLE, _drafts)
        drafts = counters.total(DRAFTS)
        if drafts <= 0:
            there = any(name.startswith(DRAFTS) for name, _ in counters.scrapes[-1])
            why = (
                "no draft between the first scrape and the last: needs both under load"
                if there
                else "no spec_decode_num_drafts: the server does not speculate, "
                "or is older than vLLM 0.9 (whose log tells more)"
            )
            raise missing(sources, why)
        return _told(counters, drafts)

    def says(self, told: Told) -> dict[str, Any]:
        """Return drafts, K, rates by position, tokens and seconds a round."""
        return known(
            drafts=told.rounds,
            K=told.lookahead,
            p=[*told.positions],
            tau=told.tau,
            conditional=[*told.conditional],
            round_s=told.round_seconds,
        )


def _drafts(scrape: Scrape) -> float:
    names = (DRAFTS, f"{DRAFTS}_total")
    return sum(value for series, value in scrape.items() if series[0] in names)


def _told(counters: Counters, drafts: float) -> Told:
    drafted = counters.total("spec_decode_num_draft_tokens")
    accepted = counters.total("spec_decode_num_accepted_tokens")
    positions = _positions(counters, drafts)
    lookahead = drafted / drafts if drafted else float(len(positions)) or None
    running = counters.gauge(*RUNNING)
    seconds = counters.ratio(*INTERVALS) or _seconds_alone(counters, accepted)
    each = running / counters.engines(RUNNING) if running else None
    return Told(
        rounds=drafts,
        lookahead=lookahead,
        varies=bool(lookahead and positions and lookahead < len(positions) * 0.98),
        tau=1 + (accepted or sum(positions) * drafts) / drafts,
        positions=positions,
        conditional=conditional_of(positions),
        round_seconds=seconds,
        requests=each,
        kv_per_request=_share(counters, running),
        prompt_tokens=counters.ratio("request_prompt_tokens"),
        output_tokens=counters.ratio("request_generation_tokens"),
        tpot_seconds=counters.ratio(*PER_TOKEN),
        passes=_passes(each, lookahead, seconds, drafts),
        suspicious=tuple(_suspicious(counters)),
        unknown=tuple(_unknown(counters, positions, seconds)),
        read=sum(map(len, counters.scrapes)),
    )


def _seconds_alone(counters: Counters, accepted: float) -> float | None:
    """Return llama.cpp's seconds a round: it counts those of decoding, and tokens."""
    seconds = counters.total("tokens_predicted_seconds")
    rounds = counters.total("tokens_predicted") - accepted
    return seconds / rounds if seconds and rounds > 0 else None


def _positions(counters: Counters, drafts: float) -> tuple[float, ...]:
    """Return rates by position; none of counters that are not all there."""
    by = counters.by_label("spec_decode_num_accepted_tokens_per_pos", "position")
    places = sorted((int(at), n) for at, n in by.items() if at.isdigit())
    accepted = counters.total("spec_decode_num_accepted_tokens")
    fine = not accepted or abs(sum(by.values()) - accepted) <= ADDS_UP * accepted
    return tuple(n / drafts for _, n in places) if fine else ()


def _share(counters: Counters, running: float | None) -> float | None:
    used = counters.gauge(*CACHE)
    return used / running if used and running else None


def _passes(
    requests: float | None,
    lookahead: float | None,
    seconds: float | None,
    drafts: float,
) -> tuple[TimedPass, ...]:
    if not (requests and lookahead and seconds):
        return ()
    tokens = requests * (lookahead + 1)
    return (TimedPass(0, requests, tokens, lookahead, seconds, None, drafts / requests),)


def _suspicious(counters: Counters) -> Iterator[str]:
    yield from counters.suspicious()
    models = _models(counters.scrapes[-1])
    if len(models) > 1:
        yield f"several models drafted ({', '.join(sorted(models))}): all are in one sum"


def _models(scrape: Scrape) -> set[str]:
    """Return the models that drafted."""
    return {
        dict(series[1]).get("model_name", "")
        for series, value in scrape.items()
        if series[0].startswith(SPECULATION) and value
    }


def _unknown(
    counters: Counters, positions: Sequence[float], seconds: float | None
) -> Iterator[str]:
    if not positions:
        yield "acceptance by position: spec_decode_num_accepted_tokens_per_pos is missing, or cut"
    if not seconds:
        yield "seconds of a round: no inter-token latency was counted"
    if counters.gauge(*RUNNING) is None:
        yield "the load: num_requests_running is missing"

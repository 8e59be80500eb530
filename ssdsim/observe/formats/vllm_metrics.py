"""Counters of vLLM or llama.cpp as Prometheus reads them: one scrape, or several of a server."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from ssdsim.observe.files import Source
from ssdsim.observe.formats.base import known, missing
from ssdsim.observe.numbers import NUMBER, number
from ssdsim.observe.told import TimedPass, Told, conditional_of

SAMPLE = re.compile(
    rf"^\s*(?:\w+[:_])?(?:vllm|llamacpp)[:_](\w+)(?:\{{(.*?)\}})?\s+({NUMBER}|NaN|[+-]?Inf)"
    r"(?:\s+[\d.]+)?(?:\s+# .*)?\s*$"
)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
SPECULATION = "spec_decode_num_"
INTERVALS = ("inter_token_latency_seconds", "time_per_output_token_seconds")
"""The newer name, and the older one of the same histogram."""
PER_TOKEN = ("request_time_per_output_token_seconds",)
RUNNING = ("num_requests_running", "requests_processing")
CACHE = ("kv_cache_usage_perc", "gpu_cache_usage_perc")

ADDS_UP = 0.02

Series = tuple[str, tuple[tuple[str, str], ...]]
Scrape = dict[Series, float]


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
        scrapes = _ordered([scrape for source in sources for scrape in _scrapes(source.lines())])
        counters = _Counters(scrapes)
        drafts = counters.total("spec_decode_num_drafts")
        if drafts <= 0:
            there = any(name.startswith("spec_decode") for name, _ in scrapes[-1])
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


def _scrapes(lines: Iterable[str]) -> Iterator[Scrape]:
    """Yield the scrapes of a file: a new one begins where a series comes again."""
    scrape: Scrape = {}
    for line in lines:
        found = SAMPLE.match(line)
        if not found:
            continue
        labels = tuple(sorted(LABEL.findall(found[2] or "")))
        series = found[1], labels
        if series in scrape:
            yield scrape
            scrape = {}
        value = float(found[3]) if found[3][-1].isalpha() else number(found[3])
        if math.isfinite(value):
            scrape[series] = value
    if scrape:
        yield scrape


def _ordered(scrapes: list[Scrape]) -> list[Scrape]:
    """Return scrapes in the order of their counts where all are of one start of the server."""
    same = len({_start(scrape) for scrape in scrapes}) == 1 and _start(scrapes[0])
    return sorted(scrapes, key=_drafts) if same else scrapes


def _start(scrape: Scrape) -> frozenset[tuple[Series, float]]:
    """Return when the counters of speculation began; empty where a scrape does not say."""
    return frozenset(
        (series, value)
        for series, value in scrape.items()
        if series[0].startswith(SPECULATION) and series[0].endswith("_created")
    )


def _drafts(scrape: Scrape) -> float:
    names = ("spec_decode_num_drafts", "spec_decode_num_drafts_total")
    return sum(value for series, value in scrape.items() if series[0] in names)


def _counts(series: Series) -> bool:
    return series[0].endswith(("_total", "_count", "_sum", "_bucket"))


def _restarted(before: Scrape, after: Scrape) -> set[str]:
    """Return the engines of which any counter fell: all of theirs have begun at 0 again."""
    fallen = (s for s, value in after.items() if _counts(s) and value < before.get(s, 0.0))
    return {_engine(series) for series in fallen}


def _engine(series: Series) -> str:
    labels = dict(series[1])
    return labels.get("engine", labels.get("engine_idx", ""))


@dataclass(frozen=True)
class _Counters:
    """By how much counters rose over some scrapes; after a restart they begin at 0 again."""

    scrapes: list[Scrape]

    def total(self, name: str) -> float:
        """Return a counter's rise, summed over all engines."""
        return sum(self.by_label(name, "").values())

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """Return its rise by the value of a label."""
        found: dict[str, float] = defaultdict(float)
        names = {name, f"{name}_total"}
        for before, after in self._pairs():
            anew = _restarted(before, after)
            for series, value in after.items():
                if series[0] in names:
                    past = 0.0 if _engine(series) in anew else before.get(series, 0.0)
                    found[dict(series[1]).get(label, "")] += value - past
        return dict(found)

    @property
    def restarts(self) -> int:
        """How often an engine was restarted meanwhile."""
        return sum(len(_restarted(*pair)) for pair in self._pairs())

    def gauge(self, *names: str) -> float | None:
        """Return a gauge's mean over scrapes, summed over engines; the first name that is there."""
        for name in names:
            sums = [
                sum(v for series, v in s.items() if series[0] == name)
                for s in self.scrapes
                if any(series[0] == name for series in s)
            ]
            if sums:
                return sum(sums) / len(sums)
        return None

    def ratio(self, *names: str) -> float | None:
        """Return a histogram's mean; of the first name that has counted anything."""
        for name in names:
            count = self.total(f"{name}_count")
            if count:
                return self.total(f"{name}_sum") / count
        return None

    @property
    def engines(self) -> int:
        """Engines that count."""
        running = {_engine(s) for s in self.scrapes[-1] if s[0] in RUNNING}
        return max(1, len(running))

    @property
    def models(self) -> set[str]:
        """Models that drafted."""
        return {
            dict(series[1]).get("model_name", "")
            for series, value in self.scrapes[-1].items()
            if series[0].startswith(SPECULATION) and value
        }

    def _pairs(self) -> Iterator[tuple[Scrape, Scrape]]:
        return pairwise(self.scrapes if len(self.scrapes) > 1 else [{}, *self.scrapes])


def _told(counters: _Counters, drafts: float) -> Told:
    drafted = counters.total("spec_decode_num_draft_tokens")
    accepted = counters.total("spec_decode_num_accepted_tokens")
    positions = _positions(counters, drafts)
    lookahead = drafted / drafts if drafted else float(len(positions)) or None
    running = counters.gauge(*RUNNING)
    seconds = counters.ratio(*INTERVALS) or _seconds_alone(counters, accepted)
    each = running / counters.engines if running else None
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


def _seconds_alone(counters: _Counters, accepted: float) -> float | None:
    """Return llama.cpp's seconds a round: it counts those of decoding, and tokens."""
    seconds = counters.total("tokens_predicted_seconds")
    rounds = counters.total("tokens_predicted") - accepted
    return seconds / rounds if seconds and rounds > 0 else None


def _positions(counters: _Counters, drafts: float) -> tuple[float, ...]:
    """Return rates by position; none of counters that are not all there."""
    by = counters.by_label("spec_decode_num_accepted_tokens_per_pos", "position")
    places = sorted((int(at), n) for at, n in by.items() if at.isdigit())
    accepted = counters.total("spec_decode_num_accepted_tokens")
    fine = not accepted or abs(sum(by.values()) - accepted) <= ADDS_UP * accepted
    return tuple(n / drafts for _, n in places) if fine else ()


def _share(counters: _Counters, running: float | None) -> float | None:
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


def _suspicious(counters: _Counters) -> Iterator[str]:
    if counters.restarts:
        yield "counters fell: the server was restarted, or the scrapes are not in their order"
    if len(counters.scrapes) == 1:
        yield "a single scrape: all since the server's start, its warm-up too"
    if len(counters.models) > 1:
        yield f"several models drafted ({', '.join(sorted(counters.models))}): all are in one sum"


def _unknown(
    counters: _Counters, positions: Sequence[float], seconds: float | None
) -> Iterator[str]:
    if not positions:
        yield "acceptance by position: spec_decode_num_accepted_tokens_per_pos is missing, or cut"
    if not seconds:
        yield "seconds of a round: no inter-token latency was counted"
    if counters.gauge(*RUNNING) is None:
        yield "the load: num_requests_running is missing"

"""TensorRT-LLM's iteration statistics, a JSON object each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ssdsim.observe.files import Record, Source, records_of
from ssdsim.observe.formats.base import either, known, mean, median, missing
from ssdsim.observe.thinned import Thinned
from ssdsim.observe.told import TimedPass, Told, rates_for

SPECULATION = ("specDecodingStats", "specDecStats", "spec_decoding_stats")
LATENCY = ("iterLatencyMS", "iter_latency_ms")


@dataclass(frozen=True)
class TrtllmIterStats:
    """The one engine whose iterations tell drafting and all of it apart."""

    title: ClassVar[str] = "TensorRT-LLM iteration statistics"
    key: ClassVar[str] = "trtllm_iter_stats.jsonl"

    def recognises(self, source: Source) -> bool:
        """Return whether an object is an iteration with its latency."""
        return any("iter" in r and either(r, *LATENCY) is not None for r in source.firsts)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return the sums over all iterations of the first rank."""
        log = _Log()
        for record in records_of(sources):
            log.take(record)
        if not log.requests:
            raise missing(sources, "no iteration has drafted tokens in specDecodingStats")
        return log.told()

    def says(self, told: Told) -> dict[str, Any]:
        """Return K, tokens and seconds a round, and of drafting."""
        return known(
            K=told.lookahead,
            tau=told.tau,
            round_s=told.round_seconds,
            draft_s=told.draft_seconds,
            kv_per_request=told.kv_per_request,
        )


@dataclass
class _Log:
    """Sums so far."""

    requests: float = 0.0
    drafted: float = 0.0
    accepted: float = 0.0
    drafts: Thinned[tuple[float, float]] = field(default_factory=Thinned)
    passes: Thinned[TimedPass] = field(default_factory=Thinned)
    shares: Thinned[tuple[float, float]] = field(default_factory=Thinned)
    read: int = 0
    unread: int = 0

    def take(self, record: Record) -> None:
        """Read an iteration; other ranks repeat the first one's counts."""
        if either(record, *LATENCY) is None:
            self.unread += 1
            return
        if int(record.get("attentionDpRank") or 0) or int(record.get("rank") or 0):
            return
        self.read += 1
        spec = either(record, *SPECULATION) or {}
        batching = record.get("inflightBatchingStats") or {}
        n = float(spec.get("numRequestsWithDraftTokens") or batching.get("numGenRequests") or 0)
        drafted = float(spec.get("numDraftTokens") or 0)
        if n and drafted:
            self.requests += n
            self.drafted += drafted
            self.accepted += float(spec.get("numAcceptedTokens") or 0)
            if (ms := either(spec, *LATENCY)) is not None:
                self.drafts.add((float(ms) / 1000, n))
        self._time(record, drafted, n)

    def _time(self, record: Record, drafted: float, drafting: float) -> None:
        batching = record.get("inflightBatchingStats") or {}
        decoding = float(
            either(batching, "numGenRequests") or drafting or record.get("numActiveRequests") or 0
        )
        seconds, prompt = float(either(record, *LATENCY)) / 1000, _prompt(batching)
        if not decoding + prompt or not seconds:
            return
        K = drafted / drafting if drafting else 0.0
        cache = record.get("kvCacheStats") or {}
        used, most = (float(cache.get(f"{n}NumBlocks") or 0) for n in ("used", "max"))
        context = used * float(cache.get("tokensPerBlock") or 0) or None
        if used and most and decoding:
            self.shares.add((used / most / decoding, decoding))
        self.passes.add(TimedPass(prompt, decoding, decoding + drafted, K, seconds, context))

    def told(self) -> Told:
        """Return what they tell."""
        rounds = [p for p in self.passes.kept if p.drafted and not p.prompt_tokens]
        with_prompts = [p for p in self.passes.kept if p.drafted]
        timed = rounds or with_prompts
        K, tau = self.drafted / self.requests, 1 + self.accepted / self.requests
        return Told(
            rounds=self.requests,
            lookahead=K,
            varies=abs(K - round(K)) > 0.02 * K,
            tau=tau,
            conditional=rates_for(tau, K),
            round_seconds=_usual(p.seconds for p in timed),
            draft_seconds=_usual(seconds for seconds, _ in self.drafts.kept),
            requests=mean([p.requests for p in timed]),
            kv_per_request=mean([s for s, _ in self.shares.kept], [n for _, n in self.shares.kept]),
            passes=tuple(self.passes.kept),
            unknown=tuple(_unknown(bool(rounds))),
            read=self.read,
            unread=self.unread,
        )


def _usual(seconds: Iterable[float]) -> float | None:
    """Return the median: the first iterations of a server take seconds."""
    return median(values, [1.0] * len(values)) if (values := [*seconds]) else None


def _prompt(batching: Record) -> float:
    return float(batching.get("numCtxTokens") or 0)


def _unknown(alone: bool) -> Iterator[str]:
    yield "acceptance by position: iterations count all positions together"
    if not alone:
        yield "seconds of a round without a prefill: every iteration had one"

"""vLLM's metrics of single requests, with what every round drafted and accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from ssdsim.observe.files import Record, Source, records_of
from ssdsim.observe.formats.base import Mean, either, known, mean, missing
from ssdsim.observe.thinned import Thinned
from ssdsim.observe.told import RoundCounts, TimedPass, Told

ACCEPTED = ("per_step_accepted", "per_step_num_accepted", "accepted_per_step")
DRAFTED = ("per_step_drafted", "per_step_num_drafted", "drafted_per_step")
BY_LENGTH = ("acceptance_histogram_by_draft_length",)
ALIKE = 0.02


@dataclass(frozen=True)
class VllmResponseMetrics:
    """Responses with `metrics.speculative_decoding`, one document or one a line."""

    title: ClassVar[str] = "vLLM responses with metrics"
    key: ClassVar[str] = "vllm_response_metrics.json"

    def recognises(self, source: Source) -> bool:
        """Return whether a response has metrics of its speculation."""
        return any(_speculation(record) for record in source.firsts)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return the rates over all rounds of all requests."""
        sums = _Sums()
        for record in records_of(sources):
            sums.add(record)
        if not sums.counts.counts:
            why = "no per_step_accepted with as many per_step_drafted, and no histogram"
            raise missing(sources, f"{why}: ask for detailed ones")
        return sums.told()

    def says(self, told: Told) -> dict[str, Any]:
        """Return rounds, rates by position and tokens a round."""
        return known(
            rounds=int(told.rounds),
            p=[*told.positions],
            tau=told.tau,
            K=told.lookahead,
            conditional=[*told.conditional],
        )


@dataclass
class _Sums:
    """Sums over responses."""

    counts: RoundCounts = field(default_factory=RoundCounts)
    drafted: Mean = field(default_factory=Mean)
    prompts: Mean = field(default_factory=Mean)
    outputs: Mean = field(default_factory=Mean)
    passes: Thinned[TimedPass] = field(default_factory=Thinned)
    read: int = 0
    unread: int = 0

    def add(self, record: Record) -> None:
        """Add a response, if it says what its rounds were."""
        found = _speculation(record)
        if not found or not _count(found, self.counts):
            self.unread += 1
            return
        self.read += 1
        if (n := _steps(found)) and (drafted := found.get("num_draft_tokens")):
            self.drafted.add(float(drafted) / n, n)
        for each in _timed(record, found):
            self.passes.add(each)
        usage = record.get("usage") or {}
        if "prompt_tokens" in usage and "completion_tokens" in usage:
            self.prompts.add(float(usage["prompt_tokens"]))
            self.outputs.add(float(usage["completion_tokens"]))

    def told(self) -> Told:
        """Return what they tell."""
        told, passes = self.counts.told(), self.passes.kept
        K = self.drafted.value or told.lookahead
        return replace(
            told,
            lookahead=K,
            varies=told.varies or _shorter(K, told.lookahead),
            round_seconds=mean([p.seconds for p in passes], [p.weight for p in passes]),
            prompt_tokens=self.prompts.value,
            output_tokens=self.outputs.value,
            passes=tuple(passes),
            unknown=("the load: responses say nothing of other requests",),
            read=self.read,
            unread=self.unread,
        )


def _speculation(record: Mapping[str, Any]) -> Record:
    metrics = either(record, "metrics", "request_metrics") or {}
    found = either(metrics, "speculative_decoding", "spec_decode", "speculative")
    return found if isinstance(found, dict) else {}


def _count(found: Record, counts: RoundCounts) -> bool:
    """Count a request's rounds; return whether it says what they were."""
    accepted = either(found, *ACCEPTED)
    if accepted:
        drafted = either(found, *DRAFTED) or [_most(found)] * len(accepted)
        if len(drafted) != len(accepted):
            return False  # cut somewhere: which of them belong together is not known
        for k, K in zip(accepted, drafted, strict=True):
            if K:
                counts.add(int(k), int(K))
        return True
    by_length = either(found, *BY_LENGTH)
    if not by_length and (histogram := found.get("acceptance_histogram")):
        most = _most(found) or (len(histogram) - 1 if isinstance(histogram, list) else 0)
        by_length = {str(most): histogram} if most else {}
    for drafted_length, histogram in (by_length or {}).items():
        by_accepted = histogram.items() if isinstance(histogram, dict) else enumerate(histogram)
        for k, n in by_accepted:
            if n and int(drafted_length):
                counts.add(int(k), int(drafted_length), n)
    return bool(by_length)


def _steps(found: Record) -> float:
    return float(either(found, "num_spec_steps", "num_steps") or 0)


def _shorter(mean_drafted: float | None, longest: float | None) -> bool:
    """Return whether drafts were shorter than a histogram's last place in the mean."""
    return bool(mean_drafted and longest and mean_drafted < (1 - ALIKE) * longest)


def _most(found: Record) -> int:
    return int(either(found, "num_spec_tokens", "num_speculative_tokens") or 0)


def _timed(record: Record, found: Record) -> list[TimedPass]:
    """Return a request as the mean over its rounds."""
    metrics = either(record, "metrics", "request_metrics") or {}
    ms, steps = metrics.get("generation_time_ms"), _steps(found)
    if not ms or not steps:
        return []
    K = float(either(found, "num_draft_tokens") or 0) / steps
    return [TimedPass(0, 1, K + 1, K, float(ms) / 1000 / steps, None, steps)]

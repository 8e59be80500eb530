"""SGLang's answers with `meta_info`: what the speculation of a request came to."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ssdsim.observe.files import Record, Source
from ssdsim.observe.formats.base import either, known, missing
from ssdsim.observe.told import Told, conditional_of, rates_for

ROUNDS = ("spec_verify_ct", "spec_verify_count")
ACCEPTED = (
    "spec_num_correct_drafts",
    "spec_accepted_drafts",
    "spec_accept_token_num",
    "spec_accepted_tokens",
    "spec_accept_tokens",
)
DRAFTED = (
    "spec_num_proposed_drafts",
    "spec_proposed_drafts",
    "spec_draft_token_num",
    "spec_draft_tokens",
)
HISTOGRAM = ("spec_correct_drafts_histogram", "spec_accept_histogram", "spec_acceptance_histogram")
ADDS_UP = 0.02


@dataclass(frozen=True)
class SglangMetaInfo:
    """One answer a line, or one document with an answer or a list of them."""

    title: ClassVar[str] = "SGLang meta_info"
    key: ClassVar[str] = "sglang"

    def recognises(self, source: Source) -> bool:
        """Return whether an answer has such an entry, or a count of its verifies."""
        return any([*_metas(record)] for record in source.firsts)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return the sums over all answers."""
        sums = _Sums()
        for meta in (m for source in sources for m in _finished(source)):
            sums.add(meta)
        if not sums.rounds or not sums.tokens:
            raise missing(sources, "no verify in any answer: the server does not speculate")
        return sums.told()

    def says(self, told: Told) -> dict[str, Any]:
        """Return tokens a round and rounds."""
        return known(
            meta_tau=told.tau,
            meta_rounds=int(told.rounds),
            meta_K=told.lookahead,
            meta_p=[*told.positions],
        )


@dataclass
class _Sums:
    """Sums over answers: verifies, tokens, drafts, and histograms of accepted drafts."""

    answers: int = 0
    unread: int = 0
    rounds: float = 0.0
    tokens: float = 0.0
    prompts: float = 0.0
    drafted: float = 0.0
    accepted: float | None = None
    histogram: Counter[int] = field(default_factory=Counter)

    def add(self, meta: Record) -> None:
        """Add an answer, if it counts its verifies."""
        rounds = either(meta, *ROUNDS)
        if not rounds:
            self.unread += 1
            return
        self.answers += 1
        self.rounds += float(rounds)
        self.tokens += float(meta.get("completion_tokens") or 0)
        self.prompts += float(meta.get("prompt_tokens") or 0)
        self.drafted += float(either(meta, *DRAFTED) or 0)
        if (accepted := either(meta, *ACCEPTED)) is not None:
            self.accepted = (self.accepted or 0.0) + float(accepted)
        if isinstance(histogram := either(meta, *HISTOGRAM), list):
            self.histogram.update({k: int(n) for k, n in enumerate(histogram)})

    def told(self) -> Told:
        """Return what they tell."""
        K = self.drafted / self.rounds if self.drafted else None
        positions = self._positions(K)
        tau = 1 + self._accepted() / self.rounds
        return Told(
            rounds=self.rounds,
            lookahead=K,
            tau=self.tokens / self.rounds,
            positions=positions,
            conditional=conditional_of(positions) or (rates_for(tau, K) if K else ()),
            prompt_tokens=self.prompts / self.answers,
            output_tokens=self.tokens / self.answers,
            unknown=tuple(_unknown(K, positions)),
            read=self.answers,
            unread=self.unread,
        )

    def _accepted(self) -> float:
        """Return accepted drafts; where no release's name for them is there, all but the bonus."""
        if self.accepted is not None:
            return self.accepted
        return max(0.0, self.tokens - self.answers - self.rounds)

    def _positions(self, lookahead: float | None) -> tuple[float, ...]:
        """Return the rates by position from the histograms of accepted drafts.

        Where those count the bonus token as well, one less; none of histograms of other rounds.
        """
        counts = [self.histogram[k] for k in range(max(self.histogram, default=-1) + 1)]
        rounds, counted = sum(counts), sum(k * n for k, n in enumerate(counts))
        if not rounds:
            return ()
        if not self._adds_up(counted):
            if not self._adds_up(counted - rounds):
                return ()
            counts = counts[1:]
        drafts = max(len(counts) - 1, round(lookahead or 0))
        return tuple(sum(counts[j:]) / rounds for j in range(1, drafts + 1))

    def _adds_up(self, counted: float) -> bool:
        """Return whether a histogram is of the rounds that were counted.

        But for an aborted request, and the first tokens where only tokens are counted.
        """
        accepted, first = self._accepted(), self.answers if self.accepted is None else 0
        return abs(counted - accepted) <= ADDS_UP * max(counted, accepted) + first


def _finished(source: Source) -> Iterator[Record]:
    """Yield the entries of answers; of a stream, whose counts go on, an answer's last one."""
    last: dict[str, Record] = {}
    for record in source.records():
        for meta in _metas(record or {}):
            if source.streamed and meta.get("id"):
                last[str(meta["id"])] = meta
            else:
                yield meta
    yield from last.values()


def _metas(record: Record) -> Iterator[Record]:
    """Yield the `meta_info` of an answer, or of its choices."""
    holders = [record, *(c for c in record.get("choices") or [] if isinstance(c, dict))]
    found = [h["meta_info"] for h in holders if isinstance(h.get("meta_info"), dict)]
    yield from found or ([record] if either(record, *ROUNDS) is not None else [])


def _unknown(lookahead: float | None, positions: Sequence[float]) -> Iterator[str]:
    yield "seconds of a round: e2e_latency has the queue and the prefill in it"
    if not lookahead:
        yield "K: no count of drafted tokens"
    if not positions:
        yield "acceptance by position: no histogram, or one of other rounds than were counted"

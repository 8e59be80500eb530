"""SGLang's answers with `meta_info`: what the speculation of a request came to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ssdsim.observe.files import Record, Source
from ssdsim.observe.formats.base import either, known, mean, missing
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
        metas = [m for source in sources for m in _finished(source)]
        counted = [meta for meta in metas if either(meta, *ROUNDS)]
        rounds = _sum(counted, ROUNDS)
        tokens = sum(float(meta.get("completion_tokens") or 0) for meta in counted)
        if not rounds or not tokens:
            raise missing(sources, "no verify in any answer: the server does not speculate")
        accepted, drafted = _accepted(counted, tokens, rounds), _sum(counted, DRAFTED)
        K = drafted / rounds if drafted else None
        positions = _positions(counted, K, accepted)
        tau = 1 + accepted / rounds
        return Told(
            rounds=rounds,
            lookahead=K,
            tau=tokens / rounds,
            positions=positions,
            conditional=conditional_of(positions) or (rates_for(tau, K) if K else ()),
            prompt_tokens=mean([float(meta.get("prompt_tokens") or 0) for meta in counted]),
            output_tokens=tokens / len(counted),
            unknown=tuple(_unknown(K, positions)),
            read=len(counted),
            unread=len(metas) - len(counted),
        )

    def says(self, told: Told) -> dict[str, Any]:
        """Return tokens a round and rounds."""
        return known(
            meta_tau=told.tau,
            meta_rounds=int(told.rounds),
            meta_K=told.lookahead,
            meta_p=[*told.positions],
        )


def _finished(source: Source) -> Iterator[Record]:
    """Yield the entries of answers; of a stream, whose counts go on, an answer's last one."""
    last: dict[str, Record] = {}
    for at, record in enumerate(source.records()):
        for meta in _metas(record or {}):
            streamed = source.streamed and meta.get("id")
            last[str(streamed or (at, len(last)))] = meta
    yield from last.values()


def _metas(record: Record) -> Iterator[Record]:
    """Yield the `meta_info` of an answer, or of its choices."""
    holders = [record, *(c for c in record.get("choices") or [] if isinstance(c, dict))]
    found = [h["meta_info"] for h in holders if isinstance(h.get("meta_info"), dict)]
    yield from found or ([record] if either(record, *ROUNDS) is not None else [])


def _sum(metas: Sequence[Mapping[str, Any]], names: Sequence[str]) -> float:
    return sum(float(either(meta, *names) or 0) for meta in metas)


def _accepted(metas: Sequence[Record], tokens: float, rounds: float) -> float:
    """Return accepted drafts; where no release's name for them is there, all but the bonus."""
    told = [meta for meta in metas if either(meta, *ACCEPTED) is not None]
    return _sum(told, ACCEPTED) if told else max(0.0, tokens - len(metas) - rounds)


def _positions(
    metas: Sequence[Record], lookahead: float | None, accepted: float
) -> tuple[float, ...]:
    """Return the rates by position from the histograms of accepted drafts.

    Where those count the bonus token as well, one less; none of histograms of other rounds.
    """
    histograms = [h for meta in metas if isinstance(h := either(meta, *HISTOGRAM), list)]
    most = max((len(h) for h in histograms), default=0)
    counts = [sum(float(h[k]) for h in histograms if k < len(h)) for k in range(most)]
    rounds, counted = sum(counts), sum(k * n for k, n in enumerate(counts))
    if rounds and _near(counted - rounds, accepted) and not _near(counted, accepted):
        counts = counts[1:]
    elif not rounds or not _near(counted, accepted):
        return ()
    drafts = max(len(counts) - 1, round(lookahead or 0))
    return tuple(sum(counts[j:]) / rounds for j in range(1, drafts + 1))


def _near(counted: float, accepted: float) -> bool:
    """Return whether a histogram is of the rounds that were counted, but for an aborted request."""
    return abs(counted - accepted) <= ADDS_UP * max(counted, accepted)


def _unknown(lookahead: float | None, positions: Sequence[float]) -> Iterator[str]:
    yield "seconds of a round: e2e_latency has the queue and the prefill in it"
    if not lookahead:
        yield "K: no count of drafted tokens"
    if not positions:
        yield "acceptance by position: no histogram, or one of other rounds than were counted"

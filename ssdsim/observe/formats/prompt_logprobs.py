"""What the draft makes of a text: `prompt_logprobs` of a server of the draft alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ssdsim.observe.files import Record, Source, records_of
from ssdsim.observe.formats.base import either, known, missing
from ssdsim.observe.ranks import CHAIN, FANOUTS, greedy_rounds, hits_of
from ssdsim.observe.told import Ranks, RoundCounts, Told

Candidates = tuple[tuple[int, float], ...]
Text = tuple[
    tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[float, ...], tuple[Candidates, ...]
]
"""Ids of the prompt, ids of the output, their ranks and log-probabilities, and the best there."""


@dataclass(frozen=True)
class PromptLogprobs:
    """The scoring pass: of every token its rank among the draft's candidates."""

    title: ClassVar[str] = "the draft's prompt_logprobs"
    key: ClassVar[str] = "vllm_draft_prompt_logprobs.json"

    def recognises(self, source: Source) -> bool:
        """Return whether the first answer has the log-probabilities of its prompt."""
        return any(_listed(choice) for choice in _choices(source.first))

    def read(self, sources: Sequence[Source]) -> Told:
        """Return the ranks of every text."""
        texts, unread = [], 0
        for record in records_of(sources):
            found = [_text(choice, record) for choice in _choices(record)]
            texts += [text for text in found if text]
            unread += not any(found)
        if not texts:
            raise missing(sources, "no token with a rank: ask with prompt_logprobs of 1 or more")
        prompts, tokens, ranks, logprobs, top = zip(*texts, strict=True)
        counts = RoundCounts()
        for each in ranks:
            for k, drafted, _ in greedy_rounds(each, CHAIN):
                counts.add(k, drafted)
        plain = Ranks(tokens, ranks, prompts, logprobs, top)
        told = counts.told() if counts.counts else Told()
        whole = all(not prompt for prompt in prompts)
        return replace(
            told,
            lookahead=None,
            ranks=plain,
            suspicious=("the file does not say where outputs begin: all of a text is output",)
            if whole
            else (),
            unknown=("the target's probabilities: exact for greedy decoding alone",),
            read=len(texts),
            unread=unread,
        )

    def says(self, told: Told) -> dict[str, Any]:
        """Return ranks, and what greedy chains of three came to."""
        assert told.ranks is not None
        ranks = told.ranks.ranks[0]
        rounds = [*greedy_rounds(ranks, CHAIN)]
        used = sum(k + 1 for k, _, _ in rounds)
        return known(
            ranks=[*ranks],
            greedy_K3_rounds=[{"accepted": k, "bonus_rank": rank} for k, _, rank in rounds],
            last=", ".join(f"rank {rank}" for rank in ranks[used:]) + " left over"
            if used < len(ranks)
            else None,
            hit_at_F={str(F): hits_of(rounds, F) for F in FANOUTS},
            texts=len(told.ranks.ranks),
        )


def _choices(record: Record) -> Iterator[Record]:
    """Yield the parts of an answer that may have the log-probabilities."""
    for choice in record.get("choices") or [record]:
        if isinstance(choice, dict):
            yield {**{k: v for k, v in record.items() if k != "choices"}, **choice}


def _listed(choice: Record) -> list[Any]:
    found = choice.get("prompt_logprobs")
    return found if isinstance(found, list) else []


def _text(choice: Record, record: Record) -> Text | None:
    """Return a text, from where its output begins."""
    listed = _listed(choice)
    if not any(isinstance(each, dict) for each in listed):
        return None
    ids = either(choice, "prompt_token_ids") or [_first_id(each) for each in listed]
    start = max(1, int(either(record, "output_from", "prompt_tokens_before_output") or 1))
    whole = start == 1
    tokens, ranks, logprobs, top = [], [], [], []
    for at in range(start, len(listed)):
        entry = listed[at] or {}
        own = entry.get(str(ids[at])) or next(iter(entry.values()), None)
        if not own or not own.get("rank"):
            break  # a text ends where its ranks do
        tokens.append(int(ids[at]))
        ranks.append(int(own["rank"]))
        logprobs.append(float(own.get("logprob") or 0.0))
        top.append(_best(entry))
    prompt = () if whole else tuple(map(int, ids[:start]))
    if not ranks:
        return None
    return prompt, tuple(tokens), tuple(ranks), tuple(logprobs), tuple(top)


def _best(entry: Record) -> Candidates:
    """Return the candidates that are listed without a gap, the best first."""
    ordered = sorted(
        (int(v["rank"]), int(k), float(v["logprob"]))
        for k, v in entry.items()
        if isinstance(v, dict) and v.get("rank")
    )
    best: list[tuple[int, float]] = []
    for rank, token, logprob in ordered:
        if rank != len(best) + 1:
            break
        best.append((token, logprob))
    return tuple(best)


def _first_id(entry: Any) -> int:
    """Return the id of the text's own token, which stands first; -1 where there is none."""
    return int(next(iter(entry), -1)) if isinstance(entry, dict) else -1

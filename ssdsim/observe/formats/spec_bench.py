"""The answers of Spec-Bench and EAGLE's evaluation, a question a line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ssdsim.observe.files import Record, Source
from ssdsim.observe.formats.base import either, known, mean, missing
from ssdsim.observe.told import RoundCounts, TimedPass, Told

LENGTHS = ("accept_lengths", "accept_length_list", "acceptance_lengths")


@dataclass(frozen=True)
class SpecBench:
    """Batch 1: steps, new tokens and seconds a turn, and the tokens of every step."""

    title: ClassVar[str] = "Spec-Bench answers"
    key: ClassVar[str] = "specbench.jsonl"

    def recognises(self, source: Source) -> bool:
        """Return whether the first answer's choices have turns with tokens."""
        return any("new_tokens" in choice for choice in _choices(source.first))

    def read(self, sources: Sequence[Source]) -> Told:
        """Return tokens and seconds a step, and rates by position, over all questions."""
        counts, turns, records, unread = RoundCounts(), list[_Turn](), 0, 0
        lengths: list[int] = []
        for record in (r for source in sources for r in source.records()):
            choices = [*_choices(record or {})]
            records, unread = records + bool(choices), unread + (not choices)
            turns += [turn for choice in choices for turn in _turns(choice)]
            lengths += [int(n) for choice in choices for n in _flat(either(choice, *LENGTHS) or [])]
        steps = sum(turn.steps for turn in turns)
        if not steps:
            raise missing(sources, "no decoding_steps (or idxs) beside new_tokens")
        K = max(lengths, default=1) - 1
        for length in lengths if K else []:
            counts.add(length - 1, K)
        told = counts.told() if counts.counts else Told()
        seconds = sum(turn.seconds for turn in turns)
        return replace(
            told,
            rounds=float(steps),
            lookahead=float(K) if K else None,
            tau=sum(turn.tokens for turn in turns) / steps,
            round_seconds=seconds / steps if seconds else None,
            requests=1.0,
            output_tokens=mean([turn.tokens for turn in turns]),
            passes=tuple(turn.timed(K) for turn in turns if turn.seconds and turn.steps),
            unknown=tuple(_unknown(K)),
            read=records,
            unread=unread,
        )

    def says(self, told: Told) -> dict[str, Any]:
        """Return tokens and seconds a round."""
        return known(tau=told.tau, round_s=told.round_seconds, p=[*told.positions])


@dataclass(frozen=True)
class _Turn:
    """Steps, tokens and seconds of a turn."""

    steps: float
    tokens: float
    seconds: float

    def timed(self, lookahead: int) -> TimedPass:
        """Return it as the mean over its rounds."""
        return TimedPass(
            0, 1, lookahead + 1, lookahead, self.seconds / self.steps, None, self.steps
        )


def _choices(record: Mapping[str, Any]) -> Iterator[Record]:
    for choice in record.get("choices") or []:
        if isinstance(choice, dict):
            yield choice


def _flat(lengths: Sequence[Any]) -> Iterator[Any]:
    """Yield the lengths of all turns, which some tools keep in a list each."""
    for each in lengths:
        yield from each if isinstance(each, list) else [each]


def _turns(choice: Record) -> Iterator[_Turn]:
    """Yield turns but for those that failed, of which everything is -1.

    EAGLE's `idxs` holds the last step's number, counted from 0.
    """
    last = choice.get("idxs")
    steps = choice.get("decoding_steps") or [n + 1 for n in last or []] or _listed_steps(choice)
    tokens = choice.get("new_tokens") or []
    seconds = choice.get("wall_time") or [0.0] * len(tokens)
    for n, t, s in zip(steps, tokens, seconds, strict=False):
        if t >= 0:
            yield _Turn(float(n), float(t), float(s))


def _listed_steps(choice: Record) -> list[int]:
    """Return the steps of the only turn, or of turns with a list each, by their lengths."""
    lengths = either(choice, *LENGTHS) or []
    if any(isinstance(each, list) for each in lengths):
        return [len(each) for each in lengths]
    return [len(lengths)] if len(choice.get("new_tokens") or []) == 1 and lengths else []


def _unknown(lookahead: int) -> Iterator[str]:
    if lookahead:
        yield f"K: the longest round accepted {lookahead}, more may have been drafted"
    else:
        yield "K and acceptance by position: no accept_lengths"

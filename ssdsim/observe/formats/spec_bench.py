"""The answers of Spec-Bench and EAGLE's evaluation, a question a line."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

from ssdsim.observe.files import Record, Source, records_of
from ssdsim.observe.formats.base import Mean, either, known, missing
from ssdsim.observe.thinned import Thinned
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
        sums = _Sums()
        for record in records_of(sources):
            sums.add(record)
        if not sums.steps:
            raise missing(sources, "no decoding_steps (or idxs) beside new_tokens")
        return sums.told()

    def says(self, told: Told) -> dict[str, Any]:
        """Return tokens and seconds a round."""
        return known(tau=told.tau, round_s=told.round_seconds, p=[*told.positions])


class _Turn(NamedTuple):
    """Steps, tokens and seconds of a turn."""

    steps: float
    tokens: float
    seconds: float


@dataclass
class _Sums:
    """Sums over turns, and how many steps were of which length."""

    steps: float = 0.0
    tokens: Mean = field(default_factory=Mean)
    seconds: float = 0.0
    timed: Thinned[_Turn] = field(default_factory=Thinned)
    lengths: Counter[int] = field(default_factory=Counter)
    read: int = 0
    unread: int = 0

    def add(self, record: Record) -> None:
        """Add the turns of a question."""
        choices = [*_choices(record)]
        self.read, self.unread = self.read + bool(choices), self.unread + (not choices)
        for choice in choices:
            self.lengths.update(int(n) for n in _flat(either(choice, *LENGTHS) or []))
            for turn in _turns(choice):
                self.steps += turn.steps
                self.tokens.add(turn.tokens)
                self.seconds += turn.seconds
                if turn.seconds and turn.steps:
                    self.timed.add(turn)

    def told(self) -> Told:
        """Return what they tell."""
        K = max(self.lengths, default=1) - 1
        counts = RoundCounts()
        for length, n in self.lengths.items() if K else ():
            counts.add(length - 1, K, n)
        return replace(
            counts.told() if counts.counts else Told(),
            rounds=self.steps,
            lookahead=float(K) if K else None,
            tau=self.tokens.total / self.steps,
            round_seconds=self.seconds / self.steps if self.seconds else None,
            requests=1.0,
            output_tokens=self.tokens.value,
            passes=tuple(
                TimedPass(0, 1, K + 1, K, turn.seconds / turn.steps, None, turn.steps)
                for turn in self.timed.kept
            ),
            unknown=tuple(_unknown(K)),
            read=self.read,
            unread=self.unread,
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

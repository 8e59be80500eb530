"""llama.cpp's answers with `timings`: tokens, milliseconds, drafts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from ssdsim.observe.files import Record, Source
from ssdsim.observe.formats.base import Mean, known, missing
from ssdsim.observe.thinned import Thinned
from ssdsim.observe.told import TimedPass, Told, rates_for

ENDS = 2
"""Tokens of an answer that no whole round has made."""


@dataclass(frozen=True)
class LlamaCppTimings:
    """Answers of `/completion` or `/v1/chat/completions`, one document or one a line."""

    title: ClassVar[str] = "llama.cpp timings"
    key: ClassVar[str] = "llamacpp"

    def recognises(self, source: Source) -> bool:
        """Return whether an answer has such timings."""
        return any("predicted_n" in _holder(record) for record in source.firsts)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return the sums over all answers; those without drafts tell what decoding alone takes."""
        sums = _Sums()
        for timing in (t for source in sources for t in _finished(source)):
            if timing.get("draft_n"):
                _refuse_more_than_drafted(sources, timing)
            sums.add(timing)
        if not sums.answers:
            raise missing(sources, "no answer has timings with predicted_n and predicted_ms")
        return sums.told()

    def says(self, told: Told) -> dict[str, Any]:
        """Return rounds, and tokens and seconds of one."""
        return known(
            rounds=round(told.rounds) or None,
            tau=told.tau,
            round_s=told.round_seconds,
            K=told.lookahead,
        )


@dataclass
class _Sums:
    """Sums over answers, those of answers with drafts by themselves."""

    answers: int = 0
    unread: int = 0
    prompts: Mean = field(default_factory=Mean)
    outputs: Mean = field(default_factory=Mean)
    passes: Thinned[TimedPass] = field(default_factory=Thinned)
    rounds: float = 0.0
    timed: float = 0.0
    accepted: float = 0.0
    drafted: float = 0.0
    seconds: float = 0.0

    def add(self, timing: Record) -> None:
        """Add an answer, if it could be read."""
        if not timing:
            self.unread += 1
            return
        self.answers += 1
        self.prompts.add(float(timing.get("prompt_n") or 0))
        self.outputs.add(float(timing["predicted_n"]))
        for each in _passes(timing):
            self.passes.add(each)
        if drafted := float(timing.get("draft_n") or 0):
            self.rounds += _rounds(timing)
            self.timed += _timed_passes(timing)
            self.accepted += float(timing.get("draft_n_accepted") or 0)
            self.drafted += drafted
            self.seconds += float(timing["predicted_ms"]) / 1000

    def told(self) -> Told:
        """Return what they tell."""
        told = Told(
            prompt_tokens=self.prompts.value,
            output_tokens=self.outputs.value,
            requests=1.0,
            unknown=("acceptance: no answer has draft_n, none was speculated for",),
            passes=tuple(self.passes.kept),
            read=self.answers,
            unread=self.unread,
        )
        return self._drafting(told) if self.rounds else told

    def _drafting(self, told: Told) -> Told:
        tau, K = 1 + self.accepted / self.rounds, self.drafted / self.rounds
        return replace(
            told,
            rounds=self.rounds,
            lookahead=K,
            varies=abs(K - round(K)) > 0.02 * K,
            tau=tau,
            conditional=rates_for(tau, K),
            round_seconds=self.seconds / self.timed,
            unknown=("acceptance by position: timings have sums alone; the log has it",),
        )


def _finished(source: Source) -> Iterator[Record]:
    """Yield the timings of answers; of a stream, whose tokens go on, an answer's last ones.

    Empty ones of what cannot be read.
    """
    last: Record = {}
    for record in source.records():
        if record is None:
            yield {}
        timing = _timings(record or {})
        ended = record == {} or not source.streamed
        if last and (ended or not _goes_on(last, timing)):
            yield last
            last = {}
        last = timing or last
    if last:
        yield last


def _goes_on(last: Record, timing: Record) -> bool:
    """Return whether a chunk is of the same answer; those without timings begin or end one."""
    same = all(last.get(name) == timing.get(name) for name in ("prompt_n", "prompt_ms"))
    return not timing or (same and timing["predicted_n"] >= last["predicted_n"])


def _refuse_more_than_drafted(sources: Sequence[Source], timing: Record) -> None:
    drafted, accepted = float(timing["draft_n"]), float(timing.get("draft_n_accepted") or 0)
    if not 0 <= accepted <= drafted:
        right = f"needs at most the {drafted:.0f} of draft_n"
        raise missing(sources, f"draft_n_accepted is {accepted:.0f}: {right}")


def _timings(record: Mapping[str, Any]) -> Record:
    """Return an answer's timings; empty where it has none."""
    found = _holder(record)
    return found if found.get("predicted_n") and found.get("predicted_ms") else {}


def _holder(record: Mapping[str, Any]) -> Record:
    found = record.get("timings", record)
    return found if isinstance(found, dict) else {}


def _bonuses(timing: Record) -> float:
    """Return the tokens of an answer that no draft had: one a pass, and the prefill's."""
    return max(1.0, float(timing["predicted_n"]) - float(timing.get("draft_n_accepted") or 0))


def _rounds(timing: Record) -> float:
    """Return the rounds with a draft.

    As many as bonuses, or one or two less: the first token is the prefill's, and the last pass has
    no draft where one token is left. The number that makes drafts of one length, if one does.
    """
    most, drafted = _bonuses(timing), float(timing.get("draft_n") or 0)
    fewer = (most - less for less in range(ENDS + 1) if most > less)
    return next((n for n in fewer if drafted % n == 0), most)


def _timed_passes(timing: Record) -> float:
    """Return the passes that an answer's time is of: but for the prefill's, one a bonus."""
    return max(_rounds(timing), _bonuses(timing) - 1)


def _passes(timing: Record) -> Iterator[TimedPass]:
    """Yield the prefill, and the mean over an answer's rounds."""
    prompt, ms = float(timing.get("prompt_n") or 0), float(timing.get("prompt_ms") or 0)
    cached = float(timing.get("cache_n") or 0)
    if prompt and ms:
        yield TimedPass(prompt, 0, 0, 0, ms / 1000, cached)
    n, K = _rounds(timing), float(timing.get("draft_n") or 0)
    context = prompt + cached + float(timing["predicted_n"]) / 2
    seconds = float(timing["predicted_ms"]) / 1000 / _timed_passes(timing)
    yield TimedPass(0, 1, K / n + 1, K / n, seconds, context, n)

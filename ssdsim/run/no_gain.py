"""Why speculative speculative decoding gained nothing over ordinary speculation, in a sentence.

Of each cause it is asked how fast the run would have been without it, told from its own rounds and
spans and from what SD's run came to: by how much shorter a round would have been, and how many
tokens it would have made. The one without which the run would have been fastest is binding.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from ssdsim.run.anatomy import anatomy
from ssdsim.run.columns import VERIFIES, Bools, Floats, Rounds, Spans, among
from ssdsim.run.misses import VERDICTS, before, verdicts
from ssdsim.run.stored_table import beginning
from ssdsim.run.trace import Run

MOST = 100_000
"""First rounds and spans of a run that are looked at."""

WORTHWHILE = 1.005
"""Times its speed that a run would have without a cause, less than which it is none."""


class Cause(NamedTuple):
    """What kept a run from being faster.

    Attributes
    ----------
    without
        Times its speed that the run would have had without it.
    sentence
        What it is, with its numbers.

    """

    without: float
    sentence: str


def no_gain(run: Run) -> str:
    """Say why a run that prepared outcomes is no faster than SD; nothing where it is, or unknown.

    The run has been compared with its baselines. Where more than its metrics are needed, its first
    rounds and spans tell.
    """
    metrics = run.info.get("metrics") or {}
    sd = (run.info.get("baselines") or {}).get("sd") or {}
    over = metrics.get("speedup_over_sd")
    if not over or over > 1 or metrics.get("hit_rate") is None or not sd.get("step_seconds"):
        return ""
    if sd.get("by", "tokens_per_s") != "tokens_per_s":
        return ""  # of a load a queue decides, which rounds do not tell of
    binding = max(_causes(_Seen(run, sd)), default=Cause(1.0, ""))
    if binding.without < WORTHWHILE:
        return f"no gain over SD ({over:.2f} ×), and no single cause of it"
    without = f"without that it would make {over * binding.without:.2f} × SD"
    return f"no gain over SD ({over:.2f} ×): {binding.sentence}; {without}"


def _causes(seen: "_Seen") -> Iterator[Cause]:
    if len(seen.hit):
        yield _slow_draft(seen)
        yield _misses(seen)
        yield _shared(seen) if seen.shares else _rows(seen)
        yield _short_hits(seen)
        yield _messages(seen)


@dataclass(frozen=True)
class _Seen:
    """What a run shows of its rounds, and `sd`, what is known of SD's run."""

    run: Run
    sd: dict[str, Any]

    @cached_property
    def spans(self) -> Any:
        """The first spans."""
        return beginning(self.run.tables["spans"], MOST)[:MOST]

    @cached_property
    def rounds(self) -> Any:
        """The rounds that end while those last."""
        table = beginning(self.run.tables["rounds"], MOST)[:MOST]
        cut = len(self.spans) < len(self.run.tables["spans"])
        until = self.spans["start"].to_numpy()[-1] if cut else np.inf
        return table.filter(table["end"].to_numpy() <= until)

    @cached_property
    def parts(self) -> dict[str, Floats]:
        """Where the time of each round goes."""
        return anatomy(self.spans, self.rounds)

    @cached_property
    def columns(self) -> Rounds:
        """The rounds' columns."""
        return Rounds.of(self.rounds)

    @property
    def hit(self) -> Floats:
        """1 or 0, NaN where nothing had been predicted."""
        return self.columns.hit

    @cached_property
    def missed(self) -> Bools:
        """In which rounds some row of the batch missed."""
        _, step = np.unique(self.columns.end, return_inverse=True)
        found: Bools = np.bincount(step, self.hit == 0)[step] > 0
        return found

    @cached_property
    def passes(self) -> dict[str, Floats]:
        """The seconds of every verify, and of every pass over branches."""
        spans, kind = Spans.of(self.spans), self.spans["kind"].to_numpy(zero_copy_only=False)
        lasting, branches = spans.end - spans.start, among(kind, frozenset({"prespeculate"}))
        return {"verify": lasting[among(kind, VERIFIES)], "branches": lasting[branches]}

    @property
    def lookahead(self) -> int:
        """K."""
        found: int = self.run.info["config"]["lookahead"]
        return found

    @property
    def shares(self) -> bool:
        """Whether draft and target run on the same devices."""
        lanes = (device["lanes"] for device in self.run.info["devices"])
        return any({"draft", "target"} <= set(on) for on in lanes)

    @property
    def slower(self) -> float:
        """Seconds that a verify takes longer than SD's."""
        return max(0.0, _mean(self.passes["verify"]) - self.sd_verify)

    @property
    def sd_verify(self) -> float:
        """Seconds of a verify of SD."""
        found: float = self.sd["target_busy"] * self.sd["step_seconds"]
        return found

    def tokens(self, chosen: Any = slice(None)) -> float:
        """Return the mean tokens of these rounds."""
        return 1 + _mean(self.columns.accepted[chosen])

    def without(self, seconds: float, tokens: float = 0.0) -> float:
        """Return times which speed rounds have that are shorter, and make more tokens."""
        lasting = _mean(self.columns.end - self.columns.start)
        return (1 + tokens / self.tokens()) * lasting / max(lasting - seconds, 1e-12)


def _slow_draft(seen: _Seen) -> Cause:
    tail, K = _mean(seen.parts["tail"]), seen.lookahead
    steps = min(K, ceil(tail * K / max(_mean(seen.passes["branches"]), 1e-12) - 1e-9))
    said = f"the draft is the bottleneck, its branches end {_ms(tail)} after the verify: "
    return Cause(seen.without(tail), said + f"K={K} is too deep by {steps} step{'s'[: steps != 1]}")


def _misses(seen: _Seen) -> Cause:
    stalls = (seen.parts["backup"] + seen.parts["mates"])[seen.missed]
    hits, misses = (seen.tokens(seen.hit == known) for known in (1, 0))
    gained = max(0.0, hits - seen.tokens()) if (seen.hit == 1).any() else 0.0
    said = f"{_missing(seen)}, and waited {_ms(_mean(stalls))} for redrafts of {misses:.2f} tokens"
    return Cause(seen.without(_mean(stalls) * float(seen.missed.mean()), gained), said)


def _missing(seen: _Seen) -> str:
    if (last := _after_the_last(seen)) > 0.5:
        said = "the last position is not covered: {:.0f} % of the misses came after all K={} tokens"
        return said.format(100 * last, seen.lookahead) + " had been accepted"
    rates = f"hit rate {_percent(seen.hit[~np.isnan(seen.hit)])} %"
    if len(np.unique(seen.columns.end)) < len(seen.hit):
        stalled = _percent(seen.missed)
        return f"misses stall the batch: in {stalled} % of the rounds some row missed ({rates})"
    return f"misses: {_percent(seen.missed)} % of the rounds missed ({rates})"


def _after_the_last(seen: _Seen) -> float:
    """Return the share of the misses that came after a chain accepted whole, nothing prepared."""
    table = seen.rounds
    kinds = verdicts(Run(seen.run.info, {**seen.run.tables, "rounds": table})).kinds
    row = before(*(table[name].to_numpy() for name in ("seq", "round")))
    whole = seen.columns.accepted == table["drafted"].to_numpy()
    uncovered = (kinds == VERDICTS.index("k not covered")) & whole[row]
    return float(uncovered.sum()) / max(1.0, float((seen.hit == 0).sum()))


def _rows(seen: _Seen) -> Cause:
    best = seen.sd["lookahead"]
    kept = 1 + _mean(np.minimum(seen.columns.accepted, best))
    said = f"too many tokens are verified: a verify takes {_ms(_mean(seen.passes['verify']))} "
    said += f"at K={seen.lookahead}, that of SD {_ms(seen.sd_verify)} at K={best}"
    return Cause(seen.without(seen.slower, kept - seen.tokens()), said)


def _shared(seen: _Seen) -> Cause:
    said = f"one shared device: a verify takes {_ms(_mean(seen.passes['verify']))} beside the "
    return Cause(seen.without(seen.slower), said + f"draft, that of SD {_ms(seen.sd_verify)}")


def _short_hits(seen: _Seen) -> Cause:
    hits, other = seen.hit == 1, seen.sd["acceptance_length"]
    mean = seen.tokens(hits) if hits.any() else other
    said = f"hits are not tokens: {_percent(hits)} % of the rounds hit, and make {mean:.2f} tokens "
    gained = float(hits.mean()) * max(0.0, other - mean)
    return Cause(seen.without(0.0, gained), said + f"each, those of SD {other:.2f}")


def _messages(seen: _Seen) -> Cause:
    link = _mean(seen.parts["link"])
    return Cause(seen.without(link), f"messages: the link takes {_ms(link)} of a round")


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0


def _percent(truths: Any) -> str:
    return f"{100 * float(truths.mean()):.0f}" if len(truths) else "0"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"

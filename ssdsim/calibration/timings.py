"""Extracts from a run how long each piece of work took, and how long the other model was busy."""

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from ssdsim.run.trace import Run
from ssdsim.sampling.settings import sampling_of

FIRST_ROUNDS = 3
"""Rounds of a run that do not count: caches are cold, the clock may be low."""

Span = dict[str, Any]
"""A row of `spans.parquet`."""

KINDS = ("prefill", "verify", "speculate", "prespeculate")


@dataclass(frozen=True)
class Timing:
    """A piece of work.

    Attributes
    ----------
    visit
        Number of the run.
    kind
        Of its span: "prefill", "verify", "speculate" or "prespeculate"; or "exit", which is a
        verify up to where the target has spoken.
    lane
        "target" or "draft".
    devices
        Devices that the target is spread over.
    own
        Whether the draft works beside the target in this run, on devices or on a stream of its
        own, rather than in turn with it.
    coupling
        "greedy", "maximal" or "gumbel".
    batch, branches
        Rows, and branches of all of them together.
    lookahead
        K; for a tree its depth.
    tokens
        In a verify, or in the pass that finds candidates: all rows together. Of a prefill's
        prompts.
    context
        Tokens in a row's cache, mean over the rows; where verifies are padded, what they are
        padded to.
    start, seconds
        When it began, and how long it took.
    shared
        Seconds of it in which the other model worked too.
    gap
        Seconds before it in which nobody worked; NaN where somebody did.
    sitting
        Number of the hour that the run was made in, among those of a profile.
    exit
        The share of its layers after which the target speaks in this run's verifies; 0: never.

    """

    visit: int
    kind: str
    lane: str
    devices: int
    own: bool
    coupling: str
    batch: int
    branches: int
    lookahead: int
    tokens: int
    context: float
    start: float
    seconds: float
    shared: float
    gap: float
    sitting: int = 0
    exit: float = 0.0

    @property
    def cell(self) -> tuple[Any, ...]:
        """What a piece has in common with those that should take as long."""
        return (
            self.visit,
            self.kind,
            self.lane,
            self.devices,
            self.own,
            self.coupling,
            self.batch,
            self.branches,
            self.lookahead,
            self.tokens if self.kind != "prefill" else round(self.tokens, -1),
            self.exit,
        )


def timings(
    run: Run, visit: int = 0, *, padding: int = 0, skip: int = FIRST_ROUNDS, sitting: int = 0
) -> list[Timing]:
    """Return the pieces of work of a run with all its slots in use.

    Parameters
    ----------
    run
        Measured or simulated; every verify has K tokens a row and one more.
    visit
        Its number among the runs of a calibration.
    padding
        As `ssdsim.latency.machine.Machine` has it.
    skip
        First rounds that do not count.
    sitting
        Number of the hour that it was made in.

    """
    spans = sorted(_spans(run.tables["spans"]), key=itemgetter("start"))
    counted = _counted(spans, skip)
    common = {"visit": visit, "sitting": sitting, **_setting(run)}
    measure = _Measure(run, spans, padding)
    found = [
        Timing(**common, **measure.of(span), shared=shared, gap=gap)
        for span, (shared, gap) in zip(spans, _beside(spans), strict=True)
        if counted(span)
    ]
    return found + list(_exits(found, run.tables["spans"]))


def _setting(run: Run) -> dict[str, Any]:
    """Return what all pieces of a run have in common: devices, and how it sampled.

    Where two streams share a GPU, only a tree that is grown tells that they run side by side.
    """
    sampling = sampling_of(run.info["config"])
    lanes = [of["lanes"] for of in run.info["devices"]]
    return {
        "devices": next(of["count"] for of in run.info["devices"] if "target" in of["lanes"]),
        "own": ["draft"] in lanes or "prespeculate" in run.tables["spans"]["kind"].to_pylist(),
        "coupling": sampling.coupling if sampling.temperature else "greedy",
        "exit": share_of(run.info.get("exit")),
    }


def share_of(exit_: dict[str, Any] | None) -> float:
    """Return the share of its layers after which a run's target spoke; 0: never."""
    return exit_["layer"] / exit_["layers"] if exit_ else 0.0


def _exits(pieces: Sequence[Timing], spans: pa.Table) -> Iterator[Timing]:
    """Yield every verify up to where the target spoke, which is when what it said went off."""
    said = sorted(span["start"] for span in spans.to_pylist() if span["kind"] == "transfer")
    for piece in pieces if said else ():
        if piece.kind == "verify":
            at = bisect(said, piece.start)
            seconds = said[at] - piece.start if at < len(said) else np.inf
            if seconds < piece.seconds:
                yield replace(piece, kind="exit", seconds=seconds, shared=0.0, gap=np.nan)


def _counted(spans: Sequence[Span], skip: int) -> Callable[[Span], bool]:
    """Tell which spans count: prompts, and what comes after the first rounds in full slots."""
    verifies = [span["start"] for span in spans if span["kind"] == "verify"][:skip]
    begin, slots = max(verifies, default=-np.inf), max(span["batch"] for span in spans)
    return lambda span: (
        span["kind"] == "prefill" or (span["start"] > begin and span["batch"] == slots)
    )


class _Measure:
    """Tells the sizes of a run's spans."""

    def __init__(self, run: Run, spans: Sequence[Span], padding: int) -> None:
        self.width = max(
            (span["tokens"] // span["batch"] for span in spans if span["kind"] == "verify"),
            default=1,
        )
        self.lengths = _Lengths(run)
        self.padded = self.lengths.padded(self.width, padding)

    def of(self, span: Span) -> dict[str, Any]:
        """Return how large a span's work was, and how long it took."""
        known = {name: span[name] for name in ("kind", "lane", "batch", "branches", "start")}
        seconds = span["end"] - span["start"]
        return {**known, **self._size(span), "context": self._context(span), "seconds": seconds}

    def _size(self, span: Span) -> dict[str, int]:
        """Return the depth of a tree or chain, and the tokens of the pass beside it."""
        batch, tokens, branches = span["batch"], span["tokens"], span["branches"]
        if span["kind"] == "prespeculate":
            depth = tokens // branches if branches else 0
            return {"lookahead": depth, "tokens": batch * self.width}
        if span["kind"] == "speculate":
            return {"lookahead": tokens // batch, "tokens": batch}
        return {"lookahead": self.width - 1, "tokens": tokens}

    def _context(self, span: Span) -> float:
        if span["kind"] == "prefill":
            return 0.0
        padded = self.padded and span["kind"] == "verify"
        return self.padded if padded else self.lengths.mean(span)


def to_table(pieces: Sequence[Timing]) -> pa.Table:
    """Return pieces as a table, a column an attribute."""
    names = list(Timing.__dataclass_fields__)
    return pa.table({name: [getattr(piece, name) for piece in pieces] for name in names})


def from_table(table: pa.Table) -> list[Timing]:
    """Return the pieces that such a table holds."""
    return [Timing(**row) for row in table.to_pylist()]


def cells(pieces: Sequence[Timing]) -> dict[tuple[Any, ...], list[Timing]]:
    """Return the pieces by their cell."""
    ordered = sorted(pieces, key=lambda piece: piece.cell)
    return {cell: list(found) for cell, found in groupby(ordered, key=lambda piece: piece.cell)}


def _spans(table: pa.Table) -> list[Span]:
    """Return the spans of work; a backup that takes no time (a lookup) does none."""
    return [
        span for span in table.to_pylist() if span["kind"] in KINDS and span["end"] > span["start"]
    ]


def _beside(spans: Sequence[Span]) -> Iterator[tuple[float, float]]:
    """Yield for every span the seconds that another lane worked too, and the gap before it."""
    end, kind = -np.inf, "prefill"
    for at, span in enumerate(spans):
        near = spans[max(at - 6, 0) : at + 7]
        shared = sum(_overlap(span, other) for other in near if other["lane"] != span["lane"])
        idle = end <= span["start"] and "prefill" not in (kind, span["kind"])
        yield shared, span["start"] - end if idle else np.nan
        if span["end"] > end:
            end, kind = span["end"], span["kind"]


def _overlap(one: Span, other: Span) -> float:
    shared: float = min(one["end"], other["end"]) - max(one["start"], other["start"])
    return max(0.0, shared)


class _Lengths:
    """How long every sequence is at any time."""

    def __init__(self, run: Run) -> None:
        sequences, rounds = run.tables["sequences"], run.tables["rounds"].to_pydict()
        seqs = np.array(rounds["seq"])
        ends, tokens = np.array(rounds["end"]), np.array(rounds["accepted"]) + 1
        self.of = {
            row["seq"]: (
                row["prompt_tokens"],
                ends[seqs == row["seq"]],
                np.r_[0, np.cumsum(tokens[seqs == row["seq"]])],
            )
            for row in sequences.select(["seq", "prompt_tokens"]).to_pylist()
        }

    def mean(self, span: Span) -> float:
        """Return the mean length of a span's sequences when it began."""
        seqs = span["seqs"] or [span["seq"]]
        return float(np.mean([self._at(seq, span["start"]) for seq in seqs]))

    def padded(self, width: int, padding: int) -> float:
        """Return what verifies of `width` tokens a row are padded to."""
        longest = max(prompt + lengths[-1] for prompt, _, lengths in self.of.values())
        return float(padding * np.ceil((longest + width) / padding)) if padding else 0.0

    def _at(self, seq: int, time: float) -> float:
        prompt, ends, lengths = self.of[seq]
        return float(prompt + lengths[np.searchsorted(ends, time, side="right")])

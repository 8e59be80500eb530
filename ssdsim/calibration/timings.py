"""What every piece of work in a run took, and what else went on meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from ssdsim.trace import Run

FIRST_ROUNDS = 3
"""Rounds of a run that do not count: caches are cold, the clock may be low."""

KINDS = ("prefill", "verify", "speculate", "prespeculate")


@dataclass(frozen=True)
class Timing:
    """A piece of work.

    Attributes
    ----------
    visit
        Number of the run.
    kind
        Of its span: "prefill", "verify", "speculate" or "prespeculate".
    lane
        "target" or "draft".
    devices
        Devices that the target is spread over.
    own
        Whether the draft has devices of its own in this run.
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
        )


def timings(
    run: Run,
    visit: int = 0,
    *,
    lookahead: int,
    coupling: str = "greedy",
    own: bool = True,
    padding: int = 0,
    skip: int = FIRST_ROUNDS,
) -> list[Timing]:
    """Return the pieces of work of a run with all its slots in use.

    Parameters
    ----------
    run
        Measured or simulated.
    visit
        Its number among the runs of a calibration.
    lookahead
        K of the run, 0 for AR.
    coupling
        How it sampled: "greedy", "maximal" or "gumbel".
    own
        Whether the draft had devices of its own.
    padding
        As `ssdsim.machine.Machine` has it.
    skip
        First rounds that do not count.

    """
    spans = sorted(_spans(run.tables["spans"]), key=lambda span: span["start"])
    lengths = _Lengths(run)
    verifies = [span["start"] for span in spans if span["kind"] == "verify"]
    last_skipped = verifies[min(skip, len(verifies)) - 1] if verifies and skip else -np.inf
    slots, padded = max(span["batch"] for span in spans), lengths.padded(lookahead + 1, padding)
    found = []
    for span, (shared, gap) in zip(spans, _beside(spans), strict=True):
        prompt = span["kind"] == "prefill"
        if not prompt and (span["start"] <= last_skipped or span["batch"] < slots):
            continue
        context = padded if padding and span["kind"] == "verify" else lengths.mean(span)
        known = {name: span[name] for name in ("kind", "lane", "batch", "branches", "start")}
        found.append(
            Timing(
                visit=visit,
                devices=_devices(run),
                own=own,
                coupling=coupling,
                **known,
                **_size(span, lookahead),
                context=0.0 if prompt else context,
                seconds=span["end"] - span["start"],
                shared=shared,
                gap=gap,
            )
        )
    return found


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


def _spans(table: pa.Table) -> list[dict[str, Any]]:
    """Return the spans of work; a backup that takes no time (a lookup) does none."""
    return [
        span for span in table.to_pylist() if span["kind"] in KINDS and span["end"] > span["start"]
    ]


def _devices(run: Run) -> int:
    """Return how many devices the target has."""
    return int(next(of["count"] for of in run.info["devices"] if "target" in of["lanes"]))


def _size(span: Mapping[str, Any], lookahead: int) -> dict[str, Any]:
    """Return the depth of a tree or chain, and the tokens of the pass beside it."""
    batch, tokens, branches = span["batch"], span["tokens"], span["branches"]
    if span["kind"] == "prespeculate":
        depth = tokens // branches if branches else 0
        return {"lookahead": depth, "tokens": batch * (lookahead + 1)}
    if span["kind"] == "speculate":
        return {"lookahead": tokens // batch, "tokens": batch}
    return {"lookahead": lookahead, "tokens": tokens}


def _beside(spans: Sequence[Mapping[str, Any]]) -> Iterator[tuple[float, float]]:
    """Yield for every span the seconds that another lane worked too, and the gap before it."""
    end, kind = -np.inf, "prefill"
    for at, span in enumerate(spans):
        near = spans[max(at - 6, 0) : at + 7]
        shared = sum(_overlap(span, other) for other in near if other["lane"] != span["lane"])
        idle = end <= span["start"] and "prefill" not in (kind, span["kind"])
        yield shared, span["start"] - end if idle else np.nan
        if span["end"] > end:
            end, kind = span["end"], span["kind"]


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
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

    def mean(self, span: Mapping[str, Any]) -> float:
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

"""Exact expectations over known texts, such as recorded ones.

At every place of a text it is known how likely the draft's token is rejected, and how the draft
ranks the text's own token. In the arrays T is texts, P places, and W the numbers of accepted
tokens, 0..K.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ssdsim.theory.census import Expectation
from ssdsim.theory.markov import Array, count
from ssdsim.theory.round_seconds import Design, Whole, Work, draft_work, redraft_seconds
from ssdsim.theory.text_walk import Rounds, Texts, Walked, walk

KEPT = 2
"""Of what follows from the texts alone, so much is remembered: it may fill a hundred megabytes."""


class Ends(NamedTuple):
    """How the verify of a speculation ends, by the place where its round begins.

    Attributes
    ----------
    length
        Tokens under verification, shape (T, P).
    shares
        P(k are accepted), shape (T, P, W).
    outranked
        P(the token that was rejected ranks before the text's | k are accepted), shape (T, P, W).

    """

    length: Whole
    shares: Array
    outranked: Array


@dataclass(frozen=True)
class KnownTexts:
    """How rounds end in known texts.

    Attributes
    ----------
    texts
        The texts.
    backup
        How the speculations of the backup end.
    moments
        Which of the contexts that times were asked for a place has, shape (T, P).

    """

    texts: Texts
    backup: Ends
    moments: Whole


@lru_cache(maxsize=KEPT)
def drafted(texts: Texts, length: int, lookahead: int) -> Ends:
    """Return how a chain of `length` tokens of the draft ends, at most `lookahead`.

    The arrays are shared by all who ask: nobody may write to them.
    """
    rejects = ahead(texts.reject, lookahead + 1, 1.0)
    rejects[..., length] = 1.0
    kept = np.cumprod(1 - rejects, axis=-1)
    shares = rejects
    shares[..., 1:] *= kept[..., :-1]
    outranked = ahead(texts.outranked, lookahead + 1, 0.0)
    outranked[..., length:] = 0.0
    found = Ends(np.full(texts.rank.shape, length), shares, outranked)
    for array in found:
        array.flags.writeable = False
    return found


def expect_texts(design: Design[KnownTexts]) -> Expectation:
    """Return the values of `ssd` over known texts.

    One row decodes text after text: tokens and seconds of all of them. Rows of a batch are taken
    to be at places of their own, in texts drawn from these, with times of one context; then all
    speculations must have K tokens.
    """
    walked = walk(design.law.texts, _kinds(design))
    return walked.expectation(_seconds(design, walked) if design.batch > 1 else None, design.batch)


def _seconds(design: Design[KnownTexts], walked: Walked) -> float:
    """Return the mean seconds of a round of several rows.

    Where a text ends another one is begun, and nobody waits for the draft before.
    """
    rows, work = design.batch, draft_work(design, design.lookahead)
    hit, found, last = (
        times / walked.rounds for times in (walked.hits, walked.hits_found, walked.firsts)
    )
    cached = count([(rows, np.array([1 - hit, hit]))])
    redraft = float(cached[::-1] @ redraft_seconds(design)[:, 0])
    going_on = count([(rows, np.array([1 - found - last, found]))])
    verified = work.verified.item()
    waited = float(going_on @ (work.free[:, 0] - verified))
    return design.times.handshake + redraft + verified + waited


def _kinds(design: Design[KnownTexts]) -> list[Rounds]:
    """Return what is verified: first what the backup drafts, then hits of every length."""
    ends, handed, work = [design.law.backup], [0], dict[int, Work]()
    for each in ends:
        for length in np.unique(each.length).tolist():
            if length not in work:
                work[length] = draft_work(design, length)
                prepared = any(design.fanouts(length))
                kept = {*work[length].kept.tolist()} if prepared else set()
                new = sorted(kept - {*handed[1:]})
                handed += new
                ends += [drafted(design.law.texts, n, design.lookahead) for n in new]
    return [_rounds(design, each, work, handed, missed=not at) for at, each in enumerate(ends)]


def _rounds(
    design: Design[KnownTexts],
    ends: Ends,
    work: Mapping[int, Work],
    handed: Sequence[int],
    *,
    missed: bool,
) -> Rounds:
    """Return rounds that end so, if a hit is handed one of these lengths."""
    lengths, moments, K = sorted(work), design.law.moments, design.lookahead
    at, contexts = np.searchsorted(lengths, ends.length), int(moments.max()) + 1

    def place(figures: Iterable[NDArray[Any]]) -> NDArray[Any]:
        return np.stack([np.broadcast_to(each, contexts) for each in figures])[at, moments]

    verified, miss, hit, kept = (
        place(figures)
        for figures in zip(
            *((w.verified, w.free[0], w.free[-1], w.kept) for _, w in sorted(work.items())),
            strict=True,
        )
    )
    number = np.zeros(K + 1, np.int64)
    number[list(handed[1:])] = np.arange(1, len(handed))
    before = np.broadcast_to(redraft_seconds(design)[1], contexts)[moments] if missed else 0.0
    return Rounds(
        ends.shares,
        _hits(design, ends, np.asarray(lengths)[at]),
        design.times.handshake + before + verified,
        miss - verified,
        hit - verified,
        number[kept],
    )


def _hits(design: Design[KnownTexts], ends: Ends, lengths: Whole) -> Array:
    """Return P(the next speculation is there | k are accepted), shape (T, P, W)."""
    width = design.lookahead + 1
    fanouts = np.zeros((width, width), np.int64)
    for length in np.unique(lengths).tolist():
        fanouts[length, : length + 1] = design.fanouts(length)
    rank, most = _ranks(design.law.texts, width), fanouts[lengths]
    first, second = ((rank >= less) & (rank - less < most) for less in (0, 1))
    hits: Array = ends.outranked * second + (1 - ends.outranked) * first
    return hits


@lru_cache(maxsize=KEPT)
def _ranks(texts: Texts, width: int) -> Whole:
    """Return the rank of the text's own token at each place and after it, shape (T, P, width)."""
    return ahead(texts.rank, width, -1)


def ahead(values: NDArray[Any], width: int, beyond: float) -> NDArray[Any]:
    """Return the values at each place and after it, shape (T, P, width); `beyond` past the end."""
    padded = np.pad(values, ((0, 0), (0, width - 1)), constant_values=beyond)
    return np.array(sliding_window_view(padded, width, axis=1))

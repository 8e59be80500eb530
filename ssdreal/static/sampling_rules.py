"""The sampling rules as tensors: `ssdsim.sampling`'s `verification` and `ranking` on any device.

What decides tokens is float64 where the host's is, summed in the same blocks, so that both come to
the same tokens but for the last places of their sums.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ssdreal.serving.drafter import BLOCK
from ssdsim.sampling.settings import Decoding

NO_TOKEN = -1
"""Stands for a token where there is none; it travels with the others."""

PIECE = 64
"""Columns of a row that `top` looks at together: some tens of them are wanted of 100,000."""

LONG = 513
"""Columns of a row that the library's own sort is called for: a compiler takes ten seconds to write
one for less."""


def best(scores: Tensor) -> Tensor:
    """Return the columns of the best scores over the last axis, ties to the lower one."""
    return scores.argmax(-1)


def top(scores: Tensor, count: int) -> Tensor:
    """Return the columns of the `count` best scores over the last axis, ties to the lower one.

    A block whose best is not among the `count` best blocks' has none of them: so two short sorts do
    for a long row. They are stable, which is what decides ties.

    Parameters
    ----------
    scores
        (..., columns), without NaN; compared as float32.
    count
        1 .. columns.

    """
    scores = scores.float() + 0.0  # zeros have a sign, too
    columns = scores.shape[-1]
    if columns <= count * PIECE:
        return _first_of(scores, count)
    pieces = functional.pad(scores, (0, -columns % PIECE), value=-torch.inf)
    pieces = pieces.view(*pieces.shape[:-1], -1, PIECE)
    best_ones = _first_of(pieces.amax(-1), count)
    best_ones = best_ones.topk(count, largest=False).values[..., None]  # in order
    found = pieces.gather(-2, best_ones.expand(*best_ones.shape[:-1], PIECE)).flatten(-2)
    places = best_ones * PIECE + torch.arange(PIECE, device=scores.device)
    return places.flatten(-2).gather(-1, _first_of(found, count))


def _first_of(scores: Tensor, count: int) -> Tensor:
    lacking = max(0, LONG - scores.shape[-1])  # what fills a row up comes last
    scores = functional.pad(scores, (0, lacking), value=-torch.inf)
    return scores.sort(dim=-1, descending=True, stable=True).indices[..., :count]


def softmax(scores: Tensor) -> Tensor:
    """Return probabilities ∝ exp(score) over the last axis, in the scores' type."""
    weights = torch.exp(scores - scores.amax(-1, keepdim=True))
    return weights / weights.sum(-1, keepdim=True)


def softmax_at(scores: Tensor, columns: Tensor) -> Tensor:
    """Return the softmax over the last axis at some of its columns."""
    most = scores.amax(-1, keepdim=True)
    whole = torch.exp(scores - most).sum(-1, keepdim=True)
    return torch.exp(scores.gather(-1, columns) - most) / whole


def probabilities(logits: Tensor, decoding: Decoding) -> Tensor:
    """Return what tokens are sampled from, float64; see `ssdsim.sampling.distributions.process`.

    Parameters
    ----------
    logits
        (..., columns).
    decoding
        Temperature over 0, top_k, top_p.

    """
    p = softmax(logits.double() / decoding.temperature)
    columns = p.shape[-1]
    if not decoding.truncates:
        return p
    everything = not 0 < decoding.top_k < columns
    order = top(p, columns if everything else decoding.top_k)
    kept = p.gather(-1, order)
    kept = kept / (p if everything else kept).sum(-1, keepdim=True)
    kept = torch.where(kept.cumsum(-1) - kept >= decoding.top_p, 0.0, kept)
    truncated = torch.zeros_like(p).scatter(-1, order, kept)
    return truncated / truncated.sum(-1, keepdim=True)


def samples(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Return a column of each row with chances ∝ its weights; see `ssdreal.serving.drafter`.

    Parameters
    ----------
    weights
        (..., columns), 0 or more.
    uniforms
        (...), in (0, 1).

    """
    columns = weights.shape[-1]
    size = BLOCK if columns % BLOCK == 0 else columns
    blocks = weights.reshape(*weights.shape[:-1], -1, size)
    edges = blocks.sum(-1, dtype=torch.float64).cumsum(-1)
    aim = uniforms * edges[..., -1]
    block = _first_over(edges, aim)
    before = torch.where(block > 0, _at(edges, (block - 1).clamp(min=0)), 0.0)
    index = block[..., None, None].expand(*block.shape, 1, size)
    inner = blocks.gather(-2, index)[..., 0, :].double().cumsum(-1)
    return block * size + _first_over(inner, aim - before)


def held_back(q: Tensor, decoding: Decoding) -> Tensor:
    """Return numbers ∝ q' of Saguaro sampling; see `ssdsim.sampling.distributions.saguaro`."""
    if decoding.saguaro_constant == 1:
        return q
    best_ones = top(q, min(decoding.saguaro_fanout, q.shape[-1]))
    return q.scatter(-1, best_ones, q.gather(-1, best_ones) * decoding.saguaro_constant)


def _first_over(edges: Tensor, aim: Tensor) -> Tensor:
    """Return the first place whose running sum is over the aim; at most the last with weight."""
    over = (edges <= aim[..., None]).sum(-1)
    last = (edges < edges[..., -1:]).sum(-1)
    return torch.minimum(over, last)


def _at(table: Tensor, index: Tensor) -> Tensor:
    return table.gather(-1, index[..., None])[..., 0]

"""The sampling rules as tensors: `ssdsim.sampling`'s `verification` and `ranking` on any device.

What decides tokens is float64 where the host's is, summed in the same blocks, so that both come to
the same tokens but for the last places of their sums.
"""

import torch
from torch import Tensor

from ssdreal.serving.drafter import BLOCK
from ssdsim.sampling.settings import Decoding

LOWER = 0xFFFFFFFF


def best(scores: Tensor) -> Tensor:
    """Return the columns of the best scores over the last axis, ties to the lower one."""
    return scores.argmax(-1)


def top(scores: Tensor, count: int) -> Tensor:
    """Return the columns of the `count` best scores over the last axis, ties to the lower one.

    Sorted are numbers of 64 bits that no two columns share: a score's, in the order of floats, and
    the column's own below them.

    Parameters
    ----------
    scores
        (..., columns), without NaN; compared as float32.
    count
        1 .. columns.

    """
    scores = scores.float() + 0.0  # zeros have a sign, too
    bits = scores.view(torch.int32).long()
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    # An exclusive-or: a compiler takes a difference for an index, and reckons in 32 bits with it.
    columns = LOWER ^ torch.arange(scores.shape[-1], device=scores.device)
    found = torch.topk((ordered << 32) | columns, count, dim=-1).values
    return LOWER ^ (found & LOWER)


def softmax(scores: Tensor) -> Tensor:
    """Return probabilities ∝ exp(score) over the last axis, in the scores' type."""
    weights = torch.exp(scores - scores.amax(-1, keepdim=True))
    return weights / weights.sum(-1, keepdim=True)


def probabilities(logits: Tensor, decoding: Decoding) -> Tensor:
    """Return what tokens are sampled from, float64; see `ssdsim.sampling.verification.process`.

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
    """Return numbers ∝ q' of Saguaro sampling; see `ssdsim.sampling.verification.saguaro`."""
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

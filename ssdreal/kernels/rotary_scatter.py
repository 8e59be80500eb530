"""A Triton kernel between the projection into a layer's heads and its attention.

Queries and keys are normed, where the model has norms for them, and rotated; keys and values go to
their entries of the static cache. A program has one head of one token.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor


class Rotary(NamedTuple):
    """How heads of queries and of keys are normed and rotated.

    Attributes
    ----------
    cosines, sines
        (slots, N, 1, head_dim / 2) float32.
    query_norm, key_norm
        Weights of the norms, at least head_dim numbers; None: there is none.
    epsilon
        Of the norms.

    """

    cosines: Tensor
    sines: Tensor
    query_norm: Tensor | None
    key_norm: Tensor | None
    epsilon: float


def rotary_scatter(
    mixed: Tensor, rotary: Rotary, entries: Tensor, at: Tensor, first: int, counters: int
) -> tuple[Tensor, Tensor]:
    """Write keys and values to the cache, and return queries that are ready to meet them.

    Parameters
    ----------
    mixed
        (slots, N, heads + 2 kv_heads, head_dim), contiguous: queries, keys and values. The two
        coordinates that rotate together lie side by side.
    rotary
        What queries and keys go through.
    entries
        A layer's part of the cache, (2, slots of the cache, kv_heads, capacity, head_dim),
        contiguous: keys, of which each head has (head_dim, capacity), and values. Written to.
    at
        (slots, N) int64: the entries that receive the tokens.
    first
        The first of the cache's slots that the pass is over.
    counters
        How many zeros are wanted for `decode_attention`; at most slots x N x heads.

    Returns
    -------
    tuple
        Queries, (slots, N, heads, head_dim) of the cache's type, scaled; and the zeros, int32.

    """
    slots, width, every, head_dim = mixed.shape
    kv_heads, capacity = entries.shape[2:4]
    heads = every - 2 * kv_heads
    queries = mixed.new_empty((slots, width, heads, head_dim), dtype=entries.dtype)
    zeros = mixed.new_empty((counters,), dtype=torch.int32)
    tensors = (mixed, *rotary[:4], queries, entries, at, zeros)
    rotary_scatter_kernel[(slots * width, every)](
        *tensors,
        *(counters, first, width, capacity, entries.stride(0)),
        HEADS=heads,
        KV_HEADS=kv_heads,
        HEAD_DIM=head_dim,
        PAIRS=1 << (head_dim // 2 - 1).bit_length(),
        EPSILON=rotary.epsilon,
        num_warps=1,
    )
    return queries, zeros


@triton.jit
def rotary_scatter_kernel(
    mixed: tl.tensor,
    cosines: tl.tensor,
    sines: tl.tensor,
    query_norm: tl.tensor,
    key_norm: tl.tensor,
    queries: tl.tensor,
    entries: tl.tensor,
    at: tl.tensor,
    zeros: tl.tensor,
    counters: tl.tensor,
    first: tl.tensor,
    width: tl.tensor,
    capacity: tl.tensor,
    half: tl.tensor,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    PAIRS: tl.constexpr,
    EPSILON: tl.constexpr,
) -> None:
    """See `rotary_scatter`; PAIRS is the power of two from head_dim / 2 on."""
    token, head = tl.program_id(0), tl.program_id(1)
    number = token * (HEADS + 2 * KV_HEADS) + head
    tl.store(zeros + number, 0, mask=number < counters)
    pair = tl.arange(0, PAIRS)
    real = pair < HEAD_DIM // 2
    left, right = _pairs(mixed + number * HEAD_DIM, pair, real)
    turning = token * (HEAD_DIM // 2) + pair
    cosine = tl.load(cosines + turning, mask=real, other=0.0)
    sine = tl.load(sines + turning, mask=real, other=0.0)
    if head < HEADS:
        if query_norm is not None:
            left, right = _normed(left, right, query_norm, mixed, pair, real, HEAD_DIM, EPSILON)
        left, right = _rotated(left, right, cosine, sine)
        goal = queries + (token * HEADS + head) * HEAD_DIM + 2 * pair
        _store(goal, 1, left * HEAD_DIM**-0.5, right * HEAD_DIM**-0.5, real)
    else:
        entry = tl.load(at + token)
        kept = (first + token // width) * KV_HEADS + (head - HEADS) % KV_HEADS
        start = entries + kept.to(tl.int64) * HEAD_DIM * capacity
        if head < HEADS + KV_HEADS:
            if key_norm is not None:
                left, right = _normed(left, right, key_norm, mixed, pair, real, HEAD_DIM, EPSILON)
            left, right = _rotated(left, right, cosine, sine)
            _store(start + 2 * pair * capacity + entry, capacity, left, right, real)
        else:
            _store(start + half + entry * HEAD_DIM + 2 * pair, 1, left, right, real)


@triton.jit
def _pairs(start: tl.tensor, pair: tl.tensor, real: tl.tensor) -> tl.tensor:
    left = tl.load(start + 2 * pair, mask=real, other=0.0)
    right = tl.load(start + 2 * pair + 1, mask=real, other=0.0)
    return left.to(tl.float32), right.to(tl.float32)


@triton.jit
def _normed(
    left: tl.tensor,
    right: tl.tensor,
    norm: tl.tensor,
    mixed: tl.tensor,
    pair: tl.tensor,
    real: tl.tensor,
    HEAD_DIM: tl.constexpr,
    EPSILON: tl.constexpr,
) -> tl.tensor:
    """Return a head over its root mean square, times the weight, rounded as torch rounds it."""
    by = tl.rsqrt(tl.sum(left * left + right * right) / HEAD_DIM + EPSILON)
    scale_left, scale_right = _pairs(norm, pair, real)
    left = (left * by * scale_left).to(mixed.dtype.element_ty)
    right = (right * by * scale_right).to(mixed.dtype.element_ty)
    return left.to(tl.float32), right.to(tl.float32)


@triton.jit
def _rotated(left: tl.tensor, right: tl.tensor, cosine: tl.tensor, sine: tl.tensor) -> tl.tensor:
    return left * cosine - right * sine, left * sine + right * cosine


@triton.jit
def _store(
    goal: tl.tensor, apart: tl.tensor, left: tl.tensor, right: tl.tensor, real: tl.tensor
) -> None:
    """Write the coordinates of pairs, the right ones so many numbers behind the left ones."""
    tl.store(goal, left.to(goal.dtype.element_ty), mask=real)
    tl.store(goal + apart, right.to(goal.dtype.element_ty), mask=real)

"""Attention of a few new tokens over a static cache, as one Triton kernel (flash-decoding).

The cache is read in splits, by a program each, so that one long text keeps the whole device busy.
What nobody sees is not read: the time depends on what the cache holds, not on its capacity. The
mask says so on the device, so that the kernel can be part of a graph. Whichever program of a head
arrives last merges the splits, in their order: which one that is makes no difference to the sums.

How sums are grouped depends on the capacity alone, neither on the text nor on the number of tokens:
a program has the same rows and entries in a pass over one token and over several.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK, WIDE = 128, 512
"""Entries that a program attends to at once; half of them where a key is wider than so many bytes:
a block of keys and one of values must fit into shared memory."""

MOST = 16
"""Splits at most: of one block up to 2048 entries, of four at 8192. Of 8 heads of keys they are
128 programs, and not too many for one program to merge."""

ROWS = tl.constexpr(16)
"""Rows of a program, which are queries of one head of keys: as many as tensor cores multiply."""

MERGED = 4096
"""Numbers of partial sums that a program holds at once while it merges splits."""

HIDDEN = tl.constexpr(-1e30)
"""The score of an entry that a token does not see."""


class Tiling(NamedTuple):
    """How attention is divided among programs.

    Attributes
    ----------
    size, rows
        The powers of two from head_dim, and from the rows that a program has, on.
    block, blocks
        Entries that a program attends to at once, and how often it does.
    splits
        Of the cache.

    """

    size: int
    rows: int
    block: int
    blocks: int
    splits: int


def tiles(width: int, group: int) -> int:
    """Return over how many programs a split's rows are divided: `group` queries a token."""
    programs: int = -(-width * group // ROWS.value)
    return programs


def decode_attention(
    queries: Tensor, entries: Tensor, mask: Tensor, arrived: Tensor, first: int
) -> Tensor:
    """Return what the queries gather from the cache; zeros where a token sees nothing.

    Parameters
    ----------
    queries
        (slots, N, heads, head_dim), contiguous, scaled.
    entries
        A layer's part of the cache, (2, slots of the cache, kv_heads, capacity, head_dim),
        contiguous: keys, of which each head has (head_dim, capacity), and values.
    mask
        (slots, N, extent) bool, contiguous: which of the first entries each token sees.
    arrived
        (slots x kv_heads x tiles,) int32 zeros. Written to.
    first
        The first of the cache's slots that the pass is over.

    Returns
    -------
    Tensor
        (slots, N, heads x head_dim), of the cache's type.

    """
    slots, width, heads, _ = queries.shape
    kv_heads, capacity, extent = *entries.shape[2:4], mask.shape[2]
    group = heads // kv_heads
    tiling = _tiling(queries, entries, width * group, extent)
    grid = tiling.splits, tiles(width, group), slots * kv_heads
    gathered = torch.empty_like(queries)
    decode_attention_kernel[grid](
        *(queries, entries, mask, *_partial_sums(queries, grid, tiling.size), arrived, gathered),
        *(first, width, extent, capacity, entries.stride(0)),
        KV_HEADS=kv_heads,
        GROUP=group,
        HEAD_DIM=queries.shape[3],
        BLOCK=tiling.block,
        BLOCKS=tiling.blocks,
        LIVE=tiling.rows,
        SIZE=tiling.size,
        SPLITS=_power(tiling.splits),
        CHUNK=min(_power(tiling.splits), max(1, MERGED // (tiling.rows * tiling.size))),
        num_warps=8,
    )
    return gathered.flatten(2)


def _tiling(queries: Tensor, entries: Tensor, rows: int, extent: int) -> Tiling:
    """Return how so many rows of a head of keys attend to the first entries."""
    size = max(16, _power(queries.shape[3]))
    block = BLOCK if size * entries.element_size() <= WIDE else BLOCK // 2
    blocks = _power(-(-extent // (MOST * block)))
    return Tiling(
        size, min(ROWS.value, _power(rows)), block, blocks, -(-extent // (blocks * block))
    )


def _partial_sums(queries: Tensor, grid: tuple[int, int, int], size: int) -> list[Tensor]:
    """Return room for what all programs find: highest scores, sums of weights, weighted sums."""
    shape = grid[2], grid[1], grid[0], ROWS.value
    return [queries.new_empty(of, dtype=torch.float32) for of in (shape, shape, (*shape, size))]


def _power(number: int) -> int:
    """Return the power of two from a number on."""
    return 1 << (number - 1).bit_length()


@triton.jit
def decode_attention_kernel(
    queries: tl.tensor,
    entries: tl.tensor,
    mask: tl.tensor,
    highest: tl.tensor,
    totals: tl.tensor,
    sums: tl.tensor,
    arrived: tl.tensor,
    gathered: tl.tensor,
    first: tl.tensor,
    width: tl.tensor,
    extent: tl.tensor,
    capacity: tl.tensor,
    half: tl.tensor,
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCKS: tl.constexpr,
    LIVE: tl.constexpr,
    SIZE: tl.constexpr,
    SPLITS: tl.constexpr,
    CHUNK: tl.constexpr,
) -> None:
    """Attend to a split of BLOCKS blocks, and merge all splits where it is the last to arrive.

    LIVE, SIZE and SPLITS are the powers of two from the rows of a program, head_dim and the number
    of splits on; CHUNK splits are merged at once.
    """
    split, tile, head = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    splits, mine = tl.num_programs(0), head * tl.num_programs(1) + tile
    token, place, there = _rows(tile, head, width, KV_HEADS, GROUP, ROWS)
    number = tl.arange(0, SIZE)
    keys = entries + (first * KV_HEADS + head).to(tl.int64) * HEAD_DIM * capacity
    real = number < HEAD_DIM
    best, total = tl.full((ROWS,), HIDDEN, tl.float32), tl.zeros((ROWS,), tl.float32)
    found = tl.zeros((ROWS, SIZE), tl.float32)
    for block in range(BLOCKS):
        entry = (split * BLOCKS + block) * BLOCK + tl.arange(0, BLOCK)
        seen = mask + token.to(tl.int64)[:, None] * extent + entry[None, :]
        sees = tl.load(seen, mask=there[:, None] & (entry < extent)[None, :], other=0) != 0
        if tl.max(sees.to(tl.int32)) > 0:
            inner = there[:, None] & real[None, :]
            query = tl.load(queries + place[:, None] * HEAD_DIM + number, mask=inner, other=0.0)
            key, value = _entries(keys, keys + half, entry, number, extent, capacity, HEAD_DIM)
            best, total, found = _attended(query, key, value, sees, best, total, found)
    own = (mine * splits + split) * ROWS + tl.arange(0, ROWS)
    tl.store(highest + own, best)
    tl.store(totals + own, total)
    worth = (total != 0.0)[:, None]  # a row that sees nothing has nothing to be merged
    tl.store(sums + own[:, None].to(tl.int64) * SIZE + number, found, mask=worth)
    tl.debug_barrier()  # what all threads of a program stored is there before one of them says so
    if tl.atomic_add(arrived + mine, 1, sem="acq_rel", scope="gpu") == splits - 1:
        begin = mine.to(tl.int64) * splits * ROWS
        merged = _merged(
            highest + begin, totals + begin, sums + begin * SIZE, splits, LIVE, SIZE, SPLITS, CHUNK
        )
        _, goal, exists = _rows(tile, head, width, KV_HEADS, GROUP, LIVE)
        tl.store(
            gathered + goal[:, None] * HEAD_DIM + number,
            merged.to(gathered.dtype.element_ty),
            mask=exists[:, None] & real[None, :],
        )


@triton.jit
def _rows(
    tile: tl.tensor,
    head: tl.tensor,
    width: tl.tensor,
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    COUNT: tl.constexpr,
) -> tl.tensor:
    """Return of a program's rows their tokens, their places among all queries, and which exist."""
    row = tile * ROWS + tl.arange(0, COUNT)
    token = head // KV_HEADS * width + row // GROUP
    return token, (token * KV_HEADS + head % KV_HEADS) * GROUP + row % GROUP, row < width * GROUP


@triton.jit
def _entries(
    keys: tl.tensor,
    values: tl.tensor,
    entry: tl.tensor,
    number: tl.tensor,
    extent: tl.tensor,
    capacity: tl.tensor,
    HEAD_DIM: tl.constexpr,
) -> tl.tensor:
    """Return a head's keys, (SIZE, BLOCK), and values, (BLOCK, SIZE)."""
    real, within = number < HEAD_DIM, entry < extent
    key = tl.load(
        keys + number[:, None] * capacity + entry[None, :],
        mask=real[:, None] & within[None, :],
        other=0.0,
    )
    value = tl.load(
        values + entry[:, None] * HEAD_DIM + number[None, :],
        mask=within[:, None] & real[None, :],
        other=0.0,
    )
    return key, value


@triton.jit
def _attended(
    query: tl.tensor,
    key: tl.tensor,
    value: tl.tensor,
    sees: tl.tensor,
    best: tl.tensor,
    total: tl.tensor,
    found: tl.tensor,
) -> tl.tensor:
    """Return each row's highest score, its sum of weights, and of weighted values, a block on."""
    scores = tl.where(sees, tl.dot(query, key, input_precision="ieee"), HIDDEN)
    higher = tl.maximum(best, tl.max(scores, 1))
    weights = tl.where(sees, tl.exp(scores - higher[:, None]), 0.0)
    less = tl.exp(best - higher)
    more = tl.dot(weights.to(value.dtype), value, input_precision="ieee")
    return higher, total * less + tl.sum(weights, 1), found * less[:, None] + more


@triton.jit
def _merged(
    highest: tl.tensor,
    totals: tl.tensor,
    sums: tl.tensor,
    splits: tl.tensor,
    LIVE: tl.constexpr,
    SIZE: tl.constexpr,
    SPLITS: tl.constexpr,
    CHUNK: tl.constexpr,
) -> tl.tensor:
    """Return what the rows gathered from all splits, (LIVE, SIZE)."""
    row, number, every = tl.arange(0, LIVE), tl.arange(0, SIZE), tl.arange(0, SPLITS)
    bests, own = _extremes(highest, totals, every, row, splits)
    most = tl.max(bests, 0)
    last = tl.max(tl.where(own != 0.0, every[:, None], 0))
    divisor = tl.sum(tl.exp(bests - most[None, :]) * own, 0)
    found, begin = tl.zeros((LIVE, SIZE), tl.float32), 0
    while begin <= last:
        some = begin + tl.arange(0, CHUNK)
        place = (some[:, None] * ROWS + row[None, :])[:, :, None] * SIZE + number[None, None, :]
        parts = tl.load(sums + place, mask=(some < splits)[:, None, None])
        best, total = _extremes(highest, totals, some, row, splits)
        weights = tl.exp(best - most[None, :])[:, :, None]
        found += tl.sum(tl.where((total != 0.0)[:, :, None], weights * parts, 0.0), 0)
        begin += CHUNK
    return found / tl.where(divisor == 0.0, 1.0, divisor)[:, None]


@triton.jit
def _extremes(
    highest: tl.tensor, totals: tl.tensor, which: tl.tensor, row: tl.tensor, splits: tl.tensor
) -> tl.tensor:
    """Return highest scores and totals of some splits; HIDDEN and 0 where a row sees nothing."""
    place = which[:, None] * ROWS + row[None, :]
    there = (which < splits)[:, None]
    total = tl.load(totals + place, mask=there, other=0.0)
    best = tl.load(highest + place, mask=there, other=0.0)
    return tl.where(total != 0.0, best, HIDDEN), total

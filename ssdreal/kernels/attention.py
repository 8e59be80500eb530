"""All that lies between a layer's projection into heads and the one out of them: two kernels."""

from torch import Tensor

from ssdreal.kernels.decode_attention import decode_attention, tiles
from ssdreal.kernels.rotary_scatter import Rotary, rotary_scatter


def attention(
    mixed: Tensor, rotary: Rotary, entries: Tensor, mask: Tensor, at: Tensor, first: int
) -> Tensor:
    """Write new tokens to the cache, and return what they gather from it.

    Parameters
    ----------
    mixed, rotary, entries, at, first
        See `rotary_scatter`.
    mask
        See `decode_attention`.

    Returns
    -------
    Tensor
        (slots, N, heads x head_dim), of the cache's type.

    """
    slots, width, every, _ = mixed.shape
    kv_heads = entries.shape[2]
    counters = slots * kv_heads * tiles(width, every // kv_heads - 2)
    queries, zeros = rotary_scatter(
        mixed.contiguous(), rotary, entries, at.contiguous(), first, counters
    )
    return decode_attention(queries, entries, mask.contiguous(), zeros, first)

"""Linear layers whose weights are packed once for the CPU kernels that read them."""

from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    Halves = Any
else:  # what TorchScript calls it
    Halves = torch.classes.quantized.LinearPackedParamsBase

# oneDNN lays a weight out for a number of rows; the layout then serves any number.
ROWS = 16
# SmolLM2-135M's products on one core, ms at 1, 2, 3, 4, 5 rows: FBGEMM 11.3, 12.0, 13.8, 16.3,
# 19.4; oneDNN 18.2, 21.5, 18.0, 16.7, 17.1. What lies between takes less in float32, too.
FEW = 4
# oneDNN sums single rows, and odd ends of sums, in another order than the rest. It is faster at
# four rows than at fewer, too.
LEAST_ROWS, GRAIN = 4, 16
HALF_MOST = 65504.0  # the largest number that float16 has


class Weight(NamedTuple):
    """A weight as `linear` reads it.

    Attributes
    ----------
    wide
        For many rows; and for few, where there is nothing better. On a CPU in oneDNN's own layout,
        if this build of torch has it: `functional.linear` would make it anew at each call, which
        takes longer than the product itself.
    narrow
        The same numbers in float16 and in FBGEMM's layout, for up to `FEW` rows of float32: so few
        cannot keep a core busy, and its kernel then reads memory faster. None where this build of
        torch lacks it, or where not all of the numbers have a float16.

    """

    wide: Tensor
    narrow: Optional[Halves]  # noqa: UP045 - TorchScript's classes know no |


def packed(weight: Tensor) -> Weight:
    """Return a weight as `linear` reads it fastest.

    Row by row the products of either layout are the same, bit by bit, whatever the other rows hold.

    Parameters
    ----------
    weight
        (out, in), float32 or bfloat16.

    """
    weight = weight.contiguous()
    if weight.device.type != "cpu":
        return Weight(weight, None)
    return Weight(_for_many(weight), _for_few(weight))


def packed_wide(weight: Tensor) -> Weight:
    """Return a weight as `packed` does, for rows of its own type alone."""
    return Weight(_for_many(weight.contiguous()), None)


def linear(x: Tensor, weight: Weight, bias: Tensor | None) -> Tensor:
    """Return x W' + b, (..., out), in x's type.

    Parameters
    ----------
    x
        (..., in): float32 for a weight's narrow layout, else of the wide one's type.
    weight
        From `packed`.
    bias
        (out,), of any type.

    """
    found = _product(x, weight)
    return found if bias is None else (found + bias).to(x.dtype)


def _product(x: Tensor, weight: Weight) -> Tensor:
    narrow, wide = weight.narrow, weight.wide
    if x.dtype != wide.dtype and narrow is not None:
        found: Tensor = torch.ops.quantized.linear_dynamic_fp16(x, narrow)
    elif wide.is_mkldnn:
        found = torch.ops.mkldnn._linear_pointwise(x, wide, None, "none", [], "")  # noqa: SLF001
    else:
        found = functional.linear(x, wide)
    return found


def _for_many(weight: Tensor) -> Tensor:
    try:
        laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)  # noqa: SLF001
    except (AttributeError, RuntimeError):  # there is no such operation, or not for this type
        return weight
    return laid_out


def _for_few(weight: Tensor) -> Any:
    if weight.dtype != torch.bfloat16 or weight.abs().max() > HALF_MOST:
        return None
    try:
        return torch.ops.quantized.linear_prepack_fp16(weight.float(), None)
    except (AttributeError, RuntimeError):
        return None


def products(rows: Tensor, matrices: Tensor, least: int = LEAST_ROWS) -> Tensor:
    """Return a product for each matrix, of rows enough that none is summed otherwise for being few.

    Parameters
    ----------
    rows
        (n, any number, m).
    matrices
        (n, m, k).
    least
        As many rows as are enough.

    """
    many = rows.shape[1]
    if many >= least:
        return torch.bmm(rows, matrices)
    rows = functional.pad(rows, (0, 0, 0, least - many))
    return torch.bmm(rows, matrices)[:, :many].contiguous()

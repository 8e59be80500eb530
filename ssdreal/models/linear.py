"""Linear layers whose weights are laid out once for the kernel that reads them."""

import torch
from torch import Tensor
from torch.nn import functional

# oneDNN lays a weight out for a number of rows; the layout then serves any number.
ROWS = 8


def packed(weight: Tensor) -> Tensor:
    """Return a weight as `linear` reads it fastest.

    On a CPU oneDNN's own layout, if this build of torch has it: `functional.linear` would make it
    anew at each call, which takes longer than the product itself. Row by row the products are
    the same, bit by bit, whatever the other rows hold.

    Parameters
    ----------
    weight
        (out, in), float32 or bfloat16.

    """
    weight = weight.contiguous()
    if weight.device.type != "cpu":
        return weight
    try:
        laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)  # noqa: SLF001
    except (AttributeError, RuntimeError):  # there is no such operation, or not for this type
        return weight
    return laid_out


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x W' + b, (..., out), for x of (..., in) and a weight from `packed`."""
    if weight.is_mkldnn:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # noqa: SLF001
        return found
    return functional.linear(x, weight, bias)

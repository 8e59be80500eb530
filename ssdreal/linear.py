"""Linear layers whose weights are laid out once for the kernel that will read them."""

import torch
from torch import Tensor
from torch.nn import functional

# oneDNN lays a weight out for a number of rows; any number of rows may then be multiplied.
ROWS = 8


class Linear:
    """x W' + b over the last dimension.

    Parameters
    ----------
    weight
        (out, in).
    bias
        (out,), or None.

    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.bias = bias
        self.packed = _packed(weight)
        self.weight = None if self.packed is not None else weight.contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """Return (..., out) for x of (..., in)."""
        if self.packed is None:
            return functional.linear(x, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")


def _packed(weight: Tensor) -> Tensor | None:
    """Return the weight as oneDNN wants it, or None where this build or type has no such thing."""
    if weight.device.type != "cpu" or weight.dtype is not torch.bfloat16:
        return None
    try:
        return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS)
    except (AttributeError, RuntimeError):
        return None

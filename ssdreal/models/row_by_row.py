"""Makes a row of any PyTorch model independent, bit by bit, of the rows beside it, on a CPU.

A matrix product may sum a row in another order when it has other rows beside it, and where a
vector of numbers ends within a register the rest goes through other code, which rounds `exp`
otherwise. So weights are packed as they are for this project's own pass, other products are
computed a row at a time, and curves over vectors that fill their registers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from transformers.pytorch_utils import Conv1D

from ssdreal.models.linear import LEAST_ROWS, linear, packed_wide

REGISTERS = 64
"""Numbers that fill whole registers, however many of them a loop takes at once."""

CURVES = {
    "cos", "elu", "erf", "exp", "expm1", "gelu", "leaky_relu", "log", "log1p", "logsigmoid", "mish",
    "pow", "__pow__", "rsqrt", "selu", "sigmoid", "silu", "sin", "softplus", "tanh",
}  # fmt: skip
PRODUCTS = {"linear", "matmul", "__matmul__", "bmm", "mm"}


class PackedLinear(nn.Module):
    """A linear layer whose rows do not depend on each other."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.packed, self.bias = packed_wide(weight), bias

    @property
    def weight(self) -> Tensor:
        """What some models ask for its type or its device."""
        return self.packed.wide

    def forward(self, x: Tensor) -> Tensor:
        """Return x W' + b, (..., out)."""
        rows = x.reshape(-1, x.shape[-1])
        lacking = max(LEAST_ROWS - len(rows), 0)
        found = linear(functional.pad(rows, (0, 0, 0, lacking)), self.packed, self.bias)
        return found[: len(rows)].view(*x.shape[:-1], -1)


def pack(whole: nn.Module) -> None:
    """Replace all linear layers in a module by packed ones; the weights are not kept twice."""
    for module in list(whole.modules()):
        for name, part in list(module.named_children()):
            if type(part) is nn.Linear:
                setattr(module, name, PackedLinear(part.weight.detach(), _detached(part.bias)))
            elif type(part) is Conv1D:
                setattr(module, name, PackedLinear(part.weight.detach().T, part.bias.detach()))


class RowByRow(TorchFunctionMode):
    """Within it, what torch computes of a row does not depend on other rows."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, or what stands for it here."""
        name, more = getattr(func, "__name__", ""), dict(kwargs or {})
        if name in CURVES and _alone(args):
            return _filled(func, *args, **more)
        if name in PRODUCTS and len(args) > 1:
            return _by_rows(func, *args, **more)
        return func(*args, **more)


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()


def _alone(arguments: tuple[Any, ...]) -> bool:
    """Whether a function is one of a single tensor."""
    return [isinstance(one, Tensor) for one in arguments] == [True] + [False] * len(arguments[1:])


def _filled(func: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    flat = functional.pad(x.reshape(-1), (0, -x.numel() % REGISTERS))
    return func(flat, *args, **kwargs)[: x.numel()].view(x.shape)


def _by_rows(func: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if x.dim() < 2 or x.shape[-1] == 1 or x.shape[-2] < 2:
        return func(x, *args, **kwargs)
    rows = (row.contiguous() for row in x.split(1, dim=-2))  # type: ignore[no-untyped-call]
    return torch.cat([func(row, *args, **kwargs) for row in rows], dim=-2)

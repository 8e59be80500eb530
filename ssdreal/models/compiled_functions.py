"""Compiles functions of many small operations into few kernels, where the device can."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar, cast

import torch

MOST_SHAPES = 512
"""For which a function is compiled anew; torch gives up after eight unless told."""

Function = TypeVar("Function", bound=Callable[..., object])


def fused(function: Function, device: torch.device) -> Function:
    """Return a function that computes the same in fewer kernels on a GPU.

    It is compiled at its first call with inputs of each shape. On a host, and where triton is
    missing, it is what it was.

    Parameters
    ----------
    function
        Of tensors and what does not change, without a branch that depends on a tensor's content.
    device
        Where its tensors are.

    """
    if device.type == "cpu" or find_spec("triton") is None:
        return function
    return compiled_by("inductor", function)


def compiled_by(backend: str, function: Function) -> Function:
    """Return the function as a compiler of torch's makes it, whole or not at all."""
    config: Any = torch._dynamo.config  # noqa: SLF001 - there is no other way
    config.recompile_limit = config.accumulated_recompile_limit = MOST_SHAPES
    whole: Any = torch.compile(function, fullgraph=True, dynamic=False, backend=backend)
    return cast(Function, whole)

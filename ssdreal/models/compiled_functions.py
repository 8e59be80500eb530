"""Compiles functions of many small operations into few kernels, where the device can."""

import os
from collections.abc import Callable
from functools import wraps
from importlib.util import find_spec
from typing import Any, TypeVar, cast

import torch

MOST_SHAPES = 512
"""For which a function is compiled anew; torch gives up after eight unless told."""

OFF = "TORCH_COMPILE_DISABLE"
"""The environment variable, torch's own, that leaves functions as they are where it is 1."""

Function = TypeVar("Function", bound=Callable[..., object])


def fuses(device: torch.device) -> bool:
    """Return whether functions are compiled for a device: for a GPU, if triton is there.

    Nothing is where the environment says `TORCH_COMPILE_DISABLE=1`, as torch's manual has it:
    results are the same but for the last places of sums, and nobody waits for a compiler.
    """
    off = os.environ.get(OFF) == "1"
    return device.type != "cpu" and not off and find_spec("triton") is not None


def fused(function: Function, device: torch.device) -> Function:
    """Return a function that computes the same in fewer kernels on a GPU.

    It is compiled at its first call with inputs of each shape. Where the device does not fuse, it
    is what it was: see `fuses`.

    Parameters
    ----------
    function
        Of tensors and what does not change, without a branch that depends on a tensor's content.
    device
        Where its tensors are.

    """
    return compiled_by("inductor", function) if fuses(device) else function


def compiled_by(backend: str, function: Function) -> Function:
    """Return the function as a compiler of torch's makes it, whole or not at all."""
    whole: Any = torch.compile(function, fullgraph=True, dynamic=False, backend=backend)
    config: Any = torch._dynamo.config  # noqa: SLF001 - there is no other way

    @wraps(function)
    def called(*arguments: Any) -> object:
        # At each call, since a thread has limits of its own.
        config.recompile_limit = config.accumulated_recompile_limit = MOST_SHAPES
        return whole(*arguments)

    return cast(Function, called)

"""Compiles Triton kernels for a GPU of compute capability 9.0 that is not there."""

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

HOPPER = GPUTarget("cuda", 90, 32)
TYPES = {torch.bfloat16: "bf16", torch.float32: "fp32", torch.bool: "i1"}
TYPES |= {torch.int32: "i32", torch.int64: "i64"}


class Recorder:
    """Stands in for a kernel: compiles it for the arguments that it is called with.

    Attributes
    ----------
    made
        What was compiled.

    """

    def __init__(self, kernel):
        self.kernel, self.made = kernel, []

    def __getitem__(self, grid):
        return self._compile

    def _compile(self, *arguments, num_warps, **constants):
        given = dict(zip(self.kernel.arg_names, arguments, strict=False))
        types = {name: kind(value) for name, value in given.items()}
        fixed = constants | {name: given[name] for name in given if types[name] == "constexpr"}
        types |= dict.fromkeys(constants, "constexpr")
        hints = {(n,): [["tt.divisibility", 16]] for n, one in enumerate(arguments) if even(one)}
        source = ASTSource(self.kernel, types, fixed, hints)
        self.made.append(triton.compile(source, HOPPER, {"num_warps": num_warps}))


def kind(value):
    """Return how triton calls an argument's type; it makes constants of None and 1."""
    if isinstance(value, torch.Tensor):
        return f"*{TYPES[value.dtype]}"
    return "constexpr" if value in {None, 1} else "i32"


def even(value):
    """Return whether triton is told that an argument, or where it begins, is a multiple of 16."""
    return isinstance(value, torch.Tensor) or (value is not None and value % 16 == 0)

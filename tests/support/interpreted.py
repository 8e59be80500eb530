"""Runs Triton kernels on a host: Triton's own interpreter, whatever was imported before it."""

import sys

import torch
import triton.experimental.gluon  # noqa: F401 - late, it would meet what is replaced here
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.jit import JITFunction


class Interpreted(interpreter.InterpretedFunction):
    """A kernel, or what one calls: triton's language is put back once it is done."""

    def __call__(self, *args, **kwargs):
        replaced = interpreter._patch_lang(self.fn)
        try:
            return self.rewrite()(*args, **kwargs)
        finally:
            replaced.restore()


def interpret(monkeypatch, *modules):
    """Let the interpreter run the kernels of these modules, and what they call, for a test."""
    language = [
        module for name, module in sys.modules.items() if name.startswith("triton.language")
    ]
    for module in (*language, *modules):
        for name, found in list(vars(module).items()):
            if isinstance(found, JITFunction):
                monkeypatch.setattr(module, name, Interpreted(found.fn))
    plain = interpreter._convert_float, interpreter.InterpreterBuilder.create_dot

    def convert(numbers, source, goal, rounding):
        """Round to bfloat16 as a device does; the interpreter cuts off."""
        if (source, goal) != (tl.float32, tl.bfloat16):
            return plain[0](numbers, source, goal, rounding)
        return torch.tensor(numbers).bfloat16().view(torch.uint16).numpy()

    def dot(builder, left, right, *rest):
        """Multiply numbers; the interpreter multiplies the bits of bfloat16 as integers."""
        if left.dtype.scalar == tl.bfloat16:
            left, right = (builder.cast_impl(part, tl.float32) for part in (left, right))
        return plain[1](builder, left, right, *rest)

    monkeypatch.setattr(interpreter, "_convert_float", convert)
    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", dot)

"""Compiles fused functions for a GPU that is not there, down to its machine code."""

import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from time import process_time
from typing import Any

import pytest
import torch
from fake_cuda import CAPABILITY, DEVICE, always, fake_cuda
from torch.utils._triton import has_triton

from ssdreal.models import compiled_functions

OUTSIDE = r"(?:extern_kernels\.\w+|torch\.ops\.[\w.]+)\("
"""How generated code calls what is not its own: products, sorting."""


@dataclass(frozen=True)
class Compiled:
    """A function, compiled for inputs of some shapes.

    Attributes
    ----------
    name
        Of the function.
    inputs
        (shape, type, strides) of each of its tensors.
    source
        What inductor made of it; empty where that was not asked for.
    seconds
        Of the processor that it took.

    """

    name: str
    inputs: tuple[tuple[tuple[int, ...], torch.dtype, tuple[int, ...]], ...]
    source: str = field(repr=False)
    seconds: float = field(compare=False)

    @cached_property
    def _call(self):
        return self.source.rpartition("def call(")[2].partition("def benchmark")[0]

    @property
    def kernels(self):
        """Kernels that a call launches, a product or a sort counted as one."""
        return len(re.findall(r"\.run\(|" + OUTSIDE, self._call))

    @property
    def buffers(self):
        """The (numbers, type) of all memory that a call takes."""
        found = re.findall(r"empty_strided_cuda\(\(([\d, ]*)\), \(.*?\), (torch\.\w+)", self._call)
        return [(prod(map(int, re.findall(r"\d+", shape))), dtype) for shape, dtype in found]


class CudaCompiler:
    """Takes inductor's place while there is no GPU.

    Attributes
    ----------
    fused
        Names of the functions that are to be compiled when they are called.
    asked
        What was to be compiled, in order. The same may be there twice: it is compiled once.

    """

    def __init__(self, emit: Callable[[Any, Any], str], shapes: Any) -> None:
        self.emit, self.shapes = emit, shapes
        self.fused: set[str] = set()
        self.asked: list[Compiled] = []
        self.known: dict[tuple[Any, ...], Compiled] = {}
        self.name = ""

    def distinct(self, *names):
        """Return what was compiled, of functions of these names or of all, once each."""
        return [one for one in self.known.values() if not names or one.name in names]

    def named(self, compiled_by):
        """Return `compiled_by` with what it compiles known by name, and traced in shapes."""

        def compiled(backend, function):
            made = compiled_by(backend, function)
            self.fused.add(function.__name__)

            def called(*arguments):
                self.name = function.__name__
                with self.shapes:
                    return made(*arguments)

            return called

        return compiled

    def __call__(self, graph, inputs, **_):
        """Compile the graph, and return what computes the same in shapes."""
        shapes = tuple((tuple(part.shape), part.dtype, part.stride()) for part in inputs)
        key = graph.code, shapes
        if key not in self.known:
            began = process_time()
            source = self.emit(graph, inputs)
            self.known[key] = Compiled(self.name, shapes, source, process_time() - began)
        self.asked.append(self.known[key])
        return graph.forward


@contextmanager
def cuda_compiler(*, emitting=True):
    """Let there be a GPU that functions are compiled for; yields a `CudaCompiler`.

    Parameters
    ----------
    emitting
        Whether machine code is made: takes seconds a function. Else compiles are counted alone.

    """
    _forget()
    with fake_cuda() as shapes, pytest.MonkeyPatch.context() as patch:
        compiler = CudaCompiler(_emitting(patch) if emitting else lambda *_: "", shapes)
        patch.setattr("torch._inductor.compile_fx.compile_fx", compiler)
        named = compiler.named(compiled_functions.compiled_by)
        patch.setattr(compiled_functions, "compiled_by", named)
        yield compiler
    _forget()


def _forget():
    torch._dynamo.reset()
    has_triton.cache_clear()  # which looks for a GPU once


def _emitting(patch):
    """Return what compiles a graph and returns its source."""
    import triton
    from torch._inductor import compile_fx, config
    from torch._inductor.graph import GraphLowering
    from torch._inductor.runtime import triton_helpers, triton_heuristics

    compile_graph, sources = compile_fx.compile_fx, []
    patch.setattr(triton.runtime.driver, "_active", Target())
    patch.setattr(triton_helpers, "set_driver_to_gpu", always(None))
    # There is nowhere to load machine code.
    patch.setattr(triton_heuristics.CachingAutotuner, "_make_launchers", _no_launchers)
    patch.setattr(GraphLowering, "save_output_code", staticmethod(sources.append))
    settings = {
        "compile_threads": 1,
        "force_disable_caches": True,
        # These two would compute on the device to find out.
        "joint_graph_constant_folding": False,
        "shape_padding": False,
    }

    @config.patch(settings)
    def emit(graph, inputs):
        compile_graph(graph, inputs)
        return sources[-1]

    return emit


def _no_launchers(autotuner):
    autotuner.launchers = [None]


class Target:
    """What triton asks a driver of a GPU."""

    utils = None

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 10 * CAPABILITY[0] + CAPABILITY[1], 32)

    def get_current_device(self):
        return DEVICE.index

    def get_active_torch_device(self):
        return DEVICE

    def get_device_interface(self):
        return torch.cuda

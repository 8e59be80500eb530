"""Notes the shapes that reach functions which a GPU compiles, anew for each of them."""

import sys
from contextlib import contextmanager
from copy import copy

import pytest
import torch

from ssdreal.models import compiled_functions, device_layers


class Shapes:
    """Distinct shapes by function, also of what is no tensor."""

    def __init__(self):
        self.found = {}

    def noted(self, function, of=None):
        def call(*arguments):
            shapes = self.found.setdefault(function.__name__, set())
            shapes.add((str(of), *map(shape_of, arguments)))
            return function(*arguments)

        call.__name__ = function.__name__
        return call

    def model(self, model, name):
        """Return a model whose passes are noted: others have layers of another size."""
        other = copy(model)
        parts = (self.noted(part, name) for part in device_layers.PLAIN)
        other.kernels = device_layers.Kernels(*parts)
        return other

    @property
    def counts(self):
        return {name: len(shapes) for name, shapes in sorted(self.found.items())}

    @property
    def total(self):
        return sum(self.counts.values())

    @contextmanager
    def watching(self):
        """Note whatever is fused meanwhile."""
        fused = compiled_functions.fused
        with pytest.MonkeyPatch.context() as patch:
            for module in [one for one in sys.modules.values() if _has(one, fused)]:
                patch.setattr(module, "fused", self.noted)
            yield self


def _has(module, fused):
    return vars(module).get("fused") is fused


def shape_of(value):
    """Return what a compiled function depends on."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), value.stride(), value.dtype
    if isinstance(value, tuple):
        return tuple(map(shape_of, value))
    return value

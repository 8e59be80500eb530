"""What stands in for a CUDA graph on a host: operations are recorded once, and repeated blindly."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WARM_UPS = 2


class Graph(TorchDispatchMode):
    """The operations of some work, on the very tensors that they were recorded on."""

    def __init__(self, work):
        super().__init__()
        self.steps = []
        for _ in range(WARM_UPS):  # as torch asks of whoever captures
            work()
        with self:
            work()
        assert self.steps

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        waits = func is torch.ops.aten._local_scalar_dense.default
        assert not waits, "a captured pass must not ask the device for a number"
        found = func(*args, **(kwargs or {}))
        self.steps.append((func, args, kwargs or {}, found))
        return found

    @torch.inference_mode()
    def replay(self):
        for func, args, kwargs, found in self.steps:
            again = func(*args, **kwargs)
            for old, new in zip(tensors(found), tensors(again), strict=True):
                if old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                    old.copy_(new)


def tensors(found):
    return [leaf for leaf in tree_leaves(found) if isinstance(leaf, torch.Tensor)]


class Graphs:
    """A `Capture` that refuses to capture anything once it is `closed`."""

    def __init__(self):
        self.graphs, self.closed = [], False

    def __call__(self, work):
        assert not self.closed, "a pass is captured in the middle of a run"
        self.graphs.append(Graph(work))
        return self.graphs[-1].replay

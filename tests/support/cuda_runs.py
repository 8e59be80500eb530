"""Runs on a GPU that is not there: everything but its arithmetic, so all tokens are 0."""

import json
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from cuda_compiler import cuda_compiler
from fake_cuda import DEVICE, H200
from inline_crew import InlineCrew, same_paces, tasks
from torch._subclasses.fake_tensor import FakeTensor

from ssdreal.executor.execution import Execution
from ssdreal.places import cuda
from ssdreal.places.places import Given, Place, Places
from ssdreal.static.device_clock import HostEvent
from ssdreal.static.draft_server import StaticDraftServer
from ssdreal.static.server import StaticServer
from ssdreal.static.target_server import StaticSelfServer
from ssdreal.workers.loading import load
from ssdsim.system.package_data import CONF

ONE_GPU = Places(Place(str(DEVICE), ()), Place(str(DEVICE), ()), together=True)
SERVERS = [
    partial(kind, capturing=lambda: captured) for kind in (StaticSelfServer, StaticDraftServer)
]
PROMPTS = [[1] * 60]
DEFAULTS = {"max_position_embeddings": 8192, "rms_norm_eps": 1e-5}
"""What the shapes of models that have weights do not say."""


def captured(work):
    """Do what is captured once, as a capture does; replays would find nothing new."""
    work()
    return lambda: None


@contextmanager
def gpu(*, emitting=True):
    """Let there be a GPU for runs; yields the `CudaCompiler`."""
    with cuda_compiler(emitting=emitting) as compiler, pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "enter", lambda *_: Given(H200.name, H200.multi_processor_count))
        patch.setattr(StaticServer, "event", HostEvent)
        patch.setattr(FakeTensor, "numpy", _counted, raising=False)
        patch.setattr(FakeTensor, "tolist", lambda tensor: _counted(tensor).tolist(), raising=False)
        patch.setattr("ssdreal.models.random_weights._drawn", _drawn)
        same_paces(patch)
        for role in ("draft", "target"):
            patch.setattr(f"ssdreal.static.{role}_server.median_seconds", lambda _: 1e-3)
        yield compiler


def model(name, dtype="bfloat16", layers=1, target=None):
    """Return a model on that GPU: a shape of `conf/shape` cut to so many layers, or a tiny one."""
    shape = CONF / "shape" / f"{name}.json"
    if not shape.is_file():
        return load(name, dtype, str(DEVICE), target=target)
    with TemporaryDirectory() as folder:
        cut = Path(folder, f"{name}.json")
        said = {"max_position_embeddings": 8192, "rms_norm_eps": 1e-5} | json.loads(
            shape.read_text()
        )
        cut.write_text(json.dumps(said | {"num_hidden_layers": layers}))
        return load(str(cut), dtype, str(DEVICE))


def prepared(setup, target, draft, prompts=PROMPTS):
    """Have both servers get ready for a run: whatever they capture is compiled."""
    crew = InlineCrew(target, draft, servers=SERVERS)
    execution = Execution(setup, lambda: crew, ONE_GPU, tasks(prompts))
    with execution.ready():
        return execution


def kernels_a_layer(compiler):
    """Return the most kernels of a layer, none of which may copy weights or cache."""
    layers = compiler.distinct("through")
    for layer in layers:
        cache = max(prod(shape) for shape, *_ in layer.inputs if len(shape) == 5)
        assert max(numbers for numbers, _ in layer.buffers) < cache
    return max(layer.kernels for layer in layers)


def distinct_compiles(setups, target, draft):
    """Return all that these runs compile, once each; `target` and `draft` are names of models."""
    with gpu(emitting=False) as compiler:
        models = model(target), model(draft, target=target)
        for setup in setups:
            prepared(setup, *models)
        return compiler.distinct()


def decode(setup, target, draft, prompts=PROMPTS):
    """Return the run of a setup."""
    crew = InlineCrew(target, draft, servers=SERVERS)
    execution = Execution(setup, lambda: crew, ONE_GPU, tasks(prompts))
    execution.run()
    return execution.result()


def _counted(tensor):
    """Return what stands for the content of a draft's token ids."""
    return np.arange(tensor.numel()).reshape(tensor.shape)


def _drawn(_, shape, dtype, device):
    return torch.empty(shape, dtype=dtype, device=device)

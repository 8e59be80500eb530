"""A GPU that is not there: CUDA tensors without content, which all but the GPU's own work takes.

Tensors of a host stay what they are. Works beside the builds of torch for a host and for CUDA.
"""

from contextlib import contextmanager
from ctypes import CDLL, RTLD_GLOBAL
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
import torch
from torch._dynamo.device_interface import CudaInterface
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("cuda:0")
CAPABILITY = 9, 0
H200 = SimpleNamespace(
    name="NVIDIA H200",
    major=9,
    minor=0,
    multi_processor_count=132,
    total_memory=150_000_000_000,
    regs_per_multiprocessor=65536,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
    warp_size=32,
    shared_memory_per_block=49152,
    shared_memory_per_block_optin=232448,
    shared_memory_per_multiprocessor=233472,
    L2_cache_size=62914560,
    gcnArchName="",
    is_integrated=0,
    uuid="none",
)
STREAM = SimpleNamespace(cuda_stream=0, stream_id=0, device=DEVICE, synchronize=lambda: None)
ANSWERS = {
    "_lazy_init": None,
    "is_available": True,
    "device_count": 1,
    "current_device": 0,
    "get_device_properties": H200,
    "get_device_capability": CAPABILITY,
    "mem_get_info": (140_000_000_000, 150_000_000_000),
    "is_bf16_supported": True,
    "current_stream": STREAM,
    "synchronize": None,
    "set_device": None,
    "_exchange_device": 0,
    "_maybe_exchange_device": 0,
    "get_rng_state": torch.zeros(16, dtype=torch.uint8),
    "set_rng_state": None,
}
"""What functions of `torch.cuda` return here, whatever they are asked."""


class FakeCuda(TorchDispatchMode):
    """Has what is on the GPU computed in shapes alone."""

    supports_higher_order_operators = True  # Triton kernels are called by one

    def __init__(self):
        super().__init__()
        self.shapes = FakeTensorMode(allow_non_fake_inputs=True)

    @classmethod
    def is_infra_mode(cls):
        return True  # else nothing would be compiled under it

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = {name: value for name, value in (kwargs or {}).items() if name != "pin_memory"}
        if not any(map(on_the_gpu, tree_leaves((args, kwargs)))):
            return func(*args, **kwargs)
        args, kwargs = tree_map_only(torch.Tensor, self.shape, (args, kwargs))
        with self.shapes:
            return func(*args, **kwargs)

    def shape(self, tensor):
        return tensor if isinstance(tensor, FakeTensor) else self.shapes.from_tensor(tensor)


def on_the_gpu(part):
    return isinstance(part, FakeTensor) or (
        isinstance(part, torch.device) and part.type == DEVICE.type
    )


@contextmanager
def fake_cuda():
    """Let there be a GPU; yields the mode that computes shapes, which compilers need around them.

    What asks for a tensor's content there, or mixes devices, raises.
    """
    guard()
    lifted = torch._C._only_lift_cpu_tensors()
    with pytest.MonkeyPatch.context() as patch:
        for name, answer in ANSWERS.items():
            patch.setattr(torch.cuda, name, always(answer))
            if hasattr(CudaInterface, name.strip("_")):
                patch.setattr(CudaInterface, name.strip("_"), staticmethod(always(answer)))
        patch.setattr(CudaInterface, "get_raw_stream", staticmethod(always(0)))
        patch.setattr(torch._C, "_cuda_getCurrentRawStream", always(0), raising=False)
        patch.setattr(fake_tensor, "init_gpu_context", always(None), raising=False)
        patch.setattr(FakeTensorMode, "avoid_device_init", property(lambda _: True))
        # Nothing can be compared there.
        patch.setattr(torch, "allclose", always(True))
        torch._C._set_only_lift_cpu_tensors(True)
        try:
            with FakeCuda() as mode:
                yield mode.shapes
        finally:
            torch._C._set_only_lift_cpu_tensors(lifted)


def always(answer):
    return lambda *_, **__: answer


@cache
def guard():
    """Teach a build of torch for a host that there is a device named cuda."""
    if torch.version.cuda is not None:
        return
    from torch._inductor.cpp_builder import CppBuilder, CppTorchOptions

    source = """
        #include <c10/core/impl/DeviceGuardImplInterface.h>
        using Guard = c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA>;
        C10_REGISTER_GUARD_IMPL(CUDA, Guard)
    """
    with TemporaryDirectory() as folder:
        file = Path(folder, "guard.cpp")
        file.write_text(source)
        built = CppBuilder("guard", str(file), CppTorchOptions(), output_dir=folder)
        built.build()
        CDLL(Path(torch.__file__).with_name("lib") / "libc10.so", RTLD_GLOBAL)
        torch.ops.load_library(built.get_target_file_path())

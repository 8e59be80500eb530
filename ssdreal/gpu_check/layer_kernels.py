"""Measures what a decoder layer of Llama 3.1 8B is made of: attention, and products of few rows.

`python -m ssdreal.gpu_check.layer_kernels DEVICE FILE` measures, and writes a JSON file. It says
whether the kernels of `ssdreal.kernels` are worth it, and which library has the faster products:
torch takes cuBLAS's unless the environment says TORCH_BLAS_PREFER_CUBLASLT=1.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ssdreal.models.compiled_functions import fuses
from ssdreal.models.decoder import Layer
from ssdreal.models.device_layers import Around, Gathers, by_triton, gathered
from ssdreal.models.pass_request import chain_mask
from ssdreal.serving.server import median_seconds
from ssdsim.system.atomic_files import write_text

LIBRARIES = ("cublas", "cublaslt")
ROWS = (1, 5)
"""Of AR and of a verify of four tokens."""

TEXTS = (320, 384), (320, 8192), (8192, 8192)

LAYERS = 32
"""Each with a cache of its own, measured as one."""

AGAIN = 20
"""How often the kernels must come to the same bits."""

CLOSE = 0.05
"""How far apart two ways to gather bfloat16 numbers around 1 may be."""


class Shape(NamedTuple):
    """Of a layer."""

    hidden: int = 4096
    heads: int = 32
    kv_heads: int = 8
    head_dim: int = 128
    inner: int = 14336

    @property
    def products(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of the weights."""
        inward = (self.heads + 2 * self.kv_heads) * self.head_dim
        outward = self.heads * self.head_dim
        return (
            (inward, self.hidden),
            (self.hidden, outward),
            (2 * self.inner, self.hidden),
            (self.hidden, self.inner),
        )


HOST = Shape(64, 4, 2, 16, 128), ((16, 32),)
"""What a host can do in a moment: a shape, and texts."""


def attention(device: torch.device, shape: Shape, tokens: int, held: int, capacity: int) -> Any:
    """Compare the kernels of attention with operations one by one.

    Parameters
    ----------
    tokens
        Of the block.
    held, capacity
        Tokens in the cache, the block among them, and entries it has.

    Returns
    -------
    dict
        Seconds of a layer by `operations` and by `kernels`; `difference`, the largest between them
        in what is gathered, and `steady`, whether the kernels came to the same bits every time.
        Of the kernels' nothing where they cannot run.

    """
    mixed, caches, layer, here = _block(device, shape, tokens, held, capacity)

    def by(gathers: Gathers) -> list[Tensor]:
        return [gathers(mixed, entries, layer, here) for entries in caches]

    def took(gathers: Gathers) -> float:
        return median_seconds(_repeatable(device, lambda: by(gathers))) / LAYERS

    right, found = torch.stack(by(gathered)), {"operations": took(gathered)}
    if not fuses(device):
        return found
    first, kernels = torch.stack(by(by_triton())), took(by_triton())
    steady = all(torch.equal(torch.stack(by(by_triton())), first) for _ in range(AGAIN))
    difference = float((first - right).abs().max())
    return found | {"kernels": kernels, "difference": difference, "steady": steady}


def products(device: torch.device, shape: Shape, rows: int) -> float:
    """Return the bytes of weights a second that a layer's products read."""
    weights = [torch.randn(size, dtype=torch.bfloat16, device=device) for size in shape.products]
    inputs = [weight.new_ones((rows, weight.shape[1])) for weight in weights]

    def layer() -> None:
        for weight, x in zip(weights, inputs, strict=True):
            functional.linear(x, weight)

    read = sum(weight.numel() * weight.element_size() for weight in weights)
    return read / median_seconds(_repeatable(device, layer))


def measured(
    device: torch.device, shape: Shape, texts: Sequence[tuple[int, int]]
) -> Iterator[dict[str, Any]]:
    """Measure, and yield what is known so far.

    Parameters
    ----------
    device, shape
        Where, and the layer's.
    texts
        Tokens that the cache holds, and its capacity.

    Yields
    ------
    dict
        `attention`: what `attention` found, by tokens and texts. `bytes_per_s`: what `products`
        found, by library and rows.

    """
    found: dict[str, Any] = {"attention": {}, "bytes_per_s": {}}
    for held, capacity in texts:
        for rows in ROWS:
            name = f"{rows} of {held} tokens in {capacity}"
            found["attention"][name] = attention(device, shape, rows, held, capacity)
            yield found
    for library in ("default",) if device.type == "cpu" else LIBRARIES:
        with _from(library):
            found["bytes_per_s"][library] = {rows: products(device, shape, rows) for rows in ROWS}
        yield found


def _block(
    device: torch.device, shape: Shape, tokens: int, held: int, capacity: int
) -> tuple[Tensor, Tensor, Layer, Around]:
    """Return what `gathered` takes, with the cache of all layers."""

    def numbers(*sizes: int) -> Tensor:
        return torch.randn(sizes, dtype=torch.bfloat16, device=device)

    at = torch.arange(held - tokens, held, device=device)[None]
    angles = torch.rand((1, tokens, 1, shape.head_dim // 2), device=device)
    here = Around(
        torch.zeros((1, 1), dtype=torch.int64, device=device),
        at,
        angles.cos(),
        angles.sin(),
        chain_mask(at, capacity)[:, None, :, None],
        0,
        shape.heads,
        1e-5,
    )
    nothing: Any = dict.fromkeys(Layer._fields)
    mixed = numbers(1, tokens, shape.heads + 2 * shape.kv_heads, shape.head_dim)
    return (
        mixed,
        numbers(LAYERS, 2, 1, shape.kv_heads, capacity, shape.head_dim),
        Layer(**nothing),
        here,
    )


def _repeatable(device: torch.device, work: Callable[[], object]) -> Callable[[], object]:
    """Return the work done to its end, without its launches where there is a GPU: as a graph."""
    if device.type == "cpu":
        return work
    work()
    graph: Any = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()

    def replayed() -> None:
        graph.replay()
        torch.cuda.synchronize(device)

    return replayed


@contextmanager
def _from(library: str) -> Iterator[None]:
    """Take products from a library, where there are several."""
    before = torch.backends.cuda.preferred_blas_library()
    torch.backends.cuda.preferred_blas_library(library)
    try:
        yield
    finally:
        torch.backends.cuda.preferred_blas_library(before)


@torch.inference_mode()
def main(device: str, file: str) -> None:
    """Measure, and write down what is known so far; end with a line where kernels are wrong."""
    where = torch.device(device)
    for found in measured(where, *(HOST if where.type == "cpu" else (Shape(), TEXTS))):
        write_text(Path(file), json.dumps(found, indent=2) + "\n")
    if wrong := [name for name, one in found["attention"].items() if not correct(one)]:
        sys.exit(f"the kernels of attention are wrong: {', '.join(wrong)}")


def correct(found: Mapping[str, Any]) -> bool:
    """Return whether kernels, if there were any, came to what they should."""
    return "kernels" not in found or (found["steady"] and found["difference"] < CLOSE)


if __name__ == "__main__":
    main(*sys.argv[1:])

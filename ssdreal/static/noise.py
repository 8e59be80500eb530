"""Keyed noise as tensors: the same numbers as `ssdsim.sampling.noise`, computed on any device.

Philox multiplies unsigned 64-bit words. Devices have signed ones, which wrap alike; the upper half
of a product is put together from 32-bit halves.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ssdreal.models.compiled_functions import fused
from ssdsim.sampling.noise import ROLES
from ssdsim.sampling.settings import Decoding

WORDS = 4  # that a counter value gives
ROUNDS = 10
MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
BUMPS = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
HALF = 0xFFFFFFFF
Numbers = Callable[..., Tensor]
Words = tuple[Tensor, Tensor, Tensor, Tensor]


def key(seed: int, device: torch.device) -> Tensor:
    """Return a run's seed as the functions below take it: a number would be compiled into them.

    Returns
    -------
    Tensor
        (), int64: for an unsigned number.

    """
    return torch.tensor(_signed(seed), device=device)


def uniforms(
    seed: Tensor,
    sequences: Tensor,
    positions: Tensor,
    role: Tensor | int,
    sibling: Tensor | int = 0,
) -> Tensor:
    """Return the number in (0, 1) of each address; see `ssdsim.sampling.noise.Noise.uniform`.

    Parameters
    ----------
    seed
        The run's `key`.
    sequences, positions, role, sibling
        int64, broadcast together; roles by their numbers in `ssdsim.sampling.noise.ROLES`.

    Returns
    -------
    Tensor
        float64, of the shape that all make together.

    """
    zero = torch.zeros_like(positions + sequences)
    counter = positions + 1 + zero, zero + sibling, zero + role, zero
    return _uniform(philox(seed, sequences, counter)[0])


def blocks(size: int, device: torch.device) -> Tensor:
    """Return the counter values that `gumbel` needs for so many token ids.

    They come from outside: a compiler that knew where they are from would reckon with them in
    numbers that do not wrap.
    """
    # numpy's generator counts before it gives words, the first time too.
    return 1 + torch.arange(-(-size // WORDS), device=device)


def gumbel(
    seed: Tensor, sequences: Tensor, positions: Tensor, counters: Tensor, size: int
) -> Tensor:
    """Return standard Gumbel noise for `size` token ids at each address; see `Noise.gumbel`.

    Parameters
    ----------
    seed
        The run's `key`.
    sequences, positions
        int64, broadcast together to any shape.
    counters
        See `blocks`.
    size
        V, token ids.

    Returns
    -------
    Tensor
        (..., V) float32.

    """
    zero = torch.zeros_like((positions + sequences)[..., None] + counters)
    counter = counters + zero, positions[..., None] + zero, zero + ROLES["gumbel"], zero
    words = torch.stack(philox(seed, sequences[..., None], counter), dim=-1).flatten(-2)
    return (-torch.log(-torch.log(_uniform(words[..., :size])))).float()


def fused_alike(function: Numbers, device: torch.device, *example: Any) -> Numbers:
    """Return `fused(function, device)`, or the function where that gives other numbers.

    Whether whole numbers wrap is a compiler's to say: C++ may take it for impossible.

    Parameters
    ----------
    function
        One of the above.
    device
        Where its tensors are.
    example
        What to try it with.

    """
    quick = fused(function, device)
    close = torch.allclose(quick(*example), function(*example), rtol=1e-6, atol=1e-6)
    return quick if close else function


def fused_uniforms(decoding: Decoding, seed: Tensor) -> Numbers:
    """Return `uniforms` as the key's device computes them best, if they are needed."""
    if not decoding.needs_probabilities:
        return uniforms
    # As one chain draws: what is compiled to be tried serves then.
    sequences, positions = torch.ones((2, 1, 1), dtype=torch.int64, device=seed.device)
    example = seed, sequences, positions, ROLES["propose"], torch.zeros_like(positions[0])
    return fused_alike(uniforms, seed.device, *example)


def philox(seed: Tensor, sequences: Tensor, counter: Words) -> Words:
    """Return the four words of Philox 4x64-10 (Salmon et al. 2011) at these counter values.

    Parameters
    ----------
    seed, sequences
        The key.
    counter
        int64 each, for unsigned numbers.

    """
    c0, c1, c2, c3 = counter
    for step in range(ROUNDS):
        high0, low0 = _product(MULTIPLIERS[0], c0)
        high1, low1 = _product(MULTIPLIERS[1], c2)
        k0, k1 = seed + _signed(step * BUMPS[0]), sequences + _signed(step * BUMPS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
    return c0, c1, c2, c3


def _product(factor: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the upper and the lower 64 bits of a product of unsigned numbers."""
    high, low = factor >> 32, factor & HALF
    x_high, x_low = (x >> 32) & HALF, x & HALF
    middle = x_high * low + _upper(x_low * low)
    other = x_low * high + (middle & HALF)
    return x_high * high + _upper(middle) + _upper(other), x * _signed(factor)


def _upper(x: Tensor) -> Tensor:
    """Shift an unsigned number by 32 bits."""
    return (x >> 32) & HALF


def _uniform(bits: Tensor) -> Tensor:
    upper = (bits >> 12) & ((1 << 52) - 1)
    return (upper.double() + 0.5) * 2.0**-52


def _signed(number: int) -> int:
    """Return the signed 64-bit number of the same bits."""
    number %= 1 << 64
    return number - (1 << 64 if number >> 63 else 0)

"""What a pass of a model is asked for, and the shape that its block is brought to."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ssdreal.models.linear import GRAIN, LEAST_ROWS
from ssdreal.models.tree_paths import TreePaths


class PassRequest(NamedTuple):
    """What a pass is asked for; see `Model.forward`."""

    tokens: Tensor
    positions: Tensor
    at: Tensor
    mask: Tensor | TreePaths
    extent: int
    logits: bool


def chain_mask(at: Tensor | np.ndarray[Any, Any], extent: int) -> Tensor:
    """Return which entries the tokens of an ordinary block see: those up to each token's own.

    Parameters
    ----------
    at
        (slots, N): the entry of each token.
    extent
        Entries that attention reads.

    Returns
    -------
    Tensor
        (slots, N, extent), bool.

    """
    at = torch.as_tensor(at)
    return torch.arange(extent, device=at.device) <= at[..., None]


def padded(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a mask of this shape for a multiple of `GRAIN` entries."""
    assert mask.shape == shape, "the mask must say what each token sees"
    return functional.pad(mask, (0, -shape[-1] % GRAIN))


def widened(block: list[Tensor]) -> list[Tensor]:
    """Return a block of at least `LEAST_ROWS` rows; the last token of a slot fills it up.

    What is repeated writes the same again to the same entry.
    """
    slots, width = block[0].shape
    wide = -(-LEAST_ROWS // slots)
    if width >= wide:
        return block
    index = torch.arange(wide, device=block[0].device).clamp(max=width - 1)
    return [part[:, index] for part in block]

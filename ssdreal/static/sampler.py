"""Sampling on the device: the settings, noise and ranking that draft and target share."""

from functools import lru_cache

import torch
from torch import Tensor

from ssdreal.models.compiled_functions import fused
from ssdreal.static.gumbel_rows import GumbelRows
from ssdreal.static.noise import fused_uniforms, key
from ssdreal.static.sampling_rules import probabilities
from ssdsim.sampling.settings import Decoding


class DeviceSampler:
    """A `ssdreal.serving.sampling.Sampler` in tensors.

    Parameters
    ----------
    decoding, seed
        Of the run.
    ids
        The token ids that columns of the draft stand for, ascending; None: all of them.
    rows
        Noise of the positions that passes meet; None where the coupling has no use for it.
    device
        Of all tensors.

    """

    def __init__(
        self,
        decoding: Decoding,
        seed: int,
        ids: Tensor | None,
        rows: GumbelRows | None,
        device: torch.device,
    ) -> None:
        self.decoding, self.ids, self.rows = decoding, ids, rows
        self.key = key(seed, device)
        # As a tensor: to divide by a number is to multiply with its reciprocal on a GPU.
        self.temperature = torch.tensor(decoding.temperature, device=device)
        self.fused = lru_cache(maxsize=None)(lambda function: fused(function, device))
        self.uniforms = fused_uniforms(decoding, self.key)

    def scores(self, logits: Tensor, positions: Tensor) -> Tensor:
        """Return the scores of tokens at positions (slots, N), (slots, N, columns) float32."""
        if self.rows is None:
            return logits
        scores = (
            torch.log(self.fused(probabilities)(logits, self.decoding)).float()
            if self.decoding.truncates
            else logits / self.temperature
        )
        return scores + self.rows.of(positions)

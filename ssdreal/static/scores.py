"""What tokens are ranked by on the device, by draft and target alike."""

import torch
from torch import Tensor

from ssdreal.models.fused import fused
from ssdreal.serving.sampling import Decoding
from ssdreal.static.gumbel_rows import GumbelRows
from ssdreal.static.sampler import probabilities


class Scores:
    """What a draft or a target ranks tokens by.

    Parameters
    ----------
    decoding
        How tokens are sampled.
    rows
        Noise of the positions that passes meet; None where the coupling has no use for it.

    """

    def __init__(self, decoding: Decoding, rows: GumbelRows | None, device: torch.device) -> None:
        self.decoding, self.rows = decoding, rows
        # As a tensor: to divide by a number is to multiply with its reciprocal on a GPU.
        self.temperature = torch.tensor(decoding.temperature, device=device)
        self.probabilities = fused(probabilities, device)

    def of(self, logits: Tensor, positions: Tensor) -> Tensor:
        """Return the scores of tokens at positions (slots, N), (slots, N, columns) float32."""
        if self.rows is None:
            return logits
        scores = (
            torch.log(self.probabilities(logits, self.decoding)).float()
            if self.decoding.truncates
            else logits / self.temperature
        )
        return scores + self.rows.of(positions)

"""Accepts or rejects drafted tokens on the device, as `ssdreal.serving.verifier` does."""

from typing import NamedTuple

import torch
from torch import Tensor

from ssdreal.static.sampler import DeviceSampler
from ssdreal.static.sampling_rules import NO_TOKEN, best, probabilities, samples
from ssdsim.sampling.noise import ROLES


class Drafted(NamedTuple):
    """Chains to verify.

    Attributes
    ----------
    tokens
        (slots, K): drafted token ids; what lies behind a chain's end does not matter.
    lengths
        (slots,): how many of them there are.
    certain
        (slots,): 1 where the drafter was sure of each token, else 0.
    weights
        (slots, K, columns): numbers ∝ what they were sampled from, where it was not.

    """

    tokens: Tensor
    lengths: Tensor
    certain: Tensor
    weights: Tensor


class DeviceVerifier(DeviceSampler):
    """Verifies against a target's logits.

    `ids` are those of a draft's weights.
    """

    def own(self, logits: Tensor, positions: Tensor) -> Tensor:
        """Return the target's own tokens at positions (slots, N), where no chance is left.

        `NO_TOKEN` where its scores are NaN or infinite.
        """
        return finite_best(self.scores(logits, positions))

    def verify(
        self, logits: Tensor, sequences: Tensor, positions: Tensor, drafted: Drafted
    ) -> tuple[Tensor, Tensor]:
        """Verify a chain a slot by the rule of `ssdsim.sampling.verification.verify_maximal`.

        Parameters
        ----------
        logits
            (slots, K + 1, V): the target's after 0 .. K drafted tokens.
        sequences, positions
            (slots, 1) and (slots, K + 1): addresses of the tokens after each.
        drafted
            The chains.

        Returns
        -------
        tuple
            How many tokens are accepted, and the token that follows them, (slots,) each:
            `NO_TOKEN` where the target's logits are NaN or infinite.

        """
        p = self.fused(probabilities)(logits, self.decoding)
        luck = self.uniforms(self.key, sequences, positions[:, :-1], ROLES["accept"])
        accepted = self.fused(tested)(p, drafted, luck, self.ids)
        rejected = accepted < drafted.lengths
        role = torch.where(rejected, ROLES["residual"], ROLES["bonus"])
        at = positions.gather(1, accepted[:, None])[:, 0]
        luck = self.uniforms(self.key, sequences[:, 0], at, role)
        return accepted, self.fused(settled)(p, drafted, accepted, luck, self.ids)


def finite_best(scores: Tensor) -> Tensor:
    """Return the best column of each row, `NO_TOKEN` where there is none."""
    columns = best(scores)  # of a NaN, if there is one
    found = scores.gather(-1, columns[..., None])[..., 0]
    return torch.where(found.isfinite(), columns, NO_TOKEN)


def tested(p: Tensor, drafted: Drafted, luck: Tensor, ids: Tensor | None) -> Tensor:
    """Return how many tokens of each chain are accepted, (slots,)."""
    tokens = drafted.tokens[..., None]
    columns = (
        tokens
        if ids is None
        else torch.searchsorted(ids, tokens.contiguous()).clamp(max=len(ids) - 1)
    )
    weights = drafted.weights.double()
    q = weights.gather(-1, columns)[..., 0] / weights.sum(-1)
    q = torch.where(drafted.certain[:, None] > 0, 1.0, q)
    q = torch.where(q > 0, q, torch.nan)  # no comparison with NaN is true: it is rejected
    accepts = luck * q < p[:, :-1].gather(-1, tokens)[..., 0]
    there = torch.arange(tokens.shape[1], device=p.device) < drafted.lengths[:, None]
    return (accepts & there).long().cumprod(-1).sum(-1)


def settled(
    p: Tensor, drafted: Drafted, accepted: Tensor, luck: Tensor, ids: Tensor | None
) -> Tensor:
    """Return the token that follows the accepted ones, (slots,): of the residual, or of p."""
    slots = torch.arange(len(accepted), device=p.device)
    own = p[slots, accepted]
    there = own[:, 0].isfinite()  # a softmax is NaN as a whole, or nowhere
    if drafted.tokens.shape[1] == 0:
        return torch.where(there, samples(own, luck), NO_TOKEN)
    last = accepted.clamp(max=drafted.tokens.shape[1] - 1)
    weights = drafted.weights[slots, last].double()
    q = weights / weights.sum(-1, keepdim=True)
    if ids is not None:
        q = torch.zeros_like(own).index_copy(-1, ids, q)
    sure = torch.arange(own.shape[-1], device=p.device) == drafted.tokens[slots, last][:, None]
    q = torch.where(drafted.certain[:, None] > 0, sure.double(), q)
    excess = (own - q).clamp(min=0.0)
    rejected = (accepted < drafted.lengths) & (excess.sum(-1) > 0)
    found = samples(torch.where(rejected[:, None], excess, own), luck)
    return torch.where(there, found, NO_TOKEN)

"""Runs any causal model that transformers has, behind the interface of this project's own pass."""

import inspect
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from ssdreal.models.cache import Cache
from ssdreal.models.model import Model
from ssdreal.models.own_attention import Entries, Here, OwnAttention
from ssdreal.models.pass_request import PassRequest, chain_mask
from ssdreal.models.row_by_row import RowByRow, pack
from ssdreal.models.tree_paths import Layout
from ssdsim.errors import ConfigError

TEXT, PRIME = 7, 7919
"""Tokens of a text that a model is tried with, and what its ids are multiples of."""


class TransformersModel(Model):
    """A model whose layers are transformers', over this project's cache and attention, on a host.

    What holds of `Model`'s logits where weights are packed holds of these: they depend, bit by bit,
    only on what a token sees. It takes longer, since Python runs between operations.

    Parameters
    ----------
    whole
        The model, which becomes part of this one.
    context, vocabulary
        Positions and token ids that there are to be.

    Raises
    ------
    ConfigError
        It does not keep keys and values that a `Cache` can hold, attends in a way of its own, or
        takes no positions.

    """

    def __init__(self, whole: Any, context: int, vocabulary: int) -> None:
        known = inspect.signature(whole.forward).parameters
        if "position_ids" not in known:
            raise ConfigError(f"{type(whole).__name__} takes no positions of tokens")
        self.ids, self.kernels, self.few = None, None, 0
        self.whole, self.context, self.vocabulary = whole, context, vocabulary
        self.embedding = whole.get_input_embeddings().weight.detach()
        whole.config.pad_token_id = None  # which some look for in every text, to warn of it
        # Experts are computed one by one; without weights no number says which.
        experts = "batched_mm" if self.device.type == "meta" else "eager"
        whole.set_experts_implementation(experts)
        self.depth, self.kv_heads, self.head_dim = _entries(whole, self.device)
        self.attention = OwnAttention()
        whole.set_attn_implementation(self.attention.name)
        pack(whole)
        self.last = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
        self.takes = "cache" if "cache" in known else "past_key_values"

    def computed(self, cache: Cache, asked: PassRequest, laid: Layout | None) -> Tensor | None:
        """Return what `forward` does of a widened block; see `Model.computed`."""
        tokens, positions, at, mask, _, logits = asked
        assert isinstance(mask, Tensor)
        here = self.attention.here = Here(cache, at, mask, laid)
        given = {"position_ids": positions, "use_cache": True, self.takes: Entries(here)}
        self.attention.asked = 0
        with RowByRow():
            found = self.whole(tokens, **given, **({} if logits else self.last))
        if self.attention.asked < self.depth:
            raise ConfigError(f"{type(self.whole).__name__} attends in a way of its own")
        return found.logits[..., : self.vocabulary] if logits else None

    def check_bits(self) -> None:
        """Refuse a model whose logits show how a text was divided into passes.

        Raises
        ------
        ConfigError
            Drafts would show in what it writes.

        """
        if not torch.equal(self._last_logits(1, (TEXT,)), self._last_logits(4, (3, 1, TEXT - 4))):
            said = "has logits that depend on how a text is divided into passes"
            raise ConfigError(f"{type(self.whole).__name__} {said}")

    def _last_logits(self, slots: int, pieces: tuple[int, ...]) -> Tensor:
        """Return the logits after a text that all slots read in pieces."""
        cache, ends = self.cache(slots, TEXT), list(accumulate(pieces, initial=0))
        for begin, end in pairwise(ends):
            at = torch.arange(begin, end).expand(slots, -1)
            tokens = at * PRIME % self.vocabulary
            found = self.forward(cache, tokens, at, at, chain_mask(at, TEXT), TEXT)
        assert found is not None
        return found[0, -1]


@torch.inference_mode()
def _entries(whole: Any, device: torch.device) -> tuple[int, int, int]:
    """Return layers, heads and numbers of what transformers' own cache keeps of a token."""
    token = torch.zeros((1, 1), dtype=torch.long, device=device)
    held = whole(token, use_cache=True).past_key_values
    layers = getattr(held, "layers", ())
    parts = [getattr(one, side, None) for one in layers for side in ("keys", "values")]
    kept = [part for part in parts if isinstance(part, Tensor)]
    shapes = {part.shape for part in kept}
    if len(kept) < len(parts) or len(shapes) != 1:
        sizes = ", ".join(sorted(str(tuple(shape)) for shape in shapes)) or "none"
        said = "needs keys and values of one shape from every layer to take tokens back"
        raise ConfigError(f"{type(whole).__name__} {said}, has {sizes}")
    heads, _, size = kept[0].shape[1:]
    return len(layers), heads, size

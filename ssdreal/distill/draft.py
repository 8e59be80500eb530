"""The draft: a few layers under a trimmed head, over the target's own embedding."""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssdreal.distill.training_text import Text
from ssdsim.errors import ConfigError, require

QUIET = 0.1  # inserted layers start with this share of their output: near to identities


class Draft(nn.Module):
    """A Llama-like model with fewer layers and a head over part of the vocabulary.

    Parameters
    ----------
    target
        The target, a Hugging Face causal language model; its embedding is shared and frozen.
    layers
        Decoder layers.
    vocab_ids
        int32 [draft vocabulary]: row i of the head stands for token `vocab_ids[i]`.
    """

    vocab_ids: Tensor

    def __init__(self, target: Any, layers: int, vocab_ids: Tensor) -> None:
        super().__init__()
        config = copy.deepcopy(target.config)
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):  # some models list what kind each layer is
            config.layer_types = config.layer_types[:layers]
        if target.device.type == "cpu":  # its fused attention is slow backwards: 8 % of a step
            config._attn_implementation = "eager"  # noqa: SLF001
        self.model = type(target.model)(config).float()
        self.model.embed_tokens = target.model.embed_tokens.requires_grad_(requires_grad=False)
        self.lm_head = nn.Linear(config.hidden_size, len(vocab_ids), bias=False)
        self.register_buffer("vocab_ids", vocab_ids.int(), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the hidden states after the final norm, [batch, length, hidden]."""
        found: Tensor = self.model(ids, use_cache=False).last_hidden_state
        return found

    def weights(self) -> dict[str, Tensor]:
        """Return what the draft does not share with the target, under its names on disk."""
        body = {k: v for k, v in self.model.state_dict().items() if k != "embed_tokens.weight"}
        return body | {"lm_head.weight": self.lm_head.weight.detach()}

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take over weights under their names on disk."""
        state = {k if k == "lm_head.weight" else f"model.{k}": v for k, v in weights.items()}
        try:
            missing, unexpected = self.load_state_dict(state, strict=False)
        except RuntimeError as error:  # it lists every weight of another shape
            first = str(error).splitlines()[1].strip()
            raise ConfigError(f"--start: the weights do not fit the target: {first}") from error
        wrong = [name for name in missing if "embed_tokens" not in name] + unexpected
        if wrong:
            raise ConfigError(f"--start: the weights do not fit the target at {wrong[0]}")


def depth(weights: dict[str, Tensor]) -> int:
    """Return how many layers these weights are of."""
    return 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))


def layer_of(state: dict[str, Tensor], number: int, new: int) -> dict[str, Tensor]:
    """Return one layer's weights under the names that it has as layer `new`."""
    old = f"layers.{number}."
    return {
        f"layers.{new}.{name.removeprefix(old)}": weight
        for name, weight in state.items()
        if name.startswith(old)
    }


def from_target(target: Any, layers: int) -> dict[str, Tensor]:
    """Take the target's first layers, its last one and its norm.

    Without training nothing that skips layers works; these at least see the input, and give the
    output, that they are used to.
    """
    state = target.model.state_dict()
    taken = {"norm.weight": state["norm.weight"]}
    for number in range(layers - 1):
        taken |= layer_of(state, number, number)
    return taken | layer_of(state, target.config.num_hidden_layers - 1, layers - 1)


def grown(start: dict[str, Tensor], target: Any, layers: int) -> dict[str, Tensor]:
    """Give a trained draft more layers: target layers before its last one, nearly silent.

    What a layer adds goes through `o_proj` and `down_proj`; shrinking these keeps what the draft
    has learnt.
    """
    own = depth(start)
    if layers < own:
        raise ConfigError(f"--layers={layers}: the draft to start from has {own}; ask for no fewer")
    moved = layer_of(start, own - 1, layers - 1)
    kept = {name: w for name, w in start.items() if not name.startswith(f"layers.{own - 1}.")}
    for number in range(own - 1, layers - 1):
        for name, weight in layer_of(target.model.state_dict(), number, number).items():
            silent = name.endswith(("o_proj.weight", "down_proj.weight"))
            kept[name] = weight * QUIET if silent else weight
    return kept | moved


def frequent(text: Text, indices: list[int], size: int, vocabulary: int) -> Tensor:
    """Return the `size` token ids most frequent in these sequences, ascending, int32 [size]."""
    require(size <= vocabulary, "--vocabulary", size, f"at most the target's {vocabulary}")
    counts = np.bincount(np.concatenate([text[i] for i in indices]), minlength=vocabulary)
    chosen = np.sort(np.argsort(-counts, kind="stable")[:size])
    return torch.from_numpy(chosen.astype(np.int32))


def build(target: Any, layers: int | None, ids: Tensor, start: dict[str, Tensor] | None) -> Draft:
    """Make a draft, from an earlier one (`start`) or from the target's own layers.

    Without `layers` it has as many as `start`.
    """
    if start is None:
        require(layers is not None, "--layers", layers, "how many to take from the target")
        head = target.get_output_embeddings().weight.detach()[ids.long().to(target.device)]
        weights = from_target(target, layers or 1) | {"lm_head.weight": head}
    else:
        weights = grown(start, target, layers or depth(start))
    draft = Draft(target, depth(weights), ids)
    draft.load(weights)
    return draft.to(target.device)

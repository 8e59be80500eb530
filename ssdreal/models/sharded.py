"""A decoder sharded over several devices: each rank computes its share of every product.

transformers' tensor parallelism shards modules whose static cache writes all rows at one position
(`StaticLayer.update`), but rows are ragged here; so it is this project's own decoder that is cut.
A rank has some of the heads, some of the MLP's inner numbers and some rows of the head; what it
adds to the residual stream is a part of a sum over all ranks (Shoeybi et al. 2019, arXiv
1909.08053).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.nn import functional

from ssdreal.models.cache import Cache
from ssdreal.models.decoder import Layer, Pass, attention, mlp, normed
from ssdreal.models.model import Model, Weights
from ssdreal.models.sublayers import Sublayers

PATIENCE = timedelta(seconds=120)
"""How long a rank waits for the others before it fails."""

HOST = "127.0.0.1"
BY_ROWS = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "lm_head")
BY_COLUMNS = ("o_proj", "down_proj")

# Called so since torch 2.13, and otherwise before.
_gather: Callable[..., Any] = getattr(dist, "all_gather_single", dist.all_gather_into_tensor)


@dataclass(frozen=True)
class Share:
    """Which part of a model a process has: that of rank `rank` among `ranks`."""

    rank: int
    ranks: int

    def cut(self, name: str, weight: Any) -> Tensor | None:
        """Return this rank's part of a weight.

        Where rows do not divide, as a vocabulary's may not, the last part is filled up with zeros.

        Parameters
        ----------
        name
            As in a Hugging Face checkpoint.
        weight
            A tensor, or a slice that a safetensors file gives; of that no more is read than needed.

        Returns
        -------
        Tensor or None
            None for a bias that another rank adds.

        """
        *_, module, kind = f".{name}".split(".")
        if module in BY_COLUMNS and kind == "bias":
            return _read(weight) if self.rank == 0 else None
        if module in BY_COLUMNS:
            return _read(weight, slice(None), self._part(_shape(weight)[1]))
        if module not in BY_ROWS:
            return _read(weight)
        size = _shape(weight)[0]
        found = _read(weight, self._part(size))
        lacking = -(-size // self.ranks) - len(found)
        return functional.pad(found, (*[0, 0] * (found.dim() - 1), 0, lacking))

    def config(self, whole: Any) -> Any:
        """Return what `Model` reads of a config, for this rank's share."""
        return SimpleNamespace(
            num_attention_heads=whole.num_attention_heads // self.ranks,
            num_key_value_heads=whole.num_key_value_heads // self.ranks,
            num_hidden_layers=whole.num_hidden_layers,
            rms_norm_eps=whole.rms_norm_eps,
        )

    def _part(self, size: int) -> slice:
        part = -(-size // self.ranks)
        return slice(min(self.rank * part, size), min((self.rank + 1) * part, size))


class ShardedModel(Model):
    """One rank's share of a decoder; the ranks must be in a group, and do the same passes.

    Parameters
    ----------
    config, rotation
        As in `Model`, of the whole.
    weights
        Gives this rank's parts.
    share
        Which they are.

    Attributes
    ----------
    tell
        Called with what the other ranks have to do: the name of a method of `Follower`, and its
        arguments. The first rank has one that lets them know.
    skipped
        The sublayers that are left out; None: none ever are.

    """

    def __init__(self, config: Any, weights: Weights, rotation: Tensor, share: Share) -> None:
        super().__init__(share.config(config), weights, rotation)
        self.decode = decode
        self.tell: Callable[..., None] = lambda *_: None
        self.skipped: Sublayers | None = None

    def without(self, skipped: Sublayers) -> Self:
        """Return this model with some sublayers left out, on all ranks."""
        fewer = super().without(skipped)
        fewer.skipped = skipped
        return fewer

    def cache(self, slots: int, capacity: int) -> Cache:
        """Return a cache of this rank's heads; the newest is the one that passes work on."""
        self.tell("cache", slots, capacity)
        self.newest = super().cache(slots, capacity)
        return self.newest

    def forward(
        self,
        cache: Cache,
        tokens: Tensor,
        positions: Tensor,
        at: Tensor,
        mask: Tensor,
        extent: int,
        *,
        logits: bool = True,
    ) -> Tensor | None:
        """Compute a pass together with the other ranks; see `Model.forward`."""
        assert cache.entries is self.newest.entries, "the others have the newest cache alone"
        block = np.stack([part.cpu().numpy() for part in (tokens, positions, at)])
        sees = np.packbits(mask.cpu().numpy())
        self.tell("forward", self.skipped, cache.first, block, sees, extent, logits)
        return super().forward(cache, tokens, positions, at, mask, extent, logits=logits)

    def scored(self, hidden: Tensor) -> Tensor:
        """Return the scores of all rows of the head, (slots, N, head rows)."""
        parts = gathered(super().scored(hidden))
        return parts.movedim(0, -2).flatten(-2)[..., : self.vocabulary]


class Follower:
    """A rank that does what the first one tells it to.

    Parameters
    ----------
    model
        Its share.

    """

    def __init__(self, model: ShardedModel) -> None:
        self.model = model

    def cache(self, slots: int, capacity: int) -> None:
        """Have a cache like the first rank's."""
        self.model.cache(slots, capacity)

    def forward(
        self,
        skipped: Sublayers | None,
        first: int,
        block: NDArray[Any],
        sees: NDArray[Any],
        extent: int,
        logits: bool,
    ) -> None:
        """Compute a pass.

        Parameters
        ----------
        skipped
            The sublayers to leave out.
        first
            The first of the cache's slots that take part.
        block
            (3, slots, N) int64: tokens, positions, entries.
        sees
            The mask's bits.
        extent, logits
            As in `Model.forward`.

        """
        _, slots, width = block.shape
        bits = np.unpackbits(sees, count=slots * width * extent).astype(bool)
        mask = torch.from_numpy(bits.reshape(slots, width, extent))
        cache = Cache(self.model.newest.entries, first, slots)
        tokens, positions, at = map(torch.from_numpy, block)
        model = self.model if skipped is None else self.model.without(skipped)
        model.forward(cache, tokens, positions, at, mask, extent, logits=logits)


def decode(hidden: Tensor, layers: list[Layer], here: Pass) -> Tensor:
    """Return the residual stream after all layers; see `ssdreal.models.decoder.decode`."""
    for i, layer in enumerate(layers):
        if layer.attends:
            x = normed(hidden, layer.before_attention, here.epsilon)
            hidden = hidden + total(attention(x, layer, i, here))
        if layer.feeds:
            x = normed(hidden, layer.before_mlp, here.epsilon)
            hidden = hidden + total(mlp(x, layer))
    return hidden


def total(part: Tensor) -> Tensor:
    """Return the sum of all ranks' parts, in the order of the ranks.

    An all-reduce may add in an order that depends on where in the block a number stands, and a
    token's logits must not: what verifies it and what decodes it alone have to agree.
    """
    return gathered(part).sum(0, dtype=torch.float32).to(part.dtype)


def gathered(part: Tensor) -> Tensor:
    """Return all ranks' parts, (ranks, ...)."""
    found = part.new_empty(dist.get_world_size() * part.numel())
    _gather(found, part.contiguous().view(-1))
    return found.view(-1, *part.shape)


def meeting_point(ranks: int, port: int = 0) -> Any:
    """Return where ranks find each other; without a port, one that was free and others may use."""
    first = port == 0
    return TCPStore(HOST, port, ranks, first, PATIENCE, wait_for_workers=False)


def join(share: Share, device: str, store: Any) -> None:
    """Become one of the ranks of the process's only group; wait for the others.

    Parameters
    ----------
    share
        Which rank, of how many.
    device
        Whose kind says how they talk: NCCL between GPUs, else gloo.
    store
        Where they meet.

    """
    where = torch.device(device)
    on_gpu = where.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(where)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=store,
        rank=share.rank,
        world_size=share.ranks,
        timeout=PATIENCE,
        device_id=where if on_gpu else None,
    )


def _shape(weight: Any) -> Any:
    return weight.shape if isinstance(weight, Tensor) else weight.get_shape()


def _read(weight: Any, *parts: slice) -> Tensor:
    """Return a part; of a tensor as a copy, which does not keep the whole of it in memory."""
    found: Tensor = weight[parts or slice(None)]
    copied = parts and isinstance(weight, Tensor)
    return found.clone(memory_format=torch.contiguous_format) if copied else found

"""Cuts a rank's part out of every weight of a sharded model."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BY_ROWS = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "lm_head")
BY_COLUMNS = ("o_proj", "down_proj")


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


def _shape(weight: Any) -> Any:
    return weight.shape if isinstance(weight, Tensor) else weight.get_shape()


def _read(weight: Any, *parts: slice) -> Tensor:
    """Return a part; of a tensor as a copy, which does not keep the whole of it in memory."""
    found: Tensor = weight[parts or slice(None)]
    copied = parts and isinstance(weight, Tensor)
    return found.clone(memory_format=torch.contiguous_format) if copied else found

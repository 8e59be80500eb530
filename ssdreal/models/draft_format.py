"""Reads drafts in this project's format: 8-bit weights, a trimmed head, the target's embedding."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdsim.errors import require

if TYPE_CHECKING:
    from torch import Tensor


def is_draft(config: dict[str, Any]) -> bool:
    """Whether a config is of a draft that has no embedding of its own."""
    return config.get("embedding") == "target"


def read_draft(folder: Path) -> "tuple[dict[str, Tensor], Tensor]":
    """Return a draft's weights in float32, by name, and the ids of its head's rows, ascending.

    Weights stored as int8 are multiplied with the scale of their row.
    """
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    require(path.is_file(), "model", str(folder), "must hold model.safetensors")
    stored = load_file(path)
    ids, order = stored.pop("vocab_ids").long().sort()
    weights = {
        name: _unpacked(weight, stored.get(f"{name}_scale"))
        for name, weight in stored.items()
        if not name.endswith("_scale")
    }
    weights["lm_head.weight"] = weights["lm_head.weight"][order]
    return weights, ids


def check_ids(name: str, ids: "Tensor", vocabulary: int) -> None:
    """Refuse ids of a head's rows, ascending, that are no ids, or of which two are one.

    Raises
    ------
    ConfigError
        They would give some tokens another's probability.

    """
    fine = bool((ids.diff() > 0).all()) and int(ids[0]) >= 0 and int(ids[-1]) < vocabulary
    require(fine, "model", name, f"must have vocab_ids from 0 to {vocabulary - 1}, none twice")


def _unpacked(weight: "Tensor", scale: "Tensor | None") -> "Tensor":
    return weight.float() if scale is None else weight.float() * scale.float().view(-1, 1)

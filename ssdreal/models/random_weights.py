"""Models with random weights: the architecture of a `config.json`, for measuring times only.

Such a model's passes take the time that its namesake's take, which is all that is wanted of it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ssdreal.models.names import WITH_WEIGHTS
from ssdsim.system.package_data import CONF

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SEED = 20


def shape_file(name: str) -> Path | None:
    """Return where a model's shape lies if that is all there is of it, else None.

    Such a model is named in conf/shape, or by the path of a Hugging Face `config.json`; the folder
    of that file would mean the model with its weights.
    """
    path = CONF / "shape" / f"{name}.json"
    if name not in WITH_WEIGHTS and path.is_file():
        return path
    path = Path(name).expanduser()
    return path if path.suffix == ".json" and path.is_file() else None


def transformers_config(config: dict[str, Any]) -> Any:
    """Return the transformers config of what a `config.json` says."""
    from transformers import AutoConfig

    return AutoConfig.for_model(**config)


def random_weights(
    config: Any, dtype: "torch.dtype", device: str
) -> "Callable[[str], Tensor | None]":
    """Return what gives a model's weights by name, drawn where they are to stay.

    They are the same at every time on one kind of device. A product keeps its input's size, so
    that activations stay finite through any number of layers, and logits have a variance of 1.

    Parameters
    ----------
    config
        The transformers config: which weights there are, and their shapes, are its model's.
    dtype, device
        Of the weights.

    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(config).state_dict()  # type: ignore[no-untyped-call]
    shapes = {name.removeprefix("model."): weight.shape for name, weight in whole.items()}
    tied = {"lm_head.weight": "embed_tokens.weight"} if config.tie_word_embeddings else {}
    embedding = _drawn("embed_tokens.weight", shapes["embed_tokens.weight"], dtype, device)

    def weight(name: str) -> "Tensor | None":
        name = tied.get(name, name)
        if name == "embed_tokens.weight":
            return embedding  # a tied head takes no memory of its own
        return _drawn(name, shapes[name], dtype, device) if name in shapes else None

    return weight


def _drawn(name: str, shape: "torch.Size", dtype: "torch.dtype", device: str) -> "Tensor":
    import torch

    if name.endswith("norm.weight"):
        return torch.ones(shape, dtype=dtype, device=device)
    if name.endswith("bias"):
        return torch.zeros(shape, dtype=dtype, device=device)
    generator = torch.Generator(device).manual_seed(SEED + crc32(name.encode()))
    drawn = torch.randn(shape, generator=generator, dtype=dtype, device=device)
    return drawn.mul_(shape[-1] ** -0.5)

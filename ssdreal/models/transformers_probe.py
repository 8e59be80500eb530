"""Describes a causal model that transformers has by building it from its config, without weights.

That takes torch, which the run's own process never loads: `sketch` asks a process of its own,
unless torch is there already.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ssdreal.models.folders import first_line
from ssdsim.errors import ConfigError

TOO_LONG = ("longrope", "dynamic")
"""Ways of rotating that change all angles, of tokens that are read too, in a text that is long."""


@dataclass(frozen=True)
class Sketch:
    """What a model without weights shows.

    Attributes
    ----------
    vocabulary, context
        Rows of its embedding, and positions.
    parameters
        Numbers in its weights; a head that shares the embedding's counts as well, since it is kept
        apart, laid out for its kernel.
    layers, kv_heads, head_dim
        Of its cache.

    """

    vocabulary: int
    context: int
    parameters: int
    layers: int
    kv_heads: int
    head_dim: int


def sketch(name: str, folder: Path) -> Sketch:
    """Return what a model shows that is built from the config in a folder.

    Raises
    ------
    ConfigError
        transformers cannot build it, or not run it over a cache that takes tokens back.

    """
    found = _sketched(str(folder), (folder / "config.json").read_text(encoding="utf-8"))
    if isinstance(found, str):
        raise ConfigError(f"model={name!r}: must run by transformers' layers over a cache: {found}")
    return found


def context_of(config: Any) -> int:
    """Return the positions of a transformers config at which no rotation depends on the text."""
    text = config.get_text_config()
    positions = int(getattr(text, "max_position_embeddings", 0) or 1 << 20)
    given = getattr(text, "rope_parameters", None) or {}
    for rope in (given, *given.values()):
        if isinstance(rope, dict) and rope.get("rope_type") in TOO_LONG:
            original = rope.get("original_max_position_embeddings")
            original = original or getattr(text, "original_max_position_embeddings", None)
            positions = min(positions, int(original or positions))
    return positions


def probe(folder: str) -> Sketch:
    """Build a model without weights, and compute a pass of shapes alone with it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from ssdreal.models.pass_request import chain_mask
    from ssdreal.models.transformers_model import TransformersModel

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    with torch.device("meta"):
        whole: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        parameters = sum(weight.numel() for weight in whole.parameters())
        head, embedding = whole.get_output_embeddings(), whole.get_input_embeddings().weight
        if head is not None and head.weight is embedding:
            parameters += embedding.numel()
        model = TransformersModel(whole.train(False), context_of(config), len(embedding))
        at = torch.arange(4)[None]
        model.forward(model.cache(1, 16), at, at, at, chain_mask(at, 16), 16)
    return Sketch(
        model.vocabulary, model.context, parameters, model.depth, model.kv_heads, model.head_dim
    )


@cache
def _sketched(folder: str, config: str) -> Sketch | str:  # noqa: ARG001 - what the folder has now
    """Return the sketch of a folder's model, or in a line why there is none."""
    if "torch" in sys.modules:
        return _tried(folder)
    command = [sys.executable, "-m", "ssdreal.models.transformers_probe", folder]
    done = subprocess.run(  # noqa: S603 - our own
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return (done.stderr.strip() or "its process ended").splitlines()[-1]
    found = json.loads(lines[-1])
    return found if isinstance(found, str) else Sketch(**found)


def _tried(folder: str) -> Sketch | str:
    try:
        return probe(folder)
    except Exception as error:  # noqa: BLE001 - whatever a model's code does that is not meant for this
        return first_line(error) or type(error).__name__


def main() -> None:
    """Print the sketch of the folder that the command line names, or why there is none, as JSON."""
    found = _tried(sys.argv[1])
    print(json.dumps(found if isinstance(found, str) else asdict(found)))  # noqa: T201 - its answer


if __name__ == "__main__":
    main()

"""Computes the target's final hidden states over the training text once, and caches them on disk.

Times the head they give the target's distribution, at 2 bytes a hidden unit and token instead of
a row of logits; most of the cost of training on the fly would be to compute them again.
"""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssdreal.distill.training_text import Text, batches, padded
from ssdsim.errors import ConfigError

SHARD = 64  # sequences a file: small enough to share between processes, a few MB each
BATCH = {"cpu": 4, "cuda": SHARD}  # sequences a pass


@dataclass(frozen=True)
class Sample:
    """One sequence with the target's hidden states over it.

    Attributes
    ----------
    index
        Which sequence of the text it is.
    tokens
        int64 [length].
    states
        [length, hidden], in the target's dtype: after the final norm, before the head.
    answer
        Where the answer starts; a draft is trained and measured from there.
    temperature
        At which the target wrote the answer.
    """

    index: int
    tokens: np.ndarray
    states: Tensor
    answer: int
    temperature: float


@torch.inference_mode()
def states_of(target: Any, sequences: list[np.ndarray]) -> list[Tensor]:
    """Return the target's final hidden states, [length, hidden] for each sequence."""
    ids = padded(sequences).to(target.device)
    hidden = target.model(ids, use_cache=False).last_hidden_state
    return [row[: len(tokens)].cpu() for row, tokens in zip(hidden, sequences, strict=True)]


def compute(target: Any, text: Text, indices: list[int]) -> list[Tensor]:
    """Return the states of these sequences, computed in batches of like length."""
    order = sorted(indices, key=lambda i: len(text[i]))
    found: dict[int, Tensor] = {}
    for some in batches(order, BATCH[target.device.type]):
        found |= dict(zip(some, states_of(target, [text[i] for i in some]), strict=True))
    return [found[i] for i in indices]


def write(path: Path, indices: list[int], states: list[Tensor]) -> None:
    """Write one shard, whole or not at all."""
    from safetensors.torch import save_file

    unfinished = path.with_suffix(".writing")
    save_file({"indices": torch.tensor(indices), "states": torch.cat(states)}, unfinished)
    unfinished.replace(path)


def read(path: Path, text: Text) -> list[Sample]:
    """Read one shard."""
    from safetensors.torch import load_file

    held = load_file(path)
    indices = held["indices"].tolist()
    parts = torch.split_with_sizes(held["states"], [len(text[i]) for i in indices])
    return [
        Sample(i, text[i], states, int(text.answer[i]), float(text.temperature[i]))
        for i, states in zip(indices, parts, strict=True)
    ]


def claim(path: Path) -> bool:
    """Say whether this process is the first to want to compute this shard."""
    try:
        path.with_suffix(".claimed").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def same_origin(folder: Path, target: str, text: Text, seed: int, held: int) -> None:
    """Refuse a folder whose states are of another target, text or split."""
    folder.mkdir(parents=True, exist_ok=True)
    mark, made = (
        folder / "origin.json",
        {
            "target": target,
            "text": zlib.crc32(text.tokens.tobytes()),
            "seed": seed,
            "held": held,
        },
    )
    if mark.exists() and json.loads(mark.read_text(encoding="utf-8")) != made:
        raise ConfigError(
            f"--cache={str(folder)!r}: holds states of another target, text, --seed or --held; "
            "name another folder"
        )
    mark.write_text(json.dumps(made))


def fill(
    folder: Path,
    name: str,
    target: Any,
    text: Text,
    indices: list[int],
    watch: Callable[[int], None] = lambda _done: None,
) -> list[Path]:
    """Compute the shards of these sequences that are missing, and return all that are there.

    Processes that fill the same folder at once share the work: a shard is computed by whoever
    claims it first. `watch` is told how many sequences each shard has.
    """
    paths = []
    for number, start in enumerate(range(0, len(indices), SHARD)):
        path, some = folder / f"{name}-{number:05d}.safetensors", indices[start : start + SHARD]
        paths.append(path)
        if not path.exists() and claim(path):
            write(path, some, compute(target, text, some))
        watch(len(some))
    return [path for path in paths if path.exists()]

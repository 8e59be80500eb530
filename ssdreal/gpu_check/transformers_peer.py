"""Measures tokens/s of the same pair decoded by transformers on a GPU.

`python -m ssdreal.gpu_check.transformers_peer PAIR DTYPE DEVICE FILE` writes tokens/s of greedy
decoding, alone and with the draft as its assistant, each way as soon as it is measured. Nothing is
compiled: transformers launches operations one by one, as this project does with `passes=eager`.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssdreal.bench.transformers_peer import Peer, generate
from ssdreal.executor.pair import Pair, read_pair
from ssdreal.executor.prompt_files import read_prompts, tokenized
from ssdsim.system.atomic_files import write_text

PROMPTS, TOKENS = 6, 96
WARM_UP = 8


WAYS = {
    "eager": "a cache that grows",
    "static": "a static cache, not compiled",
    "assisted_2": "a cache that grows, 2 tokens drafted a round",
    "assisted_4": "a cache that grows, 4 tokens drafted a round",
}


def peers(
    pair: Pair, dtype: str, device: str, prompts: Sequence[Sequence[int]], tokens: int
) -> Iterator[tuple[str, float]]:
    """Yield each way in which transformers decodes, and its tokens/s without prefill.

    Parameters
    ----------
    pair, dtype, device
        The models, their type, and where they run.
    prompts
        Token ids.
    tokens
        New ones of each.

    """
    alone = Peer(pair.target, pair.draft, dtype, device=device)
    ways = {"eager": alone, "static": replace(alone, static=True)}
    ways |= {f"assisted_{K}": replace(alone, drafted=K) for K in (2, 4)}
    for name, way in ways.items():
        generate(way, prompts[:1], WARM_UP)
        yield name, round(generate(way, prompts, tokens).tokens_per_s, 2)


def main(name: str, dtype: str, device: str, file: str) -> None:
    """Measure, and write down what is known so far."""
    pair = read_pair(name)
    prompts = [task.tokens for task in tokenized(read_prompts(None, PROMPTS), pair.target)]
    found: dict[str, Any] = {}
    for way, speed in peers(pair, dtype, device, prompts, TOKENS):
        found[way] = {"tokens_per_s": speed, "what": f"operations one by one, {WAYS[way]}"}
        write_text(Path(file), json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

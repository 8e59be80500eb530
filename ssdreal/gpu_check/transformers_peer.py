"""Measures tokens/s of the same pair decoded by transformers on a GPU.

`python -m ssdreal.gpu_check.transformers_peer PAIR DTYPE DEVICE FILE` writes tokens/s of greedy
decoding, alone and with the draft as its assistant.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ssdreal.bench.transformers_peer import Peer, generate
from ssdreal.executor.pair import Pair, read_pair
from ssdreal.executor.prompt_files import read_prompts, tokenized
from ssdsim.system.atomic_files import write_text

PROMPTS, TOKENS = 6, 96
WARM_UP = 8


def peers(
    pair: Pair, dtype: str, device: str, prompts: Sequence[Sequence[int]], tokens: int
) -> dict[str, float]:
    """Return tokens/s without prefill of each way in which transformers decodes.

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
    found = {}
    for name, way in ways.items():
        generate(way, prompts[:1], WARM_UP)
        found[name] = round(generate(way, prompts, tokens).tokens_per_s, 2)
    return found


def main(name: str, dtype: str, device: str, file: str) -> None:
    """Measure, and write it down."""
    pair = read_pair(name)
    prompts = [task.tokens for task in tokenized(read_prompts(None, PROMPTS), pair.target)]
    found = peers(pair, dtype, device, prompts, TOKENS)
    write_text(Path(file), json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

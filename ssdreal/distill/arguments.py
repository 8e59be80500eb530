"""The command-line options of `python -m ssdreal.distill`; imports neither torch nor models."""

import argparse
import math
from pathlib import Path

from ssdsim.system.parser import Parser

RANGES = {
    "layers": (1, 1000),
    "vocabulary": (1, 10_000_000),
    "sequences": (1, 10_000_000),
    "distinct": (1, 10**12),
    "held": (1, 1_000_000),
    "tokens": (1, 10**12),
    "minutes": (1e-3, math.inf),
    "rate": (1e-12, 1.0),
    "batch": (1, 4096),
    "seed": (0, 2**32 - 1),
}


def parser() -> Parser:
    """Return the command line's parser."""
    made = Parser(
        prog="python -m ssdreal.distill",
        description="Train a small draft to imitate a target, measure it on held-out text, and "
        "write it as a folder: config.json, model.safetensors and a card.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = made.add_argument
    add("--target", default="smollm2_135m", help="name, folder or Hub id of a Llama-like model")
    add("--layers", type=int, default=7, help="decoder layers of the draft")
    add("--vocabulary", type=int, default=8192, help="rows of the head, if not warm-started")
    add("--start", type=Path, help="folder of a draft to start from; else the target's layers")
    add("--text", type=Path, help="npz of text the target wrote; else it writes some now")
    add("--sequences", type=int, default=400, help="how many it writes then")
    add("--distinct", type=int, default=1_000_000, help="tokens of text to train on, at most")
    add("--held", type=int, default=40, help="sequences held out to measure on")
    add("--tokens", type=int, default=3_000_000, help="token passes to train for")
    add("--minutes", type=float, default=math.inf, help="train no longer than this")
    add("--rate", type=float, default=1e-3, help="peak learning rate")
    add("--batch", type=int, default=8, help="sequences a step")
    add("--out", required=True, help="folder to write the draft to")
    add("--cache", help="folder to keep the target's states in for another run")
    add("--device", default="cpu", help="cpu or cuda")
    add("--seed", type=int, default=0, help="of the text's split, order and sampling")
    add("--overwrite", action="store_true", help="replace a draft that --out holds")
    return made

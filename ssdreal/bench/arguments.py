"""The command-line options of `python -m ssdreal.bench`; imports neither torch nor models."""

from ssdreal.command.help import PAIRS
from ssdsim.system.parser import Parser

SIZES = {
    "prompts": (12, 2),
    "tokens": (96, 24),
    "repeats": (3, 1),
    "few": (4, 1),
    "few_tokens": (64, 16),
}
"""Unless asked for, and with --quick."""

RANGES = dict.fromkeys(SIZES, (1, 1_000_000))


def parser() -> Parser:
    """Return the command line's parser."""
    made = Parser(
        prog="python -m ssdreal.bench",
        description="What real decoding reaches on this machine, beside transformers, and what "
        "ssdsim says of it.",
    )
    add = made.add_argument
    add("--pair", choices=PAIRS, default="smollm2")
    add("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    add("--prompts", type=int, help="that are measured; 12")
    add("--tokens", type=int, help="decoded for each prompt; 96")
    add("--repeats", type=int, help="of every way to decode; 3")
    add("--few", type=int, help="prompts to look for settings on; 4")
    add("--few-tokens", type=int, help="of each of them; 64")
    add("--sampled", action="store_true", help="temperature 1 as well")
    add("--quick", action="store_true", help="a look, in about a minute")
    add("--out", help="a JSON file for all numbers, written as they come")
    add("--resume", action="store_true", help="go on where an earlier bench of that file stopped")
    return made

"""The command-line options of `python -m ssdreal.tune`; imports neither torch nor models."""

from math import inf

from ssdsim.system.parser import Parser

RANGES = {
    "most": (2, 1000),
    "each": (1, 1000),
    "tokens": (1, 1_000_000),
    "blocks": (2, 10_000),
    "seconds": (0, inf),
    "within": (0.0001, 1),
    "confidence": (0.5, 0.9999),
}


def parser() -> Parser:
    """Return the command line's parser."""
    parser = Parser(
        prog="python -m ssdreal.tune",
        description="Measure the leaders of python -m ssdsim.tune in turns, drop what is clearly "
        "slower, and stop when the best is known; then say what the simulator's choice costs, and "
        "what its profile should learn.",
    )
    add = parser.add_argument
    add("tuned", help="what python -m ssdsim.tune has left: its folder, or tune.json")
    add("--most", type=int, default=8, help="configurations to begin with, the leaders; 8")
    add("--each", type=int, default=1000, help="of one method at most; any number")
    add("--prompts", help="a file of prompts to decode; those held out from profiles")
    add("--tokens", type=int, default=40, help="to decode for each prompt; 40")
    add("--blocks", type=int, default=12, help="runs of a configuration at most; 12")
    add("--seconds", type=float, default=inf, help="after which no block begins; no limit")
    add("--within", type=float, default=0.01, help="difference that is none; .01 of tokens/s")
    add("--confidence", type=float, default=0.95, help="of what is said of the best; .95")
    add("--topology", default="auto", help="cpu, one_gpu, two_gpus")
    add("--out", help="folder for results and runs")
    add("--overwrite", action="store_true", help="replace what an earlier tuning found there")
    add("--resume", action="store_true", help="go on where an earlier tuning stopped there")
    return parser

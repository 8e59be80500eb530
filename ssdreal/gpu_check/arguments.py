"""The command-line options of `python -m ssdreal.gpu_check`; imports neither torch nor models."""

import os

from ssdsim.system.parser import Parser

MINUTES = 9.0


def parser() -> Parser:
    """Return the command line's parser."""
    made = Parser(
        prog="python -m ssdreal.gpu_check",
        description="Everything that a GPU machine should be asked while there is one, in a few "
        "calls.",
    )
    made.add_argument("--out", help="folder for logs and results; the plan does without")
    made.add_argument("--minutes", type=float, default=MINUTES, help="that it may take in all")
    made.add_argument(
        "--parts",
        nargs="*",
        default=(),
        help="some of them, or calls (first, second, third, further, many); without it all calls "
        "but many, which needs several GPUs",
    )
    made.add_argument(
        "--plan",
        action="store_true",
        help="print the parts, what they are expected to take and what fits; run nothing",
    )
    cores = os.cpu_count() or 1
    made.add_argument("--cores", type=int, default=cores, help="that compile; those of this one")
    return made

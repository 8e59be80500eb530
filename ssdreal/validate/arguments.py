"""The command-line options of `python -m ssdreal.validate`; imports neither torch nor models."""

from ssdsim.system.parser import Parser

SIZES = {"repeats": (3, 1), "tokens": (40, 12)}
"""Unless asked for, and with --quick."""

RANGES = {"repeats": (1, 1000), "tokens": (1, 1_000_000)}


def parser() -> Parser:
    """Return the command line's parser."""
    parser = Parser(
        prog="python -m ssdreal.validate",
        description="Predict configurations, then measure them, then say how good the predictions "
        "were and why.",
    )
    add = parser.add_argument
    add("--profile", default="this_machine", help="a folder under traces/")
    add("--split", default="held_out", help="in conf/validation, or a file")
    add("--prompts", help="a file of prompts that all but the section fit decode instead")
    add("--repeats", type=int, help="of every configuration; 3")
    add("--tokens", type=int, help="to decode for each prompt; 40")
    add("--topology", default="auto", help="cpu, one_gpu, two_gpus")
    add("--out", help="folder for results and runs")
    add("--overwrite", action="store_true", help="replace what an earlier validation found there")
    add("--resume", action="store_true", help="go on where an earlier validation stopped there")
    add("--quick", action="store_true", help="a look, in about a minute")
    return parser

"""The command-line options of `python -m ssdreal.profile`; imports neither torch nor models."""

from ssdreal.command.help import PAIRS, SCRIPTED
from ssdsim.system.package_data import TRACES
from ssdsim.system.parser import Parser

SIZES = {"repeats": (3, 1), "tokens": (48, 16), "visit_tokens": (32, 16)}
"""Unless asked for, and with --quick."""

EXTENDED = {"repeats": (1, 1), "visit_tokens": (32, 16)}
"""The same with --extend."""

KNOWN = (
    *("pair", "acceptance", "dtype", "split", "tokens", "prompts", "exits", "overwrite", "quick"),
)
"""Options that a profile which is extended has settled."""

RANGES = {"repeats": (1, 1000), "tokens": (1, 1_000_000), "visit_tokens": (1, 1_000_000)}
DESCRIPTION = "Measure this machine and a pair of models, so that ssdsim can predict them."


def parser() -> Parser:
    """Return the command line's parser."""
    made = Parser(prog="python -m ssdreal.profile", description=DESCRIPTION)
    add, pairs = made.add_argument, (*PAIRS, *SCRIPTED)
    add("--name", default="this_machine", help="of the profile")
    add("--pair", nargs="+", default=["smollm2"], help=f"{', '.join(pairs)}; or TARGET DRAFT")
    add("--acceptance", help="what is accepted, of a pair without weights")
    add("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    add("--topology", default="auto", help="cpu, one_gpu, two_gpus")
    add("--split", type=float, nargs="+", help="shares of one GPU for the target, a profile each")
    add("--repeats", type=int, help="of every calibration run; 3, with --extend 1")
    add("--tokens", type=int, help="of every text; 48")
    add("--visit-tokens", type=int, help="of a calibration run's texts; 32")
    add("--prompts", help="a file of prompts instead of the project's own")
    exits = "record early views of the target after these shares of its layers, at most 4"
    add("--exits", type=float, nargs="+", default=(), help=exits)
    add("--out", default=TRACES, help="where its folder goes: traces/")
    add("--overwrite", action="store_true", help="replace a profile of that name")
    add("--extend", action="store_true", help="measure a profile's times again, in another hour")
    add("--resume", action="store_true", help="go on where an earlier one of that name stopped")
    add("--quick", action="store_true", help="a look, in about a minute")
    return made

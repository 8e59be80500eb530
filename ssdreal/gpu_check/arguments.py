"""The command-line options of `python -m ssdreal.gpu_check`; imports neither torch nor models."""

from ssdreal.command.arguments import Parser

MINUTES = 9.0


def parser() -> Parser:
    """Return the command line's parser."""
    made = Parser(
        prog="python -m ssdreal.gpu_check",
        description="Everything that a GPU machine should be asked while there is one, in one "
        "command.",
    )
    made.add_argument("--out", required=True, help="folder for logs and results")
    made.add_argument("--minutes", type=float, default=MINUTES, help="that it may take in all")
    made.add_argument("--parts", nargs="*", default=(), help="some of them; all by default")
    return made

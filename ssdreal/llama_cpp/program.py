"""Write a draft as GGUF."""

from ssdreal.command.arguments import check_unwritten
from ssdreal.llama_cpp.arguments import parser
from ssdreal.llama_cpp.gguf_draft import write_gguf
from ssdreal.models.gguf_weights import gguf
from ssdsim.command.console import ending, speak_as
from ssdsim.errors import require
from ssdsim.system import destination


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    speak_as("ssdreal")
    try:
        with ending():
            write(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def write(arguments: list[str] | None) -> None:
    """Write the file that is asked for.

    Raises
    ------
    ConfigError
        An option is wrong, or the file is there already, or the draft does not fit the target.

    """
    given = parser().parse_args(arguments)
    out = destination.file("--out", given.out)
    check_unwritten(f"--out={out}", {out: "a file"}, given.overwrite)
    target = given.target or gguf()
    require(target.is_file(), "--target", str(target), "must be a GGUF file")
    destination.make("--out", out.parent)
    write_gguf(given.draft, target, out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, beside {target}")

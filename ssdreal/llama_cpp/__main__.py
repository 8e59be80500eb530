"""`python -m ssdreal.llama_cpp`."""

from ssdreal.command.tools import run
from ssdreal.llama_cpp.arguments import parser

if __name__ == "__main__":
    run("llama_cpp", parser)

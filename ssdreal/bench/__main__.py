"""`python -m ssdreal.bench`."""

from ssdreal.bench.arguments import parser
from ssdreal.command.tools import run

if __name__ == "__main__":
    run("bench", parser)

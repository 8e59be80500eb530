"""`python -m ssdreal.tune`."""

from ssdreal.command.tools import run
from ssdreal.tune.arguments import parser

if __name__ == "__main__":
    run("tune", parser)

"""`python -m ssdreal.distill`."""

from ssdreal.command.tools import run
from ssdreal.distill.arguments import parser

if __name__ == "__main__":
    run("distill", parser)

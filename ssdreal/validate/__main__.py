"""`python -m ssdreal.validate`."""

from ssdreal.command.tools import run
from ssdreal.validate.arguments import parser

if __name__ == "__main__":
    run("validate", parser)

"""`python -m ssdreal.profile`."""

from ssdreal.command.tools import run
from ssdreal.profile.arguments import parser

if __name__ == "__main__":
    run("profile", parser)

"""`python -m ssdreal.gpu_check`."""

from ssdreal.command.tools import run
from ssdreal.gpu_check.arguments import parser

if __name__ == "__main__":
    run("gpu_check", parser)

"""`python -m ssdreal`, and the console script `ssdreal`."""

import sys

from ssdreal.extra import check
from ssdsim.command.entry import enter


def main() -> int | None:
    """Run the command line; return the exit code."""
    return enter("ssdreal", check)


if __name__ == "__main__":
    sys.exit(main())

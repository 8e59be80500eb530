"""`python -m ssdsim`, and the console script `ssdsim`."""

import sys

from ssdsim.command.entry import enter


def main() -> int | None:
    """Run the command line; return the exit code."""
    return enter("ssdsim")


if __name__ == "__main__":
    sys.exit(main())

"""`python -m ssdsim.page`."""

import sys

from ssdsim.errors import ConfigError
from ssdsim.page.program import main
from ssdsim.system.terminal import printing


def enter() -> int:
    """Run the command line; return the exit code."""
    with printing():
        try:
            main(sys.argv[1:])
        except ConfigError as error:
            sys.stderr.write(f"ssdsim.page: {error}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(enter())

"""`python -m ssdsim.export`."""

import sys

from ssdsim.command.entry import start


def main() -> int | None:
    """Run the command line; return the exit code."""
    return start("ssdsim.export", "ssdsim.export.program", _page)


def _page() -> str:
    from ssdsim.export.help import text

    return text()


if __name__ == "__main__":
    sys.exit(main())

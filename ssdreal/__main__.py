"""`python -m ssdreal`."""

import sys


def main() -> None:
    """Print the help, or run the command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        from ssdreal.help import text
        from ssdsim.console import show

        show(text())
        return
    try:
        from ssdreal.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()

"""`python -m ssdsim`."""

import sys


def main() -> None:
    """Print the help, or run the command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        from ssdsim.console import show
        from ssdsim.help import text

        show(text())
        return
    try:
        from ssdsim.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()

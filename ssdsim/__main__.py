"""`python -m ssdsim`."""

import sys


def main() -> None:
    """Print the help, or run the command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        from ssdsim.help import text

        print(text())
        return
    from ssdsim.cli import main as run

    run()


if __name__ == "__main__":
    main()

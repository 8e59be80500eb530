"""`python -m ssdreal`."""

import sys


def main() -> None:
    """Print the help, or run the command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        from ssdreal.help import text

        print(text())
        return
    from ssdreal.cli import main as run

    run()


if __name__ == "__main__":
    main()

"""What `python -m` does first: the help costs little, so nothing else is imported for it."""

import sys
from importlib import import_module


def enter(package: str) -> None:
    """Print a package's help, or run its command.

    Parameters
    ----------
    package
        "ssdsim" or "ssdreal": has `help.text` and `cli.main`.

    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        from ssdsim.command.console import show

        show(import_module(f"{package}.command.help").text())
        return
    try:
        command = import_module(f"{package}.command.cli")
    except KeyboardInterrupt:
        sys.exit(130)
    command.main()

"""The entry point of `python -m`: prints the help without heavy imports, or runs the command."""

import gc
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ssdsim.command.console import ending, show, speak_as
from ssdsim.system.terminal import printing

YOUNG = 50_000
"""Objects after which circles of them are looked for: runs make millions, and few circles."""


def enter(package: str, check: Callable[[], None] = lambda: None) -> int | None:
    """Print a package's help, or run its command; return the exit code.

    Parameters
    ----------
    package
        "ssdsim" or "ssdreal": has `help.text` and `cli.main`.
    check
        Raises `ConfigError` if the command cannot be imported.

    """
    return start(
        package, f"{package}.command.cli", lambda: _module(f"{package}.command.help").text(), check
    )


def start(
    program: str, module: str, page: Callable[[], str], check: Callable[[], None] = lambda: None
) -> int | None:
    """Print a help page, or run a module's `main`; return the exit code.

    Parameters
    ----------
    program
        What complaints begin with.
    module
        Where the command is.
    page
        Returns the page.
    check
        Raises `ConfigError` if the module cannot be imported.

    """
    speak_as(program)
    with ending(), printing():
        if {"-h", "--help"} & set(sys.argv[1:]):
            show(page())
            return 0
        check()
        gc.set_threshold(YOUNG)
        code: int | None = _module(module).main()
        return code
    return 0  # whoever read what was printed has gone


def _module(name: str) -> Any:
    return import_module(name)

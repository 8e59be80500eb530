"""The command line, run inside the test's own process."""

import signal
import sys
from pathlib import Path

import pytest

from ssdsim import cli

TINY = ("workload.prompts=4", "workload.output_tokens=24")


def run(*arguments):
    """Run `python -m ssdsim ARGUMENTS`, and return its exit code."""
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ssdsim", *map(str, arguments)])
        patch.setenv("HYDRA_FULL_ERROR", "1")
        try:
            cli.main()
        except SystemExit as end:
            return end.code
        finally:
            signal.signal(signal.SIGTERM, handler)
    return 0


def refused(capsys, out, *arguments):
    """Return the one line that a refused command prints; it must leave nothing behind."""
    capsys.readouterr()
    assert run(*arguments, f"out={out}") == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith("ssdsim: ")
    assert printed.err.count("\n") == 1
    assert not Path(out).exists()
    return printed.err.removeprefix("ssdsim: ").strip()

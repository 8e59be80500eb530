"""A command line, run inside the test's own process or as one of its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssdsim.command import cli

TINY = ("workload.prompts=4", "workload.output_tokens=24")


def run(*arguments):
    """Run `python -m ssdsim ARGUMENTS`, and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        return exit_code(patch, cli.main, "ssdsim", arguments)


def command(*arguments, **options):
    """Start `python -m ssdsim ARGUMENTS` as a process of its own."""
    return subprocess.Popen(  # noqa: S603 - this very command
        [sys.executable, "-m", "ssdsim", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def _unpainted(_figure, path, **_options):
    Path(path).write_bytes(b"\x89PNG")


def exit_code(patch, main, program, arguments):
    """Run a program's main function, and return its exit code.

    Its picture is laid out but not painted, which takes longer than the rest of a small run;
    commands in processes of their own paint it.
    """
    handler = signal.getsignal(signal.SIGTERM)
    patch.setattr("matplotlib.figure.Figure.savefig", _unpainted)
    patch.setattr(sys, "argv", [program, *map(str, arguments)])
    patch.setenv("HYDRA_FULL_ERROR", "1")
    try:
        main()
    except SystemExit as end:
        return end.code
    finally:
        signal.signal(signal.SIGTERM, handler)
    return 0


def refused(capsys, out, *arguments):
    """Return the one line that a refused command prints; it must leave nothing behind."""
    return refusal(capsys, out, lambda: run(*arguments, f"out={out}"))


def refusal(capsys, out, attempt):
    """Return the one line that an attempt prints, without the program's name."""
    capsys.readouterr()
    assert attempt() == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.count("\n") == 1
    assert not Path(out).exists()
    program, _, line = printed.err.strip().partition(": ")
    assert program in {"ssdsim", "ssdreal"}
    return line

"""Interrupts that come while others work: jobs of a launcher end first, and libraries hide none."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra import compose
from hydra.types import RunMode
from omegaconf import open_dict
from patience import PATIENCE, wait_until

from ssdsim.command.console import ending
from ssdsim.command.launching import ENDED, composing, launcher, worked_on
from ssdsim.errors import ConfigError
from ssdsim.system.interrupts import (
    awaiting,
    blocked,
    heard,
    held_back,
    interruptible,
    undisguised,
    unheard_by_children,
)

INTERRUPTED = "interrupted; the same command goes on from what is evaluated"


@pytest.fixture(autouse=True)
def as_commands_are(request):
    """Let interrupts raise what they raise in a command, until the test ends."""
    request.getfixturevalue("handlers")
    interruptible()


def interrupt():
    signal.raise_signal(signal.SIGINT)


def test_an_awaited_interrupt_asks_for_the_end_and_comes_after_it():
    happened = []

    def work():
        with awaiting(lambda: happened.append("asked")):
            interrupt()
            happened.append("went on")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert happened == ["asked", "went on"]


def test_a_second_interrupt_is_not_awaited():
    happened = []

    def work():
        with awaiting(lambda: happened.append("asked")):
            interrupt()
            interrupt()
            happened.append("went on")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert happened == ["asked"]


def disguised(error):
    try:
        interrupt()
    except KeyboardInterrupt:
        raise error from None


@pytest.mark.parametrize("error", [ConfigError("no such option"), ValueError(), OSError()])
def test_what_a_library_makes_of_an_interrupt_ends_as_an_interrupt(error, capsys):
    with pytest.raises(SystemExit) as end, ending("interrupted; all is kept"):
        disguised(error)
    assert end.value.code == 130
    assert capsys.readouterr().err.endswith(": interrupted; all is kept\n")


def test_an_error_after_an_interrupt_that_was_handled_is_that_error():
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    with pytest.raises(ValueError, match="of its own"), undisguised():
        raise ValueError("of its own")


def end_of(*words, **options):
    """Return the exit code of a Python process."""
    options |= {"timeout": PATIENCE, "check": False}
    return subprocess.run([sys.executable, *words], **options).returncode  # noqa: S603, PLW1510 - so


def child():
    """Return the exit code of a process that interrupts itself, and ends with 7 if it can."""
    return end_of("-c", "import os, signal, sys; os.kill(os.getpid(), signal.SIGINT); sys.exit(7)")


def test_an_interrupt_of_an_import_ends_with_the_same_code(tmp_path):
    """Of a text that is executed, as named tuples and data classes make."""
    importing = "exec('import os, signal; os.kill(os.getpid(), signal.SIGINT)')"
    command = f"from ssdsim.command.console import ending\nwith ending(): {importing}"
    (tmp_path / "interrupted.py").write_text(command)
    assert end_of("-m", "interrupted", cwd=tmp_path) == 130


def test_children_hear_of_no_interrupt_but_the_command_does():
    heard = []

    def work():
        with awaiting(lambda: heard.append(True)), unheard_by_children():
            assert child() == 7
            with held_back():
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)  # so that most often it is held back
            wait_until(lambda: heard)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert child() == -signal.SIGINT


def test_a_job_hears_of_interrupts_where_its_process_does_not():
    with blocked():
        with pytest.raises(KeyboardInterrupt), heard():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def task(config):
    """Work on the letters of a chunk; `!` interrupts the command that launched it."""
    path = Path(config.tune.chunk)

    def work(part):
        if part == "!":
            os.kill(os.getpid(), signal.SIGINT)
            wait_until(path.with_name(ENDED).exists)
        return part.encode()

    worked_on(path, path.read_text(), work)


def launch(chunks, folder, done):
    """Launch chunks as commands do."""
    with composing("ssdsim.tune", "tune", "evaluated"):
        config = compose("tune", ["hydra/launcher=basic"], return_hydra_config=True)
        with open_dict(config):
            config.hydra.mode = RunMode.MULTIRUN
        launcher(config, "tune", folder, task)([chunk.encode() for chunk in chunks], done)


@pytest.mark.parametrize(
    ("chunks", "done"),
    [
        (["ab!cd", "ef"], {0: [b"a", b"b", b"!"], 1: []}),
        (["ab", "c!", "!"], {0: [b"a", b"b"], 1: [b"c", b"!"], 2: []}),
    ],
)
def test_an_interrupted_launch_tells_what_was_done_and_begins_nothing_more(
    chunks, done, tmp_path, capsys
):
    told = {}
    with pytest.raises(SystemExit) as end:
        launch(chunks, tmp_path, told.__setitem__)
    assert end.value.code == 130
    assert told == done
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().err == f"ssdsim.tune: {INTERRUPTED}\n"

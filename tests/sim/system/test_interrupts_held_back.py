"""How a command ends, and interrupts that wait until what must be whole is done."""

import errno
import os
import signal

import pytest

from ssdsim.command.console import ending, speak_as
from ssdsim.system.interrupts import INTERRUPTS, held_back, interruptible

pytestmark = pytest.mark.usefixtures("handlers")


@pytest.mark.parametrize("interrupt", INTERRUPTS)
def test_every_interrupt_ends_a_command_in_one_line(interrupt, capsys):
    signal.signal(interrupt, signal.SIG_DFL)
    with pytest.raises(SystemExit) as end, ending("interrupted; it is all there"):
        os.kill(os.getpid(), interrupt)
    assert end.value.code == 130
    assert capsys.readouterr().err.endswith(": interrupted; it is all there\n")


def test_what_was_ignored_is_ignored_on():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    interruptible()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_ends_a_command_in_one_line(number, capsys):
    speak_as("ssdreal")
    with pytest.raises(SystemExit) as end, ending():
        raise OSError(number, "why", "file")
    assert end.value.code == 1
    assert capsys.readouterr().err == "ssdreal: file: cannot be written (why)\n"


def test_other_errors_are_not_explained_away():
    with pytest.raises(FileNotFoundError), ending():
        open("/nowhere/at/all")  # noqa: PTH123, SIM115 - it fails


# Held back


@pytest.mark.parametrize("interrupt", INTERRUPTS)
def test_an_interrupt_comes_at_the_end_of_what_holds_it_back(interrupt):
    signal.signal(interrupt, signal.default_int_handler)
    done = []

    def write():
        with held_back():
            for _ in range(3):
                os.kill(os.getpid(), interrupt)
            with held_back():
                os.kill(os.getpid(), interrupt)
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done == ["all"]
    assert signal.getsignal(interrupt) is signal.default_int_handler


def test_an_interrupt_comes_also_after_an_error():
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def fill():
        with held_back():
            os.kill(os.getpid(), signal.SIGINT)
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(KeyboardInterrupt) as interrupted:
        fill()
    assert isinstance(interrupted.value.__context__, OSError)

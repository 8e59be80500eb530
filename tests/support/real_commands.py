"""`python -m ssdreal`, run inside the test's own process, its workers too."""

import signal
import threading
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from commands import exit_code, refusal
from inline_crew import InlineCrew, same_paces

# Transformers' own lazy imports fail where two threads come to them at once.
from transformers import AutoModelForCausalLM, LlamaForCausalLM  # noqa: F401

from ssdreal.command import cli
from ssdreal.executor.sitting import Sitting
from ssdreal.workers import process
from ssdreal.workers.crew import Processes
from ssdreal.workers.loading import load

PROMPTS = Path(__file__).parent / "reference" / "prompts.jsonl"
TINY = ("pair=tiny", f"prompts={PROMPTS}", "workload.prompts=2", "workload.output_tokens=12")
SSD = (*TINY, "lookahead=4")

loaded = cache(load)  # weights never change: all crews of all tests share them


class Inline(InlineCrew):
    """Hired as processes are, but only objects."""

    def __init__(self, *hirings):
        super().__init__(*map(_model, hirings))
        self.hirings = hirings

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Threads(Processes):
    """A crew of threads that do what processes do, over the same pipes."""

    def __init__(self, *hirings):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process.WorkerProcess, "start", _start)
            super().__init__(*hirings)


class Thread(threading.Thread):
    """Stands in for a process; whatever ends it counts as SIGKILL."""

    pid, exitcode = 1, -signal.SIGKILL

    def kill(self):
        pass


class Nobody:
    """Whoever hires fails: what is refused must be refused before."""

    def __init__(self, *hirings):
        raise AssertionError(f"{[hiring.model for hiring in hirings]} were to be loaded")


def _model(hiring):
    asked = {"target": hiring.target, "vocabulary": hiring.vocabulary}
    return loaded(hiring.model, hiring.dtype, **asked)


def _start(workers):
    workers.process = Thread(target=process.work, args=workers.process._args, daemon=True)
    for channel in workers.channels:
        channel.process = workers.process
    workers.process.start()


@contextmanager
def at_work(hire):
    """Let sittings hire so. This process keeps its cores, and passes are not measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "Sitting", partial(Sitting, hire=hire))
        patch.setattr("ssdreal.workers.loading.load", loaded)
        patch.setattr("ssdreal.serving.server._settle_on", lambda _: None)
        patch.setattr("ssdreal.workers.lifetime.print_exception", lambda _: None)  # no log here
        torch.set_num_threads(1)  # as workers have
        same_paces(patch)
        yield patch


def run(*arguments, hire=Inline):
    """Run `python -m ssdreal ARGUMENTS`, and return its exit code."""
    with at_work(hire) as patch:
        return exit_code(patch, cli.main, "ssdreal", arguments)


def refused(capsys, out, *arguments):
    """Return the one line that a refused command prints; nothing is loaded, nothing is left."""
    return refusal(capsys, out, lambda: run(*arguments, f"out={out}", hire=Nobody))

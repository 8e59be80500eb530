"""What holds for all tests."""

import signal
import threading
import time
from dataclasses import replace
from functools import partial

import pytest

# A shell that starts the tests in the background lets them, and all that they start, ignore
# Ctrl-C. Many of them press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def sampled_trace(tmp_path_factory):
    """Return a trace of many texts at temperatures where acceptance is a matter of chance."""
    from traces import record_sampled

    return record_sampled(tmp_path_factory.mktemp("sampled"))


@pytest.fixture(scope="session")
def exact_trace(tmp_path_factory):
    """Return a trace of texts whose rounds are fixed."""
    from traces import record_exact

    return record_exact(tmp_path_factory.mktemp("exact"))


@pytest.fixture
def damaged_trace(exact_trace, tmp_path):
    """Return a function that writes a changed copy of that trace and says where."""
    from traces import damage

    return partial(damage, exact_trace, tmp_path)


@pytest.fixture(scope="module")
def registered():
    """Let Hydra know the options of a simulated run."""
    from ssdsim.command.config import register

    register()


@pytest.fixture
def nothing_left():
    """Whatever a test does, no worker outlives it."""
    from faults import workers

    threads = threading.active_count()
    yield
    deadline = time.monotonic() + 5
    while threading.active_count() > threads or workers():
        assert time.monotonic() < deadline, (threading.enumerate(), workers())
        time.sleep(0.01)


@pytest.fixture
def alone(monkeypatch):
    """Do without baselines."""
    monkeypatch.setattr("ssdreal.executor.baselines.compare", lambda *_: {})


@pytest.fixture(params=["apart", "together"])
def hosting(request, monkeypatch):
    """Let both models be in processes of their own, or in one."""
    if request.param == "together":
        put_together(monkeypatch)


@pytest.fixture
def together(monkeypatch):
    """Let both models be in one process."""
    put_together(monkeypatch)


def put_together(monkeypatch):
    """Let the host's topology be as one GPU's: a process with a thread for each model."""
    from ssdreal.places.topology import Cpu

    apart = Cpu.places
    monkeypatch.setattr(
        Cpu, "places", lambda cpu, draft_on: replace(apart(cpu, draft_on), together=True)
    )


@pytest.fixture
def crews(monkeypatch):
    """Count the crews of threads that are hired."""
    from real_commands import Threads

    hired = []
    monkeypatch.setattr(Threads, "__enter__", lambda crew: hired.append(crew) or crew)
    return hired

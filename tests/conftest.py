"""What holds for all tests."""

import signal
import threading
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Checks that tests share show what they compared, as those of the tests themselves do.
pytest.register_assert_rewrite("invariants", "scripted", "traces")

# How long an example takes says how busy the machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A shell that starts the tests in the background lets them, and all that they start, ignore
# Ctrl-C. Many of them press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def profiles_are_read_once():
    """Keep what a profile's file holds: every command in this process reads all of them."""
    from ssdsim.command import config

    read = cache(lambda name, path, _changed, _here: original(name, path))
    original = config.read_profile

    def kept(name, path):
        changed = path.stat().st_mtime_ns if path.exists() else None
        return deepcopy(read(name, path, changed, Path.cwd()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "read_profile", kept)
        yield


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


@pytest.fixture(scope="session")
def traces_of_two_kinds(tmp_path_factory):
    """Return two traces of a text of kind a and one of kind b each, by what they stand for."""
    from traces import record_two_kinds

    names = enumerate(("RECORDED", "OTHER"))
    return {name: record_two_kinds(tmp_path_factory.mktemp(name), seed) for seed, name in names}


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


@pytest.fixture(scope="session")
def browser():
    """Start one browser for all tests; see `browsing`."""
    from browsing import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def nothing_left():
    """Whatever a test does, no worker outlives it."""
    from faults import workers
    from patience import wait_until_gone

    before = set(threading.enumerate())
    yield
    wait_until_gone(lambda: [*(set(threading.enumerate()) - before), *workers()])


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


@pytest.fixture
def handlers():
    """What a command does to signals ends with the test."""
    from ssdsim.system.interrupts import INTERRUPTS

    before = {interrupt: signal.getsignal(interrupt) for interrupt in INTERRUPTS}
    yield
    for interrupt, handler in before.items():
        signal.signal(interrupt, handler)

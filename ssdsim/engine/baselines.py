"""Simulates a run's baselines: autoregressive and speculative decoding on the same devices.

Runs that differ in policy, lookahead and the like alone have the same ones: a process simulates
those once, for a sweep or a search through thousands of settings.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ssdsim.acceptance.base import Filed
from ssdsim.backups.jit import Jit
from ssdsim.cuts.all import All
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import evaluate
from ssdsim.errors import ConfigError
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.base import Method
from ssdsim.methods.speculative import Speculative
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.run.metrics import speedup
from ssdsim.run.results import run_id
from ssdsim.run.trace import Run
from ssdsim.trees.chain import Chain

MOST_LOOKAHEAD = 32
SEARCH_TOKENS = 4096
OF_A_ROUND = ("acceptance_length", "step_seconds", "target_busy")
"""Metrics that say what a baseline's round is."""

KEPT = 64
"""AR's and SD's runs that a process remembers: without tables, but with their settings, which may
remember a megabyte of times that were looked up."""


def compare(run: Run, setup: Setup) -> dict[str, Run]:
    """Simulate the baselines of `setup`, enter speedups into `run`, and return the baselines' runs.

    AR and SD run on the target's devices; `same_devices` is the better of the two when the
    target is spread over every device that the method uses, where the machine can tell. A
    baseline that the machine's times do not cover is left out. The baselines' runs have no tables.
    Where requests arrive in time there are none: whoever keeps up makes as many tokens a second.
    """
    runs = {} if setup.workload.open else _baselines(setup)
    enter(run, runs)
    return runs


def enter(run: Run, runs: dict[str, Run]) -> None:
    """Enter baselines and the speedups over them into `run`; `runs` are named as in `compare`."""
    for name in ("ar", "sd", "same_devices"):
        _enter(run, name, runs.get(name))
    for name, other in runs.items():
        _enter(other, "ar", runs.get("ar"))
        run.info["baselines"][name] = {
            "method": other.info["method"],
            "lookahead": other.info["config"]["lookahead"] if name != "ar" else None,
            "devices": other.info["devices"],
            "tokens_per_s": other.metrics["tokens_per_s"],
            "ci95": other.metrics["ci95"].get("tokens_per_s"),
            **{name: other.metrics.get(name) for name in OF_A_ROUND},
        }
    if "ar" in runs:
        _enter(runs["ar"], "sd", runs.get("sd"))


def _baselines(setup: Setup) -> dict[str, Run]:
    found = {"ar": _autoregressive(setup), "sd": _best_speculative(setup)}
    spread = _spread(setup)
    if spread is not None:
        both = [other for other in (_autoregressive(spread), _best_speculative(spread)) if other]
        found["same_devices"] = max(both, key=_speed, default=None)
    return {name: run for name, run in found.items() if run is not None}


def _autoregressive(setup: Setup) -> Run | None:
    return _copy(_known_autoregressive(_Settings.of(setup, Autoregressive())))


def _best_speculative(setup: Setup) -> Run | None:
    return _copy(_known_speculative(_Settings.of(setup, Speculative())))


@lru_cache(maxsize=KEPT)
def _known_autoregressive(settings: "_Settings") -> Run | None:
    return _covered(settings.setup)


@lru_cache(maxsize=KEPT)
def _known_speculative(settings: "_Settings") -> Run | None:
    """Return ordinary speculation at its best lookahead, looked for on part of the workload."""
    setup = settings.setup
    prompts = max(setup.batch, SEARCH_TOKENS // setup.workload.longest_output, 1)
    part = replace(setup.workload, prompts=min(prompts, setup.workload.prompts))
    best, best_speed = 1, 0.0
    for lookahead in range(1, MOST_LOOKAHEAD + 1):
        trial = _covered(replace(setup, lookahead=lookahead, workload=part))
        if trial is None:
            break
        if _speed(trial) > best_speed:
            best, best_speed = lookahead, _speed(trial)
        elif lookahead > best + 2:
            break  # tokens/s has one peak in K; three steps past it are enough against noise
    return _covered(replace(setup, lookahead=best))


@dataclass(frozen=True)
class _Settings:
    """All that a baseline depends on, as a key: settings, and when what they read was written."""

    setup: Setup
    written: tuple[int, ...]

    @classmethod
    def of(cls, setup: Setup, method: Method) -> "_Settings":
        acceptance = setup.acceptance
        written = acceptance.written() if isinstance(acceptance, Filed) else ()
        return cls(_plain(setup, method), written)

    def __hash__(self) -> int:  # settings that are equal are described alike; tables have no hash
        return hash((run_id(self.setup), self.written))


def _plain(setup: Setup, method: Method) -> Setup:
    """Return the setup for chains of a fixed length, and a method without policy and backup."""
    setup = replace(setup, method=method, length=Fixed(), tree=Chain(), verify=All())
    return replace(setup, policy=UniformFanout(), backup=Jit(), lookahead=1)


def _covered(setup: Setup) -> Run | None:
    try:
        return evaluate(setup)
    except ConfigError:
        return None  # the method's own settings were found fine; a table ends before this one's


def _copy(run: Run | None) -> Run | None:
    """Return a baseline that speedups can be entered into."""
    if run is None:
        return None
    metrics = {**run.metrics, "ci95": {**run.metrics["ci95"]}}
    return Run({**run.info, "metrics": metrics}, {})


def _speed(run: Run) -> float:
    return run.metrics["tokens_per_s"] or 0.0


def _spread(setup: Setup) -> Setup | None:
    if setup.draft_on != "own":
        return setup
    method, machine = setup.method, setup.machine
    own = 0 if machine.shared else method.drafts * machine.draft.devices
    devices = method.servers * machine.target.devices + own
    spread = machine.spread(devices)
    return replace(setup, machine=spread) if spread else None


def _enter(run: Run, name: str, other: Run | None) -> None:
    metrics: dict[str, Any] = run.metrics
    key = f"speedup_over_{name}"
    mine, theirs = metrics["tokens_per_s"], other and other.metrics["tokens_per_s"]
    if other is None or not mine or not theirs:
        metrics[key] = None
        return
    widths = [r.metrics["ci95"].get("tokens_per_s", 0.0) for r in (run, other)]
    metrics[key], metrics["ci95"][key] = speedup(mine, widths[0], theirs, widths[1])

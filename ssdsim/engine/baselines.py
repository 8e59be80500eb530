"""Simulates a run's baselines: autoregressive and speculative decoding on the same devices.

Runs that differ in policy, lookahead and the like alone have the same ones: a process simulates
those once, for a sweep or a search through thousands of settings.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import Any

from ssdsim.acceptance.base import Filed
from ssdsim.backups.jit import Jit
from ssdsim.cuts.all import All
from ssdsim.engine.pace import By, compared_by, faster, pace
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import evaluate
from ssdsim.errors import ConfigError
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.base import Method
from ssdsim.methods.speculative import Speculative
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.run.results import run_id
from ssdsim.run.trace import Run
from ssdsim.trees.chain import Chain

MOST_LOOKAHEAD = 32
SEARCH_TOKENS = 4096
SEARCH_TOKENS_AT_LOAD = 1 << 15
"""A queue needs more of them until it is as long as it will be."""

OF_A_ROUND = ("acceptance_length", "step_seconds", "target_busy")
"""Metrics that say what a baseline's round is."""

OF_REQUESTS = ("ttft_mean", "tpot_mean", "itl_mean", "e2e_mean", "goodput_requests_per_s")
"""Metrics that say what requests saw of a baseline, in runs of requests."""

MOST_TOKENS = 1 << 20
"""Tokens of requests that arrive in time, beyond which there are no baselines: ten seconds."""

KEPT = 64
"""AR's and SD's runs that a process remembers: without tables, but with their settings, which may
remember a megabyte of times that were looked up."""


def compare(run: Run, setup: Setup) -> dict[str, Run]:
    """Simulate the baselines of `setup`, enter speedups into `run`, and return the baselines' runs.

    AR and SD run on the target's devices; `same_devices` is the better of the two when the
    target is spread over every device that the method uses, where the machine can tell. A
    baseline that the machine's times do not cover is left out. The baselines' runs have no tables.
    Where requests arrive in time all have the same ones, and are compared by what these take from
    end to end; of more than `MOST_TOKENS` there are no baselines.
    """
    runs = {} if too_long(setup) else _baselines(setup)
    enter(run, runs, compared_by(setup.workload))
    return runs


def too_long(setup: Setup) -> bool:
    """Tell whether requests arrive in time, and are more than baselines are simulated for."""
    return setup.workload.open and prompts_of(setup, MOST_TOKENS) < setup.workload.prompts


def prompts_of(setup: Setup, tokens: int) -> int:
    """Return how many of the first requests have at most so many tokens to decode together."""
    lengths = (request.output_tokens for request in setup.workload.requests(setup.seed))
    return sum(total <= tokens for total in accumulate(lengths))


def enter(run: Run, runs: dict[str, Run], by: By = "tokens_per_s") -> None:
    """Enter baselines and the speedups over them into `run`; `runs` are named as in `compare`."""
    for name in ("ar", "sd", "same_devices"):
        _enter(run, name, runs.get(name), by)
    for name, other in runs.items():
        _enter(other, "ar", runs.get("ar"), by)
        requests = {key: other.metrics[key] for key in OF_REQUESTS if key in other.metrics}
        run.info["baselines"][name] = {
            "method": other.info["method"],
            "lookahead": other.info["config"]["lookahead"] if name != "ar" else None,
            "devices": other.info["devices"],
            "by": by,
            "tokens_per_s": other.metrics["tokens_per_s"],
            "ci95": other.metrics["ci95"].get("tokens_per_s"),
            **{name: other.metrics.get(name) for name in OF_A_ROUND},
            **requests,
        }
    if "ar" in runs:
        _enter(runs["ar"], "sd", runs.get("sd"), by)


def _baselines(setup: Setup) -> dict[str, Run]:
    found = {"ar": _autoregressive(setup), "sd": _best_speculative(setup)}
    spread = _spread(setup)
    if spread is not None:
        both = [other for other in (_autoregressive(spread), _best_speculative(spread)) if other]
        by = compared_by(setup.workload)
        found["same_devices"] = max(both, key=lambda run: pace(run, by), default=None)
    return {name: run for name, run in found.items() if run is not None}


def _autoregressive(setup: Setup) -> Run | None:
    return _copy(_known_autoregressive(_Settings.of(setup, Autoregressive())))


def _best_speculative(setup: Setup) -> Run | None:
    return _copy(_known_speculative(_Settings.of(setup, Speculative())))


@lru_cache(maxsize=KEPT)
def _known_autoregressive(settings: "_Settings") -> Run | None:
    return covered(settings.setup)


@lru_cache(maxsize=KEPT)
def _known_speculative(settings: "_Settings") -> Run | None:
    """Return ordinary speculation at its best lookahead, looked for on part of the workload."""
    setup = settings.setup
    return covered(replace(setup, lookahead=fastest_lookahead(setup)))


def fastest_lookahead(setup: Setup) -> int:
    """Return the K with which a part of the workload is decoded the fastest, by simulating it."""
    part, by = _part(setup), compared_by(setup.workload)
    best, best_pace = 1, 0.0
    for lookahead in range(1, MOST_LOOKAHEAD + 1):
        trial = covered(replace(part, lookahead=lookahead))
        if trial is None:
            break
        if pace(trial, by) > best_pace:
            best, best_pace = lookahead, pace(trial, by)
        elif lookahead > best + 2:
            break  # speed has one peak in K; three steps past it are enough against noise
    return best


def _part(setup: Setup) -> Setup:
    """Return the setup with part of its workload."""
    workload = setup.workload
    if workload.open:
        prompts = prompts_of(setup, SEARCH_TOKENS_AT_LOAD)
    else:
        prompts = max(setup.batch, SEARCH_TOKENS // workload.longest_output)
    part = replace(workload, prompts=min(max(prompts, 1), workload.prompts))
    return replace(setup, workload=part)


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
    return replace(setup, policy=UniformFanout(), backup=Jit(), lookahead=1, draft_pool=0)


def covered(setup: Setup) -> Run | None:
    """Simulate a setup; None where the machine's times do not cover it."""
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


def _spread(setup: Setup) -> Setup | None:
    if setup.draft_on != "own":
        return setup
    if setup.draft_pool:
        return None  # a replica has no whole number of devices
    method, machine = setup.method, setup.machine
    own = 0 if machine.shared else method.drafts * machine.draft.devices
    devices = method.servers * machine.target.devices + own
    spread = machine.spread(devices)
    return replace(setup, machine=spread) if spread else None


def _enter(run: Run, name: str, other: Run | None, by: By) -> None:
    metrics: dict[str, Any] = run.metrics
    key = f"speedup_over_{name}"
    if other is None or not pace(run, by) or not pace(other, by):
        metrics[key] = None
        return
    metrics[key], metrics["ci95"][key] = faster(run, other, by)

"""What can be changed of a run of requests: how they come, and who serves them."""

from collections.abc import Iterator
from typing import Any

from ssdsim.command.setting import Setting
from ssdsim.engine.setup import Setup
from ssdsim.explore.control import Control, chosen, slider
from ssdsim.options.plugins import plugins
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.base import Workload
from ssdsim.workloads.trace import Trace

MOST_REPLICAS = 8
STEPS = 20
"""Of a slider up to the value that it begins with."""


def serving_controls(setting: Setting, setup: Setup) -> Iterator[Control]:
    """Yield the controls of workload, serving, replicas and router.

    Parameters
    ----------
    setting
        What all began with: its workload can be kept, and sliders go by its rate.
    setup
        With all changes.

    """
    yield from _arrivals(setting, setup.workload)
    yield chosen("serving", "who is decoded together", setup.serving)
    if isinstance(setup.serving, Continuous):
        yield from _memory(setup.serving)
    label = "copies of target and draft"
    yield slider("replicas", label, setup.replicas, 1, MOST_REPLICAS, 1)
    if setup.replicas > 1:
        yield chosen("router", "which copy a request goes to", setup.router)


def _arrivals(setting: Setting, workload: Workload) -> Iterator[Control]:
    names, now = _workloads(setting, workload)
    yield Control("workload", "how requests come", "choice", now, choices=names)
    label = "how many requests"
    yield slider("workload.prompts", label, workload.prompts, 1, 200, 1)
    rate = _number(workload, "rate")
    if rate is not None:
        usual = _number(setting.setup.workload, "rate") or rate
        step = float(f"{usual / STEPS:.2g}")
        yield slider("workload.rate", "requests a second", rate, step, 4 * STEPS * step, step)
    yield from _bursts(workload)


def _bursts(workload: Workload) -> Iterator[Control]:
    burstiness, quiet_rate = (_number(workload, name) for name in ("burstiness", "quiet_rate"))
    if burstiness is not None:
        label = "1 is Poisson, less is burstier"
        yield slider("workload.burstiness", label, burstiness, 0.05, 4, 0.05)
    if quiet_rate is None:
        return
    label = "rate in quiet times, as a share of busy ones"
    yield slider("workload.quiet_rate", label, quiet_rate, 0, 1, 0.05)
    for name in ("busy", "quiet") if quiet_rate < 1 else ():
        seconds: float = getattr(workload, name)
        yield slider(f"workload.{name}", f"seconds of a {name} time", seconds, 0.5, 60, 0.5)


def _memory(serving: Continuous) -> Iterator[Control]:
    name, label = "serving.max_num_seqs", "requests running at a time, at most"
    yield slider(name, label, serving.max_num_seqs, 1, 256, 1)
    blocks = serving.num_gpu_blocks
    if blocks is not None:
        name, label = "serving.num_gpu_blocks", "blocks of the KV cache"
        yield Control(name, label, "number", blocks, 1, 2**31, 1)


def _workloads(setting: Setting, workload: Workload) -> tuple[tuple[str, ...], str]:
    """Return the workloads that can be chosen, the first as all began, and which one it is now."""
    own, kind = str(setting.choices["workload"]), type(setting.setup.workload)
    names = {of: name for name, of in plugins("workload").items()} | {kind: own}
    others = (name for of, name in names.items() if of not in {kind, Trace})
    return (own, *others), names[type(workload)]


def _number(workload: Any, name: str) -> float | None:
    value = getattr(workload, name, None)
    return None if value is None else float(value)

"""What a run is compared with: autoregressive and speculative decoding on the same devices."""

from dataclasses import replace
from typing import Any

from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.metrics import speedup
from ssdsim.simulation import Setup, simulate
from ssdsim.trace import Run

MOST_LOOKAHEAD = 32
SEARCH_TOKENS = 4096


def compare(run: Run, setup: Setup) -> dict[str, Run]:
    """Run the baselines of `setup`, enter speedups into `run`, and return the baselines' runs.

    AR and SD run on the target's devices; `same_devices` is the better of the two when the
    target is spread over every device that the method uses, where the machine can tell.
    """
    runs = {"ar": _autoregressive(setup), "sd": _best_speculative(setup)}
    spread = _spread(setup)
    if spread is not None:
        both = (_autoregressive(spread), _best_speculative(spread))
        runs["same_devices"] = max(both, key=lambda other: other.metrics["tokens_per_s"])
    for name in ("ar", "sd", "same_devices"):
        _enter(run, name, runs.get(name))
    for name, other in runs.items():
        _enter(other, "ar", runs["ar"])
        run.info["baselines"][name] = {
            "method": other.info["method"],
            "lookahead": other.info["config"]["lookahead"] if name != "ar" else None,
            "devices": other.info["devices"],
            "tokens_per_s": other.metrics["tokens_per_s"],
            "ci95": other.metrics["ci95"].get("tokens_per_s"),
        }
    _enter(runs["ar"], "sd", runs["sd"])
    return runs


def _autoregressive(setup: Setup) -> Run:
    return simulate(replace(setup, method=Autoregressive()))


def _best_speculative(setup: Setup) -> Run:
    """Return ordinary speculation at its best lookahead, looked for on part of the workload."""
    prompts = max(setup.batch, SEARCH_TOKENS // setup.workload.output_tokens, 1)
    part = replace(setup.workload, prompts=min(prompts, setup.workload.prompts))
    setup = replace(setup, method=Speculative())
    best, best_speed = 1, 0.0
    for lookahead in range(1, MOST_LOOKAHEAD + 1):
        trial = simulate(replace(setup, lookahead=lookahead, workload=part))
        speed = trial.metrics["tokens_per_s"]
        if speed > best_speed:
            best, best_speed = lookahead, speed
        elif lookahead > best + 2:
            break  # tokens/s has one peak in K; three steps past it are enough against noise
    return simulate(replace(setup, lookahead=best))


def _spread(setup: Setup) -> Setup | None:
    if setup.method.draft_on != "own":
        return setup
    devices = setup.machine.target.devices + setup.machine.draft.devices
    machine = setup.machine.spread(devices)
    return replace(setup, machine=machine) if machine else None


def _enter(run: Run, name: str, other: Run | None) -> None:
    metrics: dict[str, Any] = run.metrics
    key = f"speedup_over_{name}"
    mine, theirs = metrics["tokens_per_s"], other and other.metrics["tokens_per_s"]
    if other is None or not mine or not theirs:
        metrics[key] = None
        return
    widths = [r.metrics["ci95"].get("tokens_per_s", 0.0) for r in (run, other)]
    metrics[key], metrics["ci95"][key] = speedup(mine, widths[0], theirs, widths[1])

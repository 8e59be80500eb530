"""Simulates the check's scripted runs on the machine that the check measured."""

import json
from pathlib import Path

from omegaconf import OmegaConf

from ssdreal.command.config import request_from
from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdsim.acceptance.trace_file import INFO
from ssdsim.calibration.prediction import Profile
from ssdsim.calibration.profile_file import FILE
from ssdsim.engine.simulation import simulate
from ssdsim.run.trace import Run


def predicted(run: Run, folder: Path) -> float | None:
    """Return the simulated tokens/s of a scripted run, or None without a profile to simulate with.

    The same outcomes are drawn from the same seed, so that rounds are the same and times alone are
    predicted.

    Parameters
    ----------
    run
        A run of the check.
    folder
        Where the check has its profiles.

    """
    profile = profile_of(run, folder) if _follows(run) else None
    if profile is None:
        return None
    setup = setup_of(run)
    assert setup.acceptance is not None, "a scripted run has a source"
    simulated = simulate(simulated_twin(setup, setup.acceptance, Profile(profile).machine))
    speed = simulated.metrics["tokens_per_s"]
    return None if speed is None else float(speed)


def _follows(run: Run) -> bool:
    """Whether a run is one that profiles speak of: scripted, and computed as they were."""
    return bool(run.info["source"] == "scripted" and run.info["config"]["passes"] == "graph")


def profile_of(run: Run, folder: Path) -> Path | None:
    """Return the profile that was measured with a run's pair, its GPU split as the run's was."""
    config = run.info["config"]
    pair, split = config["pair"], config["split"]
    for path in sorted(folder.glob(f"*/{FILE}")):
        measured = json.loads((path.parent / INFO).read_text(encoding="utf-8"))
        found = measured["models"], measured["split"], measured["dtype"]
        if found == ([pair["target"], pair["draft"]], split, config["dtype"]):
            return path.parent
    return None


def setup_of(run: Run) -> Setup:
    """Return what a run was set to; where it ran need not be here."""
    config = {**run.info["config"], "topology": "cpu", "split": None}
    config.pop("choices", None)
    return request_from(OmegaConf.create(config), []).setup

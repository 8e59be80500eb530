"""What each guess adds to the error, where one of two runs was measured and one predicts it."""

from dataclasses import dataclass

from ssdsim.calibration.error_causes import Causes, causes
from ssdsim.calibration.machine_state import Nearby
from ssdsim.calibration.prediction import Profile
from ssdsim.calibration.profile_file import TIMINGS
from ssdsim.calibration.resimulation import setup_of
from ssdsim.compare.settings import differing
from ssdsim.errors import ConfigError, require
from ssdsim.options.plugins import profile_files
from ssdsim.run.trace import Run

SAME = ("method", "policy", "backup", "drafter", "length", "tree", "lookahead", "batch")
"""Settings that a prediction has in common with what it predicts."""
SAMPLED = ("temperature", "coupling")


@dataclass(frozen=True)
class Explanation:
    """The causes of a prediction's error, or why they are not known: one of both is there."""

    causes: Causes | None = None
    missing: str = ""


def explained(one: Run, other: Run) -> Explanation | None:
    """Explain why two runs differ in speed; None where neither predicts the other.

    The prediction's machine is taken for what it was when the profile was measured: without
    anchors, drift counts among the durations.
    """
    measured = [run for run in (one, other) if run.info["source"] == "real"]
    simulated = [run for run in (one, other) if run.info["source"] == "sim"]
    if len(measured) != 1 or len(simulated) != 1:
        return None
    try:
        return Explanation(_causes(measured[0], simulated[0]))
    except ConfigError as error:
        return Explanation(missing=str(error))


def _causes(measured: Run, simulated: Run) -> Causes:
    """Return the causes.

    Raises
    ------
    ConfigError
        The simulation does not predict this run, or its profile was not measured.

    """
    _check_same(measured, simulated)
    profile = _profile(simulated)
    setup = setup_of(measured, profile.acceptance, profile.machine)
    predicted = simulated.metrics["tokens_per_s"]
    return causes(measured, setup, profile, Nearby(), predicted)


def _check_same(measured: Run, simulated: Run) -> None:
    """Refuse two runs of different methods or settings."""
    unlike = differing([measured.info["config"], simulated.info["config"]])
    sections = {name.partition(".")[0] for name in unlike}
    for name in (*SAME, *SAMPLED):
        if name in sections:
            raise ConfigError(f"{name} differs between the runs: neither predicts the other")
    for run in (measured, simulated):
        require(bool(run.metrics["tokens_per_s"]), "tokens_per_s", None, "one run has no rounds")


def _profile(run: Run) -> Profile:
    """Return the measured profile that a run simulates."""
    name = str((run.info["config"].get("choices") or {}).get("profile"))
    file = profile_files().get(name)
    right = "the simulation is not of a profile that was measured (ssdreal.profile)"
    if file is None or not (file.parent / TIMINGS).is_file():
        raise ConfigError(f"profile={name}: {right}")
    return Profile(file.parent)

"""Reads configurations to measure, and sets each up both for real models and for ssdsim."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from shlex import split

from hydra import compose, initialize
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from ssdreal.command.config import register, request_from
from ssdreal.executor.pair import Pair
from ssdreal.executor.preflight import Models, check_room
from ssdreal.executor.request import Request
from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdreal.executor.workload import Task
from ssdreal.places.topology import Topology
from ssdreal.profile.split import Part
from ssdsim.backups.random import Random
from ssdsim.calibration.prediction import Profile
from ssdsim.command.hydra_errors import explained
from ssdsim.engine.setup import Setup as SimulatedSetup
from ssdsim.errors import ConfigError, require
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.base import StaticPolicy
from ssdsim.workloads.closed import Closed

MEASURED_WITH = "the profile says what it was measured with"
FIXED = {
    "pair": MEASURED_WITH,
    "dtype": MEASURED_WITH,
    "split": MEASURED_WITH,
    "acceptance": MEASURED_WITH,
    "topology": "--topology says where all run",
    "passes": "all run on graphs",
    "prompts": "those that are compared decode the same ones",
    "workload": "the prompts and --tokens say what is decoded",
    "serving": "they all wait from the start, and batch says how many are decoded at a time",
    "seed": "every repeat has a seed of its own",
    "texts": "no text is printed",
    "out": "--out says where all goes",
    "overwrite": "--overwrite says whether results may be replaced",
    "keep": "nothing is swept",
    "page": "no page is written",
    "hydra": "nothing is launched",
}
"""Options that are the same for all configurations, and who chooses."""


@dataclass(frozen=True)
class Configuration:
    """A run to predict and to measure.

    Attributes
    ----------
    part, name
        Which side of the split it is on, and what it is called there.
    overrides
        As typed after `python -m ssdreal`.
    setup
        What they mean.
    baseline
        Whether others are compared with it.
    exit_layer
        After how many of its layers the target tells what it takes for likely; None: it does not.

    """

    part: str
    name: str
    overrides: str
    setup: Setup
    baseline: bool
    exit_layer: int | None = None

    @property
    def title(self) -> str:
        """Part and name."""
        return f"{self.part}/{self.name}"

    def kept_as(self, repeat: int) -> str:
        """Return what a journal calls the run of a repeat: the first beside it, others in that."""
        return f"{self.title}/repeat_{repeat + 1}" if repeat else self.title

    @property
    def group(self) -> str:
        """What it has in common with those that it is ranked against."""
        decoding = self.setup.decoding
        coupling = "" if decoding.greedy else f" {decoding.coupling}"
        return f"{self.part} T={decoding.temperature:g}{coupling}"

    def simulated(self, profile: Profile) -> SimulatedSetup:
        """Return the same for ssdsim, with a profile's outcomes and times."""
        acceptance = replace(profile.acceptance, exit_layer=self.exit_layer)
        return simulated_twin(self.setup, acceptance, profile.machine)

    def heard(self, layers: int, recorded: Sequence[int]) -> "Configuration":
        """Return the same with its `exit_layer`, for a target of so many layers.

        Raises
        ------
        ConfigError
            It is not among the `recorded` ones of a profile.

        """
        told = self.setup.exit
        if told is None or not told.tokens:
            return self
        layer = told.layer(layers)
        right = f"the target speaks after layer {layer}, of which the profile has no early view "
        right += f"(it has {list(recorded)}); ssdreal.profile --exits records them"
        require(layer in recorded, f"{self.title}: method.exit", told.share, right)
        return replace(self, exit_layer=layer)

    def repeat(self, number: int) -> Setup:
        """Return the setup of a repeat: where tokens are drawn, each has noise of its own."""
        return replace(self.setup, seed=number)

    @property
    def rounds_follow(self) -> bool:
        """Whether a replay must give the measured rounds: not by the clock, by chance, by habit."""
        setup = self.setup
        if setup.decoding.needs_probabilities or isinstance(setup.method, Autoregressive):
            return False
        if not isinstance(setup.length, Fixed) or setup.method.timed:
            return False
        if not isinstance(setup.method, Ssd):
            return True
        return isinstance(setup.policy, StaticPolicy) and not isinstance(setup.backup, Random)


def configurations(
    parts: dict[str, Part], baselines: list[str], tasks: dict[str, list[Task]], tokens: int
) -> list[Configuration]:
    """Return the runs of all parts.

    Parameters
    ----------
    parts, baselines
        Of a split.
    tasks
        The prompts of each part.
    tokens
        To decode of each.

    Raises
    ------
    ConfigError
        An override cannot be; the message names part and configuration.

    """
    found = []
    with composing():
        for part, of in parts.items():
            workload = Closed(prompts=len(tasks[part]), output_tokens=tokens)
            for name, overrides in of.configurations.items():
                setup = replace(read_setup(f"{part}/{name}", overrides), workload=workload)
                found.append(Configuration(part, name, overrides, setup, name in baselines))
    return found


@contextmanager
def composing() -> Iterator[None]:
    """Let Hydra know the options of real runs, for `read_setup`."""
    register()
    with initialize(version_base="1.3", config_path=None):
        yield


def read_setup(title: str, overrides: str) -> Setup:
    """Return what overrides mean, while `composing`.

    Raises
    ------
    ConfigError
        They cannot be, or are not a configuration's to choose; the message begins with `title`.

    """
    try:
        words = split(overrides)
        keys = [word.lstrip("+~").partition("=")[0] for word in words]
        _check_applied(keys)
        setup = request_from(compose("real", words), keys).setup
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"{title}: {explained(error)}") from error
    except ValueError as error:  # a quotation mark too few, among others
        raise ConfigError(f"{title}: {error}") from error
    right = "cannot be predicted, what a profile knows is another draft"
    require(setup.skipped is None, f"{title}: method", "self_speculative", right)
    return setup


def check_fits(
    one: Configuration, pair: Pair, dtype: str, where: Topology, models: Models, tasks: list[Task]
) -> None:
    """Refuse what does not fit the models, or the memory of a host.

    Raises
    ------
    ConfigError
        Naming the configuration and the option.

    """
    try:
        check_room(Request(one.setup, pair, where, dtype), models, tasks)
    except ConfigError as error:
        why = str(error).replace("workload.output_tokens", "--tokens")
        raise ConfigError(f"{one.title}: {why}") from error


def _check_applied(keys: Sequence[str]) -> None:
    """Refuse options that are not a configuration's to choose, since they would not be applied."""
    for key in keys:
        group = re.split(r"[./@]", key)[0]
        if group in FIXED:
            raise ConfigError(f"{key}: has no effect here, {FIXED[group]}")

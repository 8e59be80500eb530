"""Sets candidates up for real runs, and leaves out those that cannot be."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ssdreal.executor.pair import Pair
from ssdreal.executor.preflight import check_pair
from ssdreal.executor.workload import Task
from ssdreal.places.topology import Topology
from ssdreal.tune.candidates import Candidate, Tuning
from ssdreal.validate.configurations import Configuration, check_fits, composing, read_setup
from ssdsim.errors import ConfigError
from ssdsim.kinds import short_name
from ssdsim.workloads.closed import Closed

PART = "tuned"
"""What stands for the side of a split: all decode the same prompts."""


@dataclass(frozen=True)
class Entrant:
    """A candidate, and what its options mean."""

    candidate: Candidate
    configuration: Configuration

    @property
    def name(self) -> str:
        """What the candidate is called."""
        return self.candidate.name

    @property
    def method(self) -> str:
        """The method's short name."""
        return short_name(type(self.configuration.setup.method))


@dataclass
class Entrants:
    """Those that are measured, the simulator's choice first, and why others are not."""

    chosen: list[Entrant] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse a race of fewer than two.

        Raises
        ------
        ConfigError
            With the first reason why another one cannot be.

        """
        if len(self.chosen) < 2:
            reasons = (f"{name}: {why}" for name, why in self.left_out.items())
            why = next(reasons, "the file holds no more")
            raise ConfigError(f"{len(self.chosen)} of the candidates can be measured: {why}")


@dataclass(frozen=True)
class Machine:
    """What candidates must fit: the models, where they may run, and what predicts them.

    `exits` are the layers of the target of which the profile has early views.
    """

    pair: Pair
    dtype: str
    where: Topology
    exits: Sequence[int] = ()


def entrants(
    tuning: Tuning, machine: Machine, tasks: list[Task], tokens: int, most: int, each: int
) -> Entrants:
    """Return the leading candidates that can be measured.

    Parameters
    ----------
    tuning, machine
        Whose candidates, and what they must fit.
    tasks, tokens
        The prompts, and how many tokens to decode for each.
    most, each
        How many at most, of all and of one method.

    """
    found, workload = Entrants(), Closed(prompts=len(tasks), output_tokens=tokens)
    models, methods = check_pair(machine.pair, machine.dtype), Counter[str]()
    with composing():
        for candidate in tuning.candidates:
            if len(found.chosen) == most:
                break
            try:
                one = _entrant(candidate, tuning.overrides(candidate), workload)
                check_fits(
                    one.configuration, machine.pair, machine.dtype, machine.where, models, tasks
                )
                heard = one.configuration.heard(models[0].layers, machine.exits)
            except ConfigError as error:
                found.left_out[candidate.name] = _reason(candidate.name, error)
                continue
            if methods[one.method] < each:
                methods[one.method] += 1
                found.chosen.append(replace(one, configuration=heard))
    return found


def _entrant(candidate: Candidate, overrides: str, workload: Closed) -> Entrant:
    setup = replace(read_setup(f"{PART}/{candidate.name}", overrides), workload=workload)
    return Entrant(candidate, Configuration(PART, candidate.name, overrides, setup, baseline=False))


def _reason(name: str, error: ConfigError) -> str:
    return str(error).removeprefix(f"{PART}/{name}: ")

"""How a profile measures a pair without weights: random prompts and scripted outcomes."""

from dataclasses import dataclass

from numpy.random import default_rng

from ssdreal.command.help import SCRIPTED
from ssdreal.executor.pair import Pair
from ssdreal.executor.scripted import is_scripted
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import shared_vocabulary
from ssdsim.acceptance.base import Acceptance
from ssdsim.acceptance.iid import Iid
from ssdsim.command.config import read_profile
from ssdsim.errors import ConfigError, require
from ssdsim.options.building import build
from ssdsim.options.plugins import plugins, profile_files
from ssdsim.sampling.settings import Sampling

PROMPTS = 8
"""Of each length: as many as a visit takes at the plan's largest batch."""

SHORT, LONG = 128, 2048
"""Tokens of a prompt."""

SEED = 0


@dataclass(frozen=True)
class ScriptedSource:
    """The acceptance source that scripts the outcomes of a pair without weights.

    Attributes
    ----------
    name
        Of an acceptance source, as `python -m ssdsim acceptance=NAME` takes it.
    source
        The source.

    """

    name: str
    source: Acceptance

    def at(self, decoding: Sampling) -> Acceptance:
        """Return the source; where it knows nothing of a temperature, any, since times are."""
        try:
            self.source.open(decoding, default_rng(SEED))
        except ConfigError:
            return Iid()
        return self.source


def scripted_source_of(name: str, pair: Pair, source: str | None) -> ScriptedSource | None:
    """Return the source that scripts a pair's outcomes; None where its models have weights.

    Parameters
    ----------
    name, pair
        The pair, by its name in `conf/pair` if it has one.
    source
        A profile, or a plug-in with its defaults; None: what the pair has by default.

    Raises
    ------
    ConfigError
        There is no such source, or the pair has no use for one, or needs one to be named.

    """
    if not is_scripted(pair.target, pair.draft):
        right = "has no effect: both models have weights, so what is accepted is measured"
        require(source is None, "--acceptance", source, right)
        return None
    source = source or SCRIPTED.get(name)
    right = "a pair without weights needs a source that says what is accepted"
    require(source is not None, "--acceptance", source, right)
    assert source is not None
    return ScriptedSource(source, _source(source))


def _source(name: str) -> Acceptance:
    """Return an acceptance source by its name in the group `acceptance`."""
    profiles, known = profile_files(), plugins("acceptance")
    if name in profiles:
        content = read_profile(name, profiles[name]).get("acceptance")
        right = "must be a profile that says what is accepted"
        require(isinstance(content, dict), "--acceptance", name, right)
        source: Acceptance = build(Acceptance, content, "acceptance")
        return source
    there = ", ".join([*known, *profiles])
    require(name in known, "--acceptance", name, f"must be among {there}")
    try:
        found: Acceptance = known[name]()
    except TypeError as error:
        raise ConfigError(f"--acceptance={name!r}: needs settings of its own ({error})") from error
    return found


def random_tasks(pair: Pair, room: int) -> tuple[list[Task], list[Task]]:
    """Return short prompts and long ones, none of more than `room` tokens."""
    vocabulary, rng = shared_vocabulary(*pair.models), default_rng(SEED)

    def made(size: int) -> list[Task]:
        return [
            Task(f"{size} ids {at}", "random ids", rng.integers(vocabulary, size=size).tolist())
            for at in range(PROMPTS)
        ]

    return made(min(SHORT, room)), made(min(LONG, room))

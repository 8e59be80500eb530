"""From what the sliders say to a checked setup, and to the command that is the same."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from ssdsim.command.applicable import refuse_idle_options
from ssdsim.command.composing import setting, written
from ssdsim.command.setting import Options, Setting, names_of
from ssdsim.engine.setup import Setup
from ssdsim.errors import require
from ssdsim.options.plugins import GROUPS, options, plugins
from ssdsim.policies.oracle import Oracle
from ssdsim.serving.continuous import Continuous

MOST_TOKENS = 65_536
"""Of an answer: a second or two."""
SMALL = {"workload.prompts": 8, "workload.output_tokens": 256}
"""What an answer decodes unless the command line says otherwise, as far as there is so much."""
OPEN = {"workload.prompts": 32}
"""The same of requests that come in time: a queue has to build up."""
OWN = ("acceptance", "workload")
"""Groups in which all may begin with a choice that is no plug-in's name."""
DRAFTING = {"lookahead", "policy", "backup", "length", "verify", "tree"}
"""Options that not every method has."""


@dataclass(frozen=True)
class Asked:
    """A question made ready.

    Attributes
    ----------
    setting
        What it begins with.
    setup
        With all that was changed.
    words
        The same as a command line.

    """

    setting: Setting
    setup: Setup
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that gives the same metrics."""
        return shlex.join(["python", "-m", "ssdsim", *self.words])


@dataclass
class Questions:
    """Turns what is changed into setups.

    Attributes
    ----------
    words
        The command line that all begins with.
    known
        Settings by their words: composing one takes longer than an answer.

    """

    words: Sequence[str]
    known: dict[tuple[str, ...], tuple[tuple[str, ...], Setting]] = field(default_factory=dict)
    composing: Lock = field(default_factory=Lock, repr=False)

    def asked(self, changes: Mapping[str, Any]) -> Asked:
        """Return the setup with these options changed.

        Those that have no meaning beside a changed method, policy or source are left out.

        Raises
        ------
        ConfigError
            What the command line would refuse, in the same line; or too many tokens are asked for.

        """
        words, start = self._start(changes.get("profile"))
        chosen = [*_fitting(changes, start)]
        setup = start.changed(chosen)
        _check_size(setup)
        refuse_idle_options(setup, start.config, [name for name, _ in chosen])
        left = [word for word in words if _stands(word, chosen, setup)]
        return Asked(start, setup, (*left, *(f"{name}={written(value)}" for name, value in chosen)))

    def _start(self, profile: object) -> tuple[tuple[str, ...], Setting]:
        """Return the words that all begins with, and their setting; of another profile, its own."""
        words, own = self._composed(tuple(self.words))
        if profile in {None, own.choices["profile"]}:
            return words, own
        others = [word for word in self.words if names_of([word]) != ["profile"]]
        return self._composed((f"profile={profile}", *others))

    def _composed(self, words: tuple[str, ...]) -> tuple[tuple[str, ...], Setting]:
        with self.composing:  # Hydra has one state for all threads
            if words not in self.known:
                self.known[words] = _small(words)
        return self.known[words]


def _small(words: tuple[str, ...]) -> tuple[tuple[str, ...], Setting]:
    """Return words and setting of what an answer decodes, as far as the words do not say it."""
    whole = setting(words)
    given, workload = names_of(words), whole.setup.workload
    own = {"workload.prompts": workload.prompts, "workload.output_tokens": workload.longest_output}
    sizes = OPEN if workload.open else SMALL
    left = {n: most for n, most in sizes.items() if n not in given and own[n] > most}
    if not left:
        return words, whole
    small = (*words, *(f"{name}={most}" for name, most in left.items()))
    return small, setting(small)


def _fitting(changes: Mapping[str, Any], start: Setting) -> Iterator[tuple[str, Any]]:
    """Yield the changes that have a meaning beside the others, choices before their options."""
    kinds = {group: _kind(changes, start, group) for group in GROUPS}
    uses, honoured = (_uses(kinds[group]) for group in ("method", "acceptance"))
    warm = changes.get("temperature", start.setup.sampling.temperature) > 0
    bursts = changes.get("workload.quiet_rate", 0) < 1
    for name in sorted(changes, key=lambda each: each not in GROUPS):
        group, _, option = name.partition(".")
        fits = {
            "profile": False,
            **{each: bool(option) or changes[name] != start.choices[each] for each in OWN},
            "batch": kinds["serving"] is not Continuous,
            "workload.busy": bursts,
            "workload.quiet": bursts,
            "router": changes.get("replicas", start.setup.replicas) > 1,
            "temperature": "temperature" in honoured,
            "coupling": "coupling" in honoured and warm,
            "policy.budget": "policy" in uses and kinds["policy"] is not Oracle,
            **{each: each in uses for each in DRAFTING},
        }
        known = not option or group not in GROUPS or _has(kinds[group], option)
        if fits.get(name, fits.get(group, True)) and known:
            yield name, changes[name]


def _uses(kind: type) -> frozenset[str]:
    """Return which options a method, or a source, depends on."""
    uses: frozenset[str] = getattr(kind, "uses", frozenset())
    return uses


def _kind(changes: Mapping[str, Any], start: Setting, group: str) -> type:
    """Return the plug-in that is chosen in a group, after the changes."""
    chosen = plugins(group).get(str(changes.get(group)))
    return chosen or type(getattr(start.setup, group))


def _has(kind: type, option: str) -> bool:
    return option.partition(".")[0] in {field.name for field in options(kind)}


def _stands(word: str, chosen: Options, setup: Setup) -> bool:
    """Return whether a word of the beginning still says something beside what was changed."""
    (name,) = names_of([word])
    group = name.partition(".")[0]
    replaced = any(name == other or name.startswith(f"{other}.") for other, _ in chosen)
    idle = group in DRAFTING - setup.method.uses
    scheduled = name == "batch" and isinstance(setup.serving, Continuous)
    alone = group == "router" and setup.replicas == 1
    return not (replaced or idle or scheduled or alone)


def _check_size(setup: Setup) -> None:
    """Refuse what would not be answered while one looks on."""
    workload, explored = setup.workload, f"more than {MOST_TOKENS:,}, the most that is explored"
    if workload.open:
        few = workload.prompts <= MOST_TOKENS
        asked = workload.requests(setup.seed) if few else ()
        tokens = sum(request.output_tokens for request in asked)
        right = f"needs fewer, their tokens are {explored}"
        require(few and tokens <= MOST_TOKENS, "workload.prompts", workload.prompts, right)
        return
    tokens = workload.prompts * workload.longest_output
    right = f"times workload.prompts is {explored}"
    require(tokens <= MOST_TOKENS, "workload.output_tokens", workload.longest_output, right)

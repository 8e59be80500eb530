"""What a tuning found: the leaders, how sure that is, and the files that say so."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from ssdsim.errors import ConfigError
from ssdsim.system.atomic_files import replacing, write_text
from ssdsim.tune.evaluation import Figures, Trial
from ssdsim.tune.launching import Evaluations
from ssdsim.tune.lookahead_table import LookaheadTable
from ssdsim.tune.search import Search
from ssdsim.tune.search_space import Options, is_tuned, words
from ssdsim.tune.selection import Selection
from ssdsim.tune.sensitivity import Effect

SCHEMA = 1
TUNED = "tuned.yaml"
NEAR = 0.8
"""A method whose best is slower than this share of the fastest is no finalist."""
COMMON = ("batch", "temperature", "coupling")
"""Options of the setting that real runs have as well."""
TOLD = 12
"""Configurations of each method that `tune.json` lists."""


@dataclass
class Findings:
    """What a tuning found.

    Attributes
    ----------
    shared
        Words that all candidates have in common.
    profile
        Name of the profile.
    search
        With everything evaluated in the world that the profile describes.
    evaluations
        All of them.
    selection
        Of the finalists.
    effects
        Of other worlds on the choice.
    lookaheads
        The best ones of SD and SSD by batch and context.

    """

    shared: Sequence[str]
    profile: str
    search: Search
    evaluations: Evaluations
    selection: Selection = field(init=False)
    effects: list[Effect] = field(default_factory=list)
    lookaheads: LookaheadTable = field(default_factory=LookaheadTable)

    @property
    def choice(self) -> Options:
        """The configuration to use."""
        return self.selection.best

    @property
    def possible(self) -> dict[Options, Figures]:
        """What was evaluated on the whole workload, fastest first."""
        found = self.search.found
        order = sorted(found, key=lambda options: -found[options].tokens_per_s)
        return {options: found[options] for options in order if not found[options].refused}

    @property
    def leaders(self) -> dict[str, Options]:
        """The best configuration of every method that can be, fastest first."""
        found: dict[str, Options] = {}
        for options in self.possible:
            found.setdefault(method_of(options), options)
        return found

    @property
    def _everything(self) -> dict[Options, Figures]:
        """What was evaluated that can be, on part of the workload or, rather, on all of it."""
        tried = self.search.tried
        return {one: tried[one] for one in self.search.ranked()} | self.possible

    @property
    def refusals(self) -> Counter[str]:
        """How many configurations were left out, by the reason."""
        found = self.search.tried.values()
        return Counter(_reason(figures.refused) for figures in found if figures.refused)

    def finalists(self, count: int) -> list[Options]:
        """Return the best of every method that is near the fastest, and the fastest others.

        Raises
        ------
        ConfigError
            Nothing that was asked for can be.

        """
        possible = self.possible
        if not possible:
            reasons = "; ".join(self.refusals) or "there is nothing to choose among"
            raise ConfigError(f"no configuration can be: {reasons}")
        fastest = next(iter(possible.values())).tokens_per_s
        near = [one for one in self.leaders.values() if possible[one].tokens_per_s > NEAR * fastest]
        told_apart = {figures: one for one, figures in reversed(possible.items())}
        return list(dict.fromkeys([*near, *reversed(told_apart.values())]))[:count]

    def save(self, out: Path) -> None:
        """Write `tuned.yaml`, `tune.json` and the picture."""
        from ssdsim.tune.picture import front_picture

        write_text(out / TUNED, self._tuned())
        write_text(out / "tune.json", json.dumps(self._told(), indent=1) + "\n")
        with replacing(out) as partial:
            front_picture(self._everything, self.choice, partial("tune.png"))

    def _tuned(self) -> str:
        every = [*self.shared, *words(self._in_full(self.choice)).split()]
        common = [*filter(_is_common, every)]
        lines = [
            "# Found by python -m ssdsim.tune; python -m ssdsim tuned=FILE runs it, and so does",
            "# python -m ssdreal tuned=FILE on real models, which takes what is common to both.",
            f"simulated: {json.dumps([word for word in every if word not in common])}",
            f"common: {json.dumps(common)}",
        ]
        return "\n".join(lines) + "\n"

    def _in_full(self, options: Options) -> Options:
        """Return a configuration with what real runs have another default of."""
        setup = self.evaluations.bench.setup(Trial(options))
        own = {"lookahead": setup.lookahead, "policy.budget": setup.policy.budget}
        used = {name for name in own if name.partition(".")[0] in setup.method.uses}
        known = dict(options)
        missing = {name: own[name] for name in sorted(used) if name not in known}
        return tuple({**known, **missing}.items())

    def _told(self) -> dict[str, Any]:
        """Return what `tune.json` says; `python -m ssdreal.tune` takes it up."""
        return {
            "schema": SCHEMA,
            "profile": self.profile,
            "fixed": " ".join(word for word in self.shared if _name(word) != "profile"),
            "candidates": [
                self._candidate(f"{method_of(options)}-{place}", options, figures)
                for place, (options, figures) in enumerate(self._listed().items(), 1)
            ],
            "effects": [{**asdict(one), "winner": words(one.winner or ())} for one in self.effects],
            "lookaheads": [asdict(one) for one in self.lookaheads.best],
            "worlds": len(self.selection.seen),
            "confidence": self.selection.race.rule.confidence,
            "may_be_better_by": self.selection.race.gap if self.selection.race.gap < inf else None,
            "refused": dict(self.refusals),
            "evaluations": len(self.evaluations.known),
            "screened_exactly": len(self.search.screened),
        }

    def _candidate(self, name: str, options: Options, figures: Figures) -> dict[str, Any]:
        found = self.selection
        low, high = found.interval(options) if options in found.candidates else (None, None)
        return {
            "name": name,
            "options": words(self._in_full(options)),
            "tokens_per_s": figures.tokens_per_s,
            "low": low,
            "high": high,
            "tokens_per_s_per_device": figures.per_device,
            "joules_per_token": figures.joules_per_token,
            "probability_best": found.probabilities.get(options),
            "expected_regret": found.regret.get(options),
        }

    def _listed(self) -> dict[Options, Figures]:
        """Return the candidates of `tune.json`: the choice, then the best of each method."""
        everything = self._everything
        best = [one for method in self.leaders for one in self.search.ranked(method)[:TOLD]]
        listed = {*self.selection.candidates, *best}
        order = sorted(listed, key=lambda options: -everything[options].tokens_per_s)
        return {one: everything[one] for one in dict.fromkeys([self.choice, *order])}


def _is_common(word: str) -> bool:
    """Return whether a word means the same for real models."""
    return _name(word) in COMMON or is_tuned(_name(word))


def _name(word: str) -> str:
    return word.partition("=")[0]


def method_of(options: Options) -> str:
    """Return the method of a configuration."""
    return str(dict(options)["method"])


def _reason(refused: str) -> str:
    """Return a refusal without the value that it names, so that the same reason counts as one."""
    option, _, rest = refused.partition("=")
    return f"{option}: {rest.partition(': ')[2] or rest}" if rest else refused
